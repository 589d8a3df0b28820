package bench

import (
	"fmt"
	"math"
)

// Use is how much of one limit of a budget something takes.
type Use struct {
	// Where it is in its cell, what is limited, what it came to and what it may come to,
	// for people.
	Where, What, Measured, Limit string
	// Share of the limit that is taken: 1 is all of it.
	Share float64
	Met   bool
}

// Uses returns what the cases and figures of c take of their budgets, in their order. What
// is repeated along a curve is left out, where so wanted.
func (c *CellReport) Uses(curves bool) (uses []Use) {
	for i := range c.Cases {
		if k := &c.Cases[i]; curves || !k.Curve {
			uses = append(uses, k.uses()...)
		}
	}
	for i := range c.Figures {
		uses = append(uses, c.Figures[i].uses()...)
	}
	return uses
}

func (c *CaseReport) uses() (uses []Use) {
	if c.Met == nil {
		return nil
	}
	failed := c.Roost.Failed > 0
	add := func(what, measured, limit string, share float64) {
		uses = append(uses, Use{Where: c.name(), What: what, Measured: measured, Limit: limit, Share: share, Met: share <= 1 && !failed})
	}
	b := &c.Budget
	if b.Rate > 0 {
		add("rate", times(c.RateRatio), least(b.Rate, "%.2f ×"), missing(b.Rate, c.RateRatio))
	}
	if b.PerSecond > 0 {
		add("rate", rate(c.Roost.PerSecond)+"/s", least(b.PerSecond, "%.0f/s"), missing(b.PerSecond, c.Roost.PerSecond))
	}
	atMost := func(what string, got, limit float64, show func(float64) string) {
		if limit > 0 {
			add(what, show(got), "≤ "+show(limit), got/limit)
		}
	}
	atMost("p50", c.P50Ratio, b.P50, times)
	atMost("p99", c.P99Ratio, b.P99, times)
	atMost("p50", c.Roost.P50Us, b.P50Us, duration)
	atMost("p99", c.Roost.P99Us, b.P99Us, duration)
	atMost("server CPU", c.CPURatio, b.CPU, times)
	atMost("server CPU", c.Cores, b.Cores, func(v float64) string { return fmt.Sprintf("%.3f core", v) })
	if b.NoAllocations {
		add("allocations", show(c.Roost.Allocations), "none", c.Roost.Allocations/few)
	}
	return uses
}

func (f *Figure) uses() (uses []Use) {
	if f.Met == nil {
		return nil
	}
	unit := func(v float64) string { return amount(v) + " " + f.Unit }
	if f.Limit.Most > 0 {
		uses = append(uses, Use{Where: f.What, Measured: unit(f.Roost), Limit: "≤ " + unit(f.Limit.Most), Share: f.Roost / f.Limit.Most, Met: *f.Met})
	}
	if f.Limit.Ratio > 0 {
		uses = append(uses, Use{Where: f.What, Measured: times(f.Ratio), Limit: "≤ " + times(f.Limit.Ratio), Share: f.Ratio / f.Limit.Ratio, Met: *f.Met})
	}
	if f.Limit.None {
		share := 0.0
		if !*f.Met {
			share = f.Roost + 1 // whatever it is, it is more than there may be
		}
		uses = append(uses, Use{Where: f.What, Measured: unit(f.Roost), Limit: "none", Share: share, Met: *f.Met})
	}
	return uses
}

// missing is how much of what there must be at least would be enough: 1 is all of it.
func missing(least, got float64) float64 {
	if got <= 0 {
		return math.Inf(1)
	}
	return least / got
}

func times(v float64) string { return fmt.Sprintf("%.2f ×", v) }

// duration shows a number of microseconds.
func duration(us float64) string {
	switch {
	case us < 1:
		return fmt.Sprintf("%.1f ns", us*1000)
	case us < 10_000:
		return fmt.Sprintf("%.0f µs", us)
	}
	return fmt.Sprintf("%.0f ms", us/1000)
}
