package bench

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// How much worse than it was something may be before it is far off: a machine that does
// other work besides makes ratios of short runs differ by half of that.
const (
	rateMargin    = 1.5
	latencyMargin = 1.75
	cpuMargin     = 1.5
	figureMargin  = 1.5
)

// Change is what became of something that was measured before.
type Change struct {
	ID, Where, What string
	Before, Now     float64
	// Worse is how many times worse it is now, and Most how many times it may be.
	Worse, Most float64
}

// FarOff reports whether it has become much worse.
func (c *Change) FarOff() bool { return c.Worse > c.Most }

// Compare returns what became of what both reports have: of ratios to the baseline, of the
// CPU time of all processes as a share of the baseline's, and of figures that have a limit.
func Compare(before, now *Report) (changes []Change) {
	for i := range now.Cells {
		is := &now.Cells[i]
		for j := range before.Cells {
			if was := &before.Cells[j]; was.ID == is.ID {
				changes = append(changes, was.changes(is)...)
			}
		}
	}
	return changes
}

func (c *CellReport) changes(now *CellReport) (changes []Change) {
	for i := range now.Cases {
		is := &now.Cases[i]
		for j := range c.Cases {
			if was := &c.Cases[j]; was.name() == is.name() && was.Curve == is.Curve {
				changes = append(changes, was.changes(c.ID, is)...)
			}
		}
	}
	for i := range now.Figures {
		is := &now.Figures[i]
		for j := range c.Figures {
			if was := &c.Figures[j]; was.What == is.What && was.Limit != (Limit{}) && was.Roost > 0 {
				changes = append(changes, Change{
					ID: c.ID, Where: is.What, What: is.Unit, Before: was.Roost, Now: is.Roost,
					Worse: ratio(is.Roost, was.Roost), Most: figureMargin,
				})
			}
		}
	}
	return changes
}

func (c *CaseReport) changes(id string, now *CaseReport) (changes []Change) {
	b := c.Budget
	if b == (Budget{}) {
		return nil
	}
	add := func(what string, before, is, worse, most float64) {
		if before > 0 {
			changes = append(changes, Change{ID: id, Where: now.name(), What: what, Before: before, Now: is, Worse: worse, Most: most})
		}
	}
	if b.Rate > 0 || b.PerSecond > 0 {
		add("rate ÷ bare", c.RateRatio, now.RateRatio, ratio(c.RateRatio, now.RateRatio), rateMargin)
	}
	if b.P50 > 0 || b.P99 > 0 || b.P50Us > 0 || b.P99Us > 0 {
		add("p50 ÷ bare", c.P50Ratio, now.P50Ratio, ratio(now.P50Ratio, c.P50Ratio), latencyMargin)
	}
	was, is := ratio(sum(c.Roost.CPUUs), sum(c.Bare.CPUUs)), ratio(sum(now.Roost.CPUUs), sum(now.Bare.CPUUs))
	if len(c.Roost.CPUUs) == int(processes) && len(now.Roost.CPUUs) == int(processes) && (b.Rate > 0 || b.CPU > 0 || b.P50 > 0) {
		add("CPU ÷ bare", was, is, ratio(is, was), cpuMargin)
	}
	if now.Roost.Failed > 0 {
		changes = append(changes, Change{ID: id, Where: now.name(), What: "failed", Now: float64(now.Roost.Failed), Worse: float64(now.Roost.Failed)})
	}
	return changes
}

// ChangesTable shows changes, and returns how many of them are far off.
func ChangesTable(changes []Change) (table string, farOff int) {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row(t, "", "where", "what", "was", "is", "worse", "may be", "")
	for i := range changes {
		c := &changes[i]
		verdict := ""
		if c.FarOff() {
			verdict = "FAR OFF"
			farOff++
		}
		row(t, c.ID, c.Where, c.What, fmt.Sprintf("%.2f", c.Before), fmt.Sprintf("%.2f", c.Now),
			fmt.Sprintf("%.2f ×", c.Worse), fmt.Sprintf("%.2f ×", c.Most), verdict)
	}
	_ = t.Flush() // a strings.Builder takes everything
	return b.String(), farOff
}
