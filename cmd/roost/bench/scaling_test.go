package bench_test

import (
	"strings"
	"testing"

	"github.com/roostbus/roost/cmd/roost/bench"
)

const scalingPage = "before\n<!-- arithmetic: written by roost bench report -->\nold\n<!-- end of arithmetic -->\nafter\n"

// measuredCosts is a report of everything that scaling is worked out from.
func measuredCosts() *bench.Report {
	costing := func(what string, inFlight int, x, server float64) bench.CaseReport {
		return bench.CaseReport{What: what, InFlight: inFlight, X: x, Roost: bench.SideReport{P50Us: 17e6, CPUUs: map[string]float64{"server": server}}}
	}
	return &bench.Report{Cells: []bench.CellReport{
		{ID: "P1", Cases: []bench.CaseReport{costing("", 1, 0, 60), costing("", 64, 0, 12)}},
		{ID: "P3", Cases: []bench.CaseReport{costing("", 64, 0, 80)}},
		{ID: "P6", Cases: []bench.CaseReport{costing("1 subscribers", 1, 1, 200), costing("1000 subscribers", 1, 1000, 2000)}},
		{ID: "P7", Cases: []bench.CaseReport{costing("echo elsewhere", 64, 0, 10)}},
		{ID: "P8", Cases: []bench.CaseReport{costing("100 connections, 100 to a message", 1, 0, 5)}},
		{ID: "P9", Figures: []bench.Figure{
			{What: "empty", Unit: "MiB", Roost: 40},
			{What: "1000 registered", Unit: "MiB", X: 1000, Roost: 60},
			{What: "1000000 registered", Unit: "MiB", X: 1e6, Roost: 2040},
			{What: "1000000 registered, each", Unit: "bytes", X: 1e6, Roost: 1200},
			{What: "1000000, restarted", Unit: "MiB", X: 1e6, Roost: 99999, Again: true},
		}},
		{ID: "P10", Cases: []bench.CaseReport{costing("1000000 registrations", 1, 1e6, 0)}},
		{ID: "P16", Cases: []bench.CaseReport{costing("", 64, 0, 180)}},
	}}
}

func TestTheCostsOfManyInstancesAreWorkedOutFromWhatWasMeasured(t *testing.T) {
	t.Parallel()
	got, err := measuredCosts().InsertScaling(scalingPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before\n", "after\n", "| 12.0 µs | P1", "| 2.0 µs | P6", "| 2097 B |", "| 17.0 µs until",
		// A million: 200,000 beats of 10 µs, 1,111 writes of 180 µs, 300 deliveries of 2 µs each by three nodes.
		"| 1,000,000 | 3 | 200,000/s, 2.00 | 1.00 | 1,111/s, 0.20 | 333,333/s, 0.22 | 2.10 GB | 17.0 s |",
		"| 10,000 | 5 |", "one core of the keeper's node | 500,000 |", "| 8 GB of each node | 3,800,000 |", "| 30 s | 1,800,000 |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "old") {
		t.Error("what was there before is still there")
	}
}

func TestACostTooSmallToBeSeenHasNoEnd(t *testing.T) {
	t.Parallel()
	r := measuredCosts()
	r.Cells[4].Cases[0].Roost.CPUUs["server"] = 0
	got, err := r.InsertScaling(scalingPage)
	if err != nil || !strings.Contains(got, "100 leases a message | one core of the keeper's node | ? |") {
		t.Errorf("InsertScaling() = %v:\n%s", err, got)
	}
}

func TestCostsThatWereNotMeasuredAreNamed(t *testing.T) {
	t.Parallel()
	r := measuredCosts()
	r.Cells = r.Cells[1:6]
	_, err := r.InsertScaling(scalingPage)
	if err == nil {
		t.Fatal("costs are worked out from nothing")
	}
	for _, want := range []string{"P1 at 64", "P10", "P16 at 64"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if _, err := measuredCosts().InsertScaling("no marks"); err == nil {
		t.Error("a page without marks is taken")
	}
}
