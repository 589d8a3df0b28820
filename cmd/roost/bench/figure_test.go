package bench_test

import (
	"strings"
	"testing"

	"github.com/roostbus/roost/cmd/roost/bench"
)

func TestAFigureIsJudgedByItsLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why    string
		figure bench.Figure
		judged bool
		met    bool
	}{
		{"no limit", bench.Figure{Roost: 5, Bare: 1}, false, false},
		{"the very limit", bench.Figure{Roost: 5, Limit: bench.Limit{Most: 5}}, true, true},
		{"above it", bench.Figure{Roost: 6, Limit: bench.Limit{Most: 5}}, true, false},
		{"the very ratio", bench.Figure{Roost: 3, Bare: 2, Limit: bench.Limit{Ratio: 1.5}}, true, true},
		{"above it", bench.Figure{Roost: 4, Bare: 2, Limit: bench.Limit{Ratio: 1.5}}, true, false},
		{"a ratio to nothing", bench.Figure{Roost: 4, Limit: bench.Limit{Ratio: 1.5}}, true, false},
		{"none", bench.Figure{Limit: bench.Limit{None: true}}, true, true},
		{"some where none may be", bench.Figure{Roost: 1, Limit: bench.Limit{None: true}}, true, false},
	} {
		f := bench.Judged(c.figure)
		if (f.Met != nil) != c.judged || f.Met != nil && *f.Met != c.met {
			t.Errorf("%s: %+v; want judged %v, met %v", c.why, f, c.judged, c.met)
		}
	}
}

func TestTheMemoryOfAProcessIsReadWhereItIsSaid(t *testing.T) {
	t.Parallel()
	if got, err := bench.ParseResident([]byte("Name:\tx\nVmHWM:\t 90 kB\nVmRSS:\t  12 kB\nRssAnon: 1 kB\n")); err != nil || got != 12<<10 {
		t.Errorf("memory = %d, %v; want 12 KiB", got, err)
	}
	for _, bad := range []string{"", "VmHWM: 12 kB", "VmRSS: x kB", "VmRSS: 12 MB", "VmRSS:"} {
		if got, err := bench.ParseResident([]byte(bad)); err == nil {
			t.Errorf("memory in %q = %d; want an error", bad, got)
		}
	}
}

func TestWhatNeedsARegistryOfItsOwnIsNotMeasuredOfAnother(t *testing.T) {
	t.Parallel()
	c := bench.DefaultConfig()
	c.Server, c.Only = "nats://127.0.0.1:4222", []string{"P1", "P10"}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "P10") || strings.Contains(err.Error(), "P1 ") {
		t.Errorf("Validate = %v; want a word about P10 alone", err)
	}
	c.Server = ""
	if err := c.Validate(); err != nil {
		t.Errorf("Validate = %v without a server", err)
	}
}
