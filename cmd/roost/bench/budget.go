package bench

import (
	"strconv"
	"strings"
)

// Budget says how much worse than bare NATS a case may be; 0 sets no limit.
type Budget struct {
	Rate float64 `json:"rate,omitempty"` // at least so much of its rate
	// PerSecond is how many units a second there must be, whatever the baseline's rate is.
	PerSecond float64 `json:"per_second,omitempty"`
	P50       float64 `json:"p50,omitempty"` // at most so much of its median latency
	P99       float64 `json:"p99,omitempty"` // at most so much of its 99th percentile
	// P50Us is what the median latency may be at most, whatever the baseline's is.
	P50Us float64 `json:"p50_us,omitempty"`
	P99Us float64 `json:"p99_us,omitempty"` // the same of the 99th percentile
	// CPU is how much CPU time of the server a unit may cost, as a share of what it costs
	// the baseline's responder.
	CPU float64 `json:"cpu,omitempty"`
	// Cores is how much of a core the server may use.
	Cores float64 `json:"cores,omitempty"`
	// NoAllocations says that a unit must cost this process none.
	NoAllocations bool `json:"no_allocations,omitempty"`
}

// few are the allocations per unit that driving a side may cost, and the rest of the
// process meanwhile.
const few = 0.01

// within reports whether c keeps to its budget.
func (c *CaseReport) within() bool {
	b := c.Budget
	within := func(got, limit float64) bool { return limit == 0 || got <= limit }
	return c.RateRatio >= b.Rate && c.Roost.PerSecond >= b.PerSecond && within(c.P50Ratio, b.P50) && within(c.P99Ratio, b.P99) && within(c.Roost.P50Us, b.P50Us) &&
		within(c.Roost.P99Us, b.P99Us) && within(c.CPURatio, b.CPU) && within(c.Cores, b.Cores) &&
		(!b.NoAllocations || c.Roost.Allocations < few)
}

// judgeable reports whether everything is known that c's budget is about.
func (c *CaseReport) judgeable() bool {
	return (c.Budget.CPU == 0 || c.CPURatio > 0) && (c.Budget.Cores == 0 || c.Cores > 0)
}

// most shows a limit that is not to be exceeded, "" for none.
func most(limit float64, unit string) string {
	if limit == 0 {
		return ""
	}
	return "≤ " + strconv.FormatFloat(limit, 'f', -1, 64) + unit
}

// rate shows what b says of the rate.
func (b *Budget) rate() string {
	return strings.TrimSpace(least(b.Rate, "%.2f") + " " + least(b.PerSecond, "%.0f/s"))
}

// p50 shows what b says of the median latency.
func (b *Budget) p50() string {
	return strings.TrimSpace(most(b.P50, "") + " " + most(b.P50Us, " µs"))
}

// p99 shows what b says of the 99th percentile.
func (b *Budget) p99() string {
	return strings.TrimSpace(most(b.P99, "") + " " + most(b.P99Us, " µs"))
}

// cpu shows what b says of the server's CPU time.
func (b *Budget) cpu() string {
	return strings.TrimSpace(most(b.CPU, " of the baseline") + " " + most(b.Cores, " core"))
}

// allocations shows what b says of allocations.
func (b *Budget) allocations() string {
	if b.NoAllocations {
		return "none"
	}
	return ""
}
