//go:build drill

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/roostbus/roost/bus"
)

// "A rolling upgrade": nodes of an older build, which ROOST_OLDER names, are replaced one
// after another by nodes of this one, and back again, and no call fails. `make drill-upgrade
// FROM=REVISION` makes the older build.
func TestDrillAnUpgradeFromAnOlderBuildAndBackFailsNoCall(t *testing.T) {
	older := os.Getenv("ROOST_OLDER")
	if older == "" {
		t.Fatal("ROOST_OLDER must name an older roost")
	}
	f := newFleet(t, 3)
	for _, m := range f.nodes {
		m.exe = older
	}
	f.begin(t)
	f.awaitEach(t)
	lives, kept := startLoad(t, f.url(), 4, ""), startLoad(t, f.url(), 4, "kept-")
	watch, run := beginOlder(t, older, f.url(), "watch", "load"), beginOlder(t, older, f.url(), "register", "load/older")
	for _, step := range []struct{ name, exe string }{{"up", ""}, {"down", older}, {"up again", ""}} {
		begun, before := time.Now(), lives.calls()+kept.calls()
		for _, m := range f.nodes {
			if code := m.terminate(t); code != 0 {
				t.Errorf("%s: exit code after SIGTERM = %d; want 0\n%s", m.name, code, m.stderr.String())
			}
			m.exe = step.exe
			m.again(t)
			f.awaitEach(t)
			if m == f.nodes[0] {
				_, out, _ := roost(t, f.url(), "health", "--all")
				t.Logf("%s, one of three:\n%s", step.name, out)
			}
		}
		t.Logf("%s took %v, with %d calls", step.name, time.Since(begun).Round(time.Second), lives.calls()+kept.calls()-before)
		for _, p := range []*process{watch, run} {
			select {
			case <-p.exited:
				t.Errorf("%s: %v has ended: %s", step.name, p.cmd.Args[1:], p.stderr.String())
			default:
			}
		}
		must(t, f.url(), "lookup", "load/older")
	}
	t.Logf("the older watch said %q, the older owner %q", watch.stderr.String(), run.stderr.String())
	lives.end(t, 500)
	kept.end(t, 500)
	kept.isThere(t, f.url(), 0)
}

// beginOlder starts a command of the older build.
func beginOlder(t *testing.T, older, url string, args ...string) *process {
	t.Helper()
	p, lines := beginAs(t, older, []string{"NATS_URL=" + url}, args...)
	go func() {
		for lines.Scan() {
		}
		p.reap()
	}()
	return p
}

// awaitEach waits until each node is healthy in the words of its own build.
func (f *fleet) awaitEach(t *testing.T) {
	t.Helper()
	await(t, "a whole cluster", func() (bool, string) {
		reports := f.reports(t, f.url())
		for _, m := range f.nodes {
			h := reports[m.name]
			if m.exe != "" {
				h = reportOf(t, m.exe, f.url(), m.name)
			}
			if h == nil {
				return false, m.name + " says nothing"
			}
			if h.Status.String() != "healthy" || h.Cluster == nil || len(h.Cluster.Streams) < 2 {
				return false, m.name + " is " + h.Status.String() + ": " + strings.Join(h.Problems, "; ")
			}
		}
		return true, ""
	})
}

// reportOf asks by a build for what a node says of itself; nil if it says nothing.
func reportOf(t *testing.T, exe, url, name string) *bus.HealthReply {
	t.Helper()
	ask := exec.CommandContext(t.Context(), exe, "health", "--all", "--json")
	ask.Env = []string{"NATS_URL=" + url, "HOME=" + t.TempDir(), "ROOST_TIMEOUT=20s"}
	out, _ := ask.Output() // the exit code says how well
	for line := range strings.Lines(string(out)) {
		var h bus.HealthReply
		if json.Unmarshal([]byte(line), &h) == nil && h.Node == name {
			return &h
		}
	}
	return nil
}
