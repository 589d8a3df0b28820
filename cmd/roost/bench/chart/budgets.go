package chart

import (
	"fmt"
	"math"

	gochart "github.com/wcharczuk/go-chart/v2"

	"github.com/roostbus/roost/cmd/roost/bench"
)

const (
	rowHeight  = 17
	above      = 34 // the rows
	below      = 30
	scaleLeft  = 360
	scaleRight = 900
	most       = 4 // times a budget, or a share of it, is as far as the scale goes
)

// use is one row.
type use struct {
	bench.Use
	id string
}

func budgets(r *bench.Report) (uses []use) {
	for i := range r.Cells {
		for _, u := range r.Cells[i].Uses(false) {
			uses = append(uses, use{Use: u, id: r.Cells[i].ID})
		}
	}
	return uses
}

// at returns where a share of a budget lies: each half and each double as far apart.
func at(share float64) int {
	far := math.Log2(most)
	log := max(-far, min(far, math.Log2(share)))
	return scaleLeft + int(float64(scaleRight-scaleLeft)*(log+far)/(2*far))
}

// drawBudgets draws a row for each.
func drawBudgets(uses []use) (svg []byte, height int, err error) {
	height = above + rowHeight*len(uses) + below
	r, err := canvas(width, height)
	if err != nil {
		return nil, 0, err
	}
	write(r, "How much of each budget is taken", margin, 12, 11, ink, false)
	bottom := above + rowHeight*len(uses)
	for share := 1.0 / most; share <= most; share *= 2 {
		color, thickness := lines, 1.0
		if share == 1 {
			color, thickness = ink, 1.5
		}
		line(r, at(share), above-6, at(share), bottom, color, thickness)
		write(r, label(share), at(share)-8, above-12, 8, faint, false)
	}
	for i, u := range uses {
		drawUse(r, u, above+rowHeight*i+rowHeight/2, i == 0 || uses[i-1].id != u.id)
	}
	write(r, "left of the line: within the budget; right of it: missed. What lies beyond the scale is drawn at its end.", margin, bottom+18, 8, faint, false)
	svg, err = finish(r, width, height)
	return svg, height, err
}

func label(share float64) string {
	if share < 1 {
		return fmt.Sprintf("1/%.0f", 1/share)
	}
	return fmt.Sprintf("%.0f ×", share)
}

// drawUse draws a row at a height.
func drawUse(r gochart.Renderer, u use, y int, first bool) {
	if first {
		line(r, margin, y-rowHeight/2, width-margin, y-rowHeight/2, lines, 1)
		write(r, u.id, margin, y+4, 9, ink, false)
	}
	what := u.Where
	if u.What != "" {
		what += ": " + u.What
	}
	write(r, what, margin+44, y+4, 8.5, ink, false)
	color := good
	if !u.Met {
		color = bad
	}
	x := at(u.Share)
	line(r, at(1), y, x, y, color, 5)
	r.SetFillColor(color)
	r.SetStrokeColor(color)
	r.Circle(4, x, y)
	r.Fill()
	write(r, u.Measured, scaleRight+100, y+4, 8.5, color, true)
	write(r, u.Limit, scaleRight+112, y+4, 8.5, faint, false)
}
