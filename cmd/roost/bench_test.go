package main

import (
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/cmd/roost/bench"
)

// benched runs bench with itself as the program to start, and returns what it printed.
func benched(t *testing.T, args ...string) string {
	t.Helper()
	var out, said lockedBuffer
	code := run(t.Context(), program{
		args: append([]string{"bench"}, args...), stdout: &out, stderr: &said, version: "1.2.3",
		environ: []string{asRoost + "=1", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "ROOST_TIMEOUT=60s"},
	})
	if code != 0 {
		t.Fatalf("roost bench %v = %d; want 0: %s", args, code, said.String())
	}
	return out.String()
}

var short = []string{
	"--duration", "30ms", "--rounds", "2", "--registrations", "300", "--batch-size", "20",
	"--copied", "1000", "--subscribers", "20", "--leases", "500", "--lease-connections", "20", "--waiters", "11", "--scale", "200", "--curves",
}

func TestBenchMeasuresBothSidesOfEveryCell(t *testing.T) {
	t.Parallel()
	want := map[string]int{"P1": 6, "P2": 3, "P3": 6, "P4": 3, "P4b": 3, "P5": 3, "P6": 3, "P7": 4, "P8": 3, "P9": 5, "P10": 1, "P11": 5, "P12": 4, "P13": 3, "P13b": 1, "P14": 4, "P14b": 3, "P17": 3}
	args := append(slices.Clone(short), "--json")
	if testing.Short() { // the others fill two cores for a while, which other tests wait for
		t.Log("-short: P1 only")
		want = map[string]int{"P1": 6}
		args = append(args, "--only", "P1")
	}
	var report bench.Report
	if err := json.Unmarshal([]byte(benched(t, args...)), &report); err != nil {
		t.Fatal(err)
	}
	if report.Version != "1.2.3" || report.Go == "" || report.NATS == "" || report.NATSGo == "" || report.Machine.Cores == 0 || report.Rounds != 2 {
		t.Errorf("the report does not say what was measured where: %+v", report)
	}
	for _, cell := range report.Cells {
		if got := len(cell.Cases) + len(cell.Figures); got != want[cell.ID] {
			t.Errorf("%s has %d cases and figures; want %d", cell.ID, got, want[cell.ID])
		}
		for _, f := range cell.Figures {
			if f.Roost == 0 && f.Unit != "% of a core" {
				t.Errorf("%s: %+v; want a figure", cell.ID, f)
			}
		}
		delete(want, cell.ID)
		for _, c := range cell.Cases {
			for who, side := range map[string]bench.SideReport{"roost": c.Roost, "bare": c.Bare} {
				if side.PerSecond <= 0 || side.P50Us <= 0 || side.P99Us < side.P50Us || side.Units <= 0 || side.Failed != 0 {
					t.Errorf("%s, %d in flight, %s = %+v; want rates and latencies without failures", cell.ID, c.InFlight, who, side)
				}
			}
			if len(c.RateRatios) != 2 || c.RateRatio <= 0 || c.P50Ratio <= 0 || c.P99Ratio <= 0 {
				t.Errorf("%s, %d in flight: ratios %v, %v, %v, %v; want one of each round",
					cell.ID, c.InFlight, c.RateRatios, c.RateRatio, c.P50Ratio, c.P99Ratio)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("nothing was measured of %v", want)
	}
}

func TestBenchShowsTables(t *testing.T) {
	t.Parallel()
	shown := benched(t, append(slices.Clone(short), "--only", "P1")...)
	for _, want := range []string{"nats-server 2.", "P1  look-up", "in flight", "look-ups/s", "≥ 0.90", "CPU µs"} {
		if !strings.Contains(shown, want) {
			t.Errorf("nothing is said of %q in\n%s", want, shown)
		}
	}
	if strings.Contains(shown, "P2") {
		t.Errorf("P2 was not asked for and is in\n%s", shown)
	}
}

func TestBenchOfCopiesShowsWhatIsAllocated(t *testing.T) {
	t.Parallel()
	shown := benched(t, append(slices.Clone(short), "--only", "P5")...)
	for _, want := range []string{"P5  look-up in a Replica", "pick in turn", "≤ 0.015 µs", "allocs", "none"} {
		if !strings.Contains(shown, want) {
			t.Errorf("nothing is said of %q in\n%s", want, shown)
		}
	}
}

func TestBenchOfARunningRegistryLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	node := serve(t, "--store-dir", t.TempDir(), "--trusted-clients")
	must(t, node.url, "register", "orders/i-1", "--permanent")
	nc, err := nats.Connect(node.url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	streams := func() []string { return slices.Sorted(chanValues(js.StreamNames())) }
	await(t, "the history", func() (bool, string) { return slices.Contains(streams(), "roost_v1_history"), "it is not there" })
	before := streams()
	benched(t, append(slices.Clone(short), "--server", node.url, "--only", "P1,P3,P5,P6,P7,P8,P11,P12,P13,P13b,P14")...)
	if got := strings.TrimSpace(must(t, node.url, "count", "--all-namespaces", "--json")); got != `{"count":1}` {
		t.Errorf("count afterwards = %s; want what was there before", got)
	}
	if after := streams(); !slices.Equal(before, after) {
		t.Errorf("streams were %v, and are %v", before, after)
	}
}

// chanValues yields what comes out of c.
func chanValues[T any](c <-chan T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v := range c {
			if !yield(v) {
				return
			}
		}
	}
}

func TestBenchThatCannotUseJetStreamSaysWhatToDo(t *testing.T) {
	t.Parallel()
	node := serve(t, "--store-dir", t.TempDir())
	for _, cell := range []string{"P3", "P11"} {
		var out, said lockedBuffer
		code := run(t.Context(), program{
			args: append([]string{"bench", "--only", cell, "--timeout", "2s", "--server", node.url}, short...), stdout: &out, stderr: &said,
			environ: []string{asRoost + "=1", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")},
		})
		if code == 0 || !strings.Contains(said.String(), "--trusted-clients") {
			t.Errorf("roost bench --only %s = %d, saying %q; want a word about --trusted-clients", cell, code, said.String())
		}
	}
}

func TestBenchRefusesAWrongSetting(t *testing.T) {
	t.Parallel()
	code, said := fails(t, nil, "bench", "--only", "P99", "--rounds", "0", "--copied", "10", "--subscribers", "0",
		"--leases", "0", "--lease-connections", "0", "--waiters", "0", "--scale", "0")
	for _, mistake := range []string{"P99", "rounds", "copied", "subscribers", "leases", "lease_connections", "waiters", "scale"} {
		if code != 2 || !strings.Contains(said, mistake) {
			t.Errorf("roost bench = %d, saying %q; want 2 and a word about %s", code, said, mistake)
		}
	}
}

func TestBenchSaysAtOnceWhatWouldFailInTheEnd(t *testing.T) {
	t.Parallel()
	for _, k := range []struct {
		args []string
		want string
	}{
		{[]string{"--server", "nats://127.0.0.1:1", "--only", "p1,P12"}, "nats://127.0.0.1:1"},
		{[]string{"--only", "p1", "--svg", filepath.Join(t.TempDir(), "none", "x.svg")}, "x.svg"},
	} {
		var out, said lockedBuffer
		code := run(t.Context(), program{
			args: append([]string{"bench"}, k.args...), stdout: &out, stderr: &said, environ: []string{"HOME=" + t.TempDir()},
		})
		if code == 0 || out.String() != "" || strings.Count(said.String(), k.want) != 1 {
			t.Errorf("roost bench %v = %d, printing %q and saying %q; want one word about %s and nothing else", k.args, code, out.String(), said.String(), k.want)
		}
	}
}

func TestBenchOfThreeNodesKillsThemAndMeasuresOn(t *testing.T) {
	t.Parallel()
	if testing.Short() { // an election of NATS takes up to eight seconds
		t.Log("-short: P16 only")
	}
	args := append(slices.Clone(short), "--json", "--nodes", "3", "--rounds", "1")
	want := map[string]int{"P15": 3, "P16": 3, "P16b": 5}
	if testing.Short() {
		args, want = append(args, "--only", "P16"), map[string]int{"P16": 3}
	}
	var report bench.Report
	if err := json.Unmarshal([]byte(benched(t, args...)), &report); err != nil {
		t.Fatal(err)
	}
	for _, cell := range report.Cells {
		if got := len(cell.Cases) + len(cell.Figures); got != want[cell.ID] || cell.Problem != "" {
			t.Errorf("%s has %d cases and figures, and the problem %q; want %d", cell.ID, got, cell.Problem, want[cell.ID])
		}
		delete(want, cell.ID)
	}
	if len(want) > 0 || report.Nodes != 3 {
		t.Errorf("nothing was measured of %v, at %d nodes", want, report.Nodes)
	}
}
