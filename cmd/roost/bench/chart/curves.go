package chart

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	gochart "github.com/wcharczuk/go-chart/v2"
	"github.com/wcharczuk/go-chart/v2/drawing"

	"github.com/roostbus/roost/cmd/roost/bench"
)

const (
	columns     = 3
	panelWidth  = (width - 2*margin) / columns
	panelHeight = 250

	left, right, top, bottom = 58, 20, 44, 44 // around the curves of a panel
)

// axis maps numbers to pixels so that each tenfold is as far apart.
type axis struct{ low, high, from, to float64 }

// axisOf spans values from power of ten to power of ten.
func axisOf(values []float64, from, to float64) axis {
	a := axis{low: math.Floor(math.Log10(slices.Min(values))), high: math.Ceil(math.Log10(slices.Max(values))), from: from, to: to}
	if a.high <= a.low {
		a.high = a.low + 1
	}
	return a
}

func (a axis) at(value float64) int {
	return int(math.Round(a.from + (a.to-a.from)*(math.Log10(value)-a.low)/(a.high-a.low)))
}

// marks are the powers of ten on an axis.
func (a axis) marks() (marks []float64) {
	for power := a.low; power <= a.high; power++ {
		marks = append(marks, math.Pow(10, power))
	}
	return marks
}

// short shows a power of ten in few letters.
func short(value float64) string {
	switch {
	case value >= 1e6:
		return strconv.FormatFloat(value/1e6, 'f', -1, 64) + "M"
	case value >= 1e3:
		return strconv.FormatFloat(value/1e3, 'f', -1, 64) + "k"
	}
	return strconv.FormatFloat(value, 'g', 3, 64)
}

// drawCurve draws a panel.
func drawCurve(c *bench.Curve) ([]byte, error) {
	r, err := canvas(panelWidth, panelHeight)
	if err != nil {
		return nil, err
	}
	var xs, ys []float64
	for _, p := range c.Points {
		xs = append(xs, p.X)
		for _, y := range []float64{p.Roost, p.Bare} {
			if y > 0 {
				ys = append(ys, y)
			}
		}
	}
	if len(ys) == 0 {
		return finish(r, panelWidth, panelHeight)
	}
	x, y := axisOf(xs, left, panelWidth-right), axisOf(ys, panelHeight-bottom, top)
	write(r, fmt.Sprintf("%s  %s", c.ID, c.What), 4, 14, 10, ink, false)
	for _, mark := range x.marks() {
		line(r, x.at(mark), top, x.at(mark), panelHeight-bottom, lines, 1)
		write(r, short(mark), x.at(mark)-8, panelHeight-bottom+14, 8, faint, false)
	}
	for _, mark := range y.marks() {
		line(r, left, y.at(mark), panelWidth-right, y.at(mark), lines, 1)
		write(r, short(mark), left-6, y.at(mark)+4, 8, faint, true)
	}
	write(r, c.Of, panelWidth-right, panelHeight-bottom+28, 8, faint, true)
	write(r, c.Unit, left-6, top-10, 8, faint, true)
	drawLine(r, c, x, y, plain, func(p bench.Point) float64 { return p.Bare })
	drawLine(r, c, x, y, good, func(p bench.Point) float64 { return p.Roost })
	legend(r)
	return finish(r, panelWidth, panelHeight)
}

// drawLine draws one of a panel's two curves.
func drawLine(r gochart.Renderer, c *bench.Curve, x, y axis, color drawing.Color, value func(bench.Point) float64) {
	lastX, lastY, drawn := 0, 0, false
	for _, p := range c.Points {
		if value(p) <= 0 {
			continue
		}
		atX, atY := x.at(p.X), y.at(value(p))
		if drawn {
			line(r, lastX, lastY, atX, atY, color, 2)
		}
		r.SetFillColor(color)
		r.SetStrokeColor(color)
		r.Circle(3, atX, atY)
		r.Fill()
		lastX, lastY, drawn = atX, atY, true
	}
}

// legend says which curve is whose.
func legend(r gochart.Renderer) {
	const y = 30
	line(r, left, y-4, left+18, y-4, good, 2)
	write(r, "Roost", left+22, y, 8, ink, false)
	line(r, left+70, y-4, left+88, y-4, plain, 2)
	write(r, "bare NATS", left+92, y, 8, ink, false)
}
