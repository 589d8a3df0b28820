package bench

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Figure is something that is not done over and over: a size, a share, the time until
// something is so.
type Figure struct {
	What string  `json:"what"`
	Unit string  `json:"unit"`
	X    float64 `json:"x,omitempty"` // where it lies on a curve; 0: nowhere
	// Again says that there is another figure for X that the curve goes through.
	Again bool `json:"again,omitempty"`
	// Roost is what it came to, and Bare what the baseline's did; 0: there is none.
	Roost float64 `json:"roost"`
	Bare  float64 `json:"bare,omitempty"`
	Limit Limit   `json:"limit,omitzero"`
	Ratio float64 `json:"ratio,omitempty"`
	Met   *bool   `json:"met,omitempty"` // none without a limit
}

// Limit says what a figure may come to; 0 sets none.
type Limit struct {
	Most  float64 `json:"most,omitempty"`  // whatever the baseline came to
	Ratio float64 `json:"ratio,omitempty"` // at most so much of what the baseline came to
	// None says that it must be 0.
	None bool `json:"none,omitempty"`
}

// judge fills in what follows from what was measured.
func (f *Figure) judge() {
	f.Ratio = ratio(f.Roost, f.Bare)
	if f.Limit == (Limit{}) {
		return
	}
	met := (f.Limit.Most == 0 || f.Roost <= f.Limit.Most) && (f.Limit.Ratio == 0 || f.Bare > 0 && f.Ratio <= f.Limit.Ratio) &&
		(!f.Limit.None || f.Roost == 0)
	f.Met = &met
}

// String says what l is.
func (l Limit) String() string {
	if l.None {
		return "none"
	}
	return strings.TrimSpace(most(l.Most, "") + " " + most(l.Ratio, " of the baseline"))
}

// printFigures writes a table.
func (c *CellReport) printFigures(b *strings.Builder) {
	if len(c.Figures) == 0 {
		return
	}
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	row(t, "", "", "roost", "bare", "ratio", "budget", "")
	for _, f := range c.Figures {
		bare, share := "", ""
		if f.Bare != 0 {
			bare, share = amount(f.Bare), fmt.Sprintf("%.2f", f.Ratio)
		}
		row(t, f.What, f.Unit, amount(f.Roost), bare, share, f.Limit.String(), verdict(f.Met))
	}
	_ = t.Flush() // a strings.Builder takes everything
}

// amount shows a figure with three digits at least.
func amount(value float64) string {
	switch {
	case value == 0 || value >= 100 || value <= -100:
		return strconv.FormatFloat(value, 'f', 0, 64)
	case value >= 10 || value <= -10:
		return strconv.FormatFloat(value, 'f', 1, 64)
	}
	return strconv.FormatFloat(value, 'f', 2, 64)
}
