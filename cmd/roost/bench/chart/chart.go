package chart

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/golang/freetype/truetype"
	gochart "github.com/wcharczuk/go-chart/v2"
	"github.com/wcharczuk/go-chart/v2/drawing"
	"github.com/wcharczuk/go-chart/v2/roboto"

	"github.com/roostbus/roost/cmd/roost/bench"
)

// The colours, which the colour-blind can tell apart.
var (
	ink   = drawing.Color{R: 0x22, G: 0x22, B: 0x22, A: 0xff}
	faint = drawing.Color{R: 0x6b, G: 0x6b, B: 0x6b, A: 0xff}
	lines = drawing.Color{R: 0xdd, G: 0xdd, B: 0xdd, A: 0xff}
	good  = drawing.Color{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}
	bad   = drawing.Color{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}
	plain = drawing.Color{R: 0x99, G: 0x99, B: 0x99, A: 0xff}
)

const (
	width  = 1140
	margin = 24
	head   = 74 // height of what is said above all
)

// Write draws a report on w.
func Write(w io.Writer, r *bench.Report) error {
	var parts []part
	y := head
	if uses := budgets(r); len(uses) > 0 {
		b, height, err := drawBudgets(uses)
		if err != nil {
			return err
		}
		parts = append(parts, part{x: 0, y: y, svg: b})
		y += height
	}
	curves := r.Curves()
	for i := range curves {
		b, err := drawCurve(&curves[i])
		if err != nil {
			return err
		}
		column := i % columns
		parts = append(parts, part{x: margin + column*panelWidth, y: y, svg: b})
		if column == columns-1 || i == len(curves)-1 {
			y += panelHeight
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif">`, width, y+margin, width, y+margin)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" fill="#ffffff"/>`, width, y+margin)
	fmt.Fprintf(&out, `<text x="%d" y="30" font-size="18" font-weight="bold" fill="#222222">Roost against bare NATS, on the same machine in the same run</text>`, margin)
	for i, line := range said(r) {
		fmt.Fprintf(&out, `<text x="%d" y="%d" font-size="11" fill="#6b6b6b">%s</text>`, margin, 48+14*i, html.EscapeString(line))
	}
	for _, p := range parts {
		fmt.Fprintf(&out, `<g transform="translate(%d,%d)">`, p.x, p.y)
		out.Write(p.svg)
		out.WriteString("</g>")
	}
	out.WriteString("</svg>\n")
	_, err := w.Write(out.Bytes())
	return err
}

// part is a picture within the picture.
type part struct {
	x, y int
	svg  []byte
}

// said is what is said of the run.
func said(r *bench.Report) []string {
	machine := fmt.Sprintf("%d cores, %s/%s", r.Machine.Cores, r.Machine.OS, r.Machine.Arch)
	if r.Machine.CPU != "" {
		machine += ", " + r.Machine.CPU
	}
	return []string{
		strings.Join([]string{"roost " + r.Version, "nats-server " + r.NATS, "nats.go " + r.NATSGo, r.Go, machine}, " · "),
		fmt.Sprintf("medians of %d rounds of %d ms a side, over %d connections", r.Rounds, r.DurationMs, r.Connections),
	}
}

// canvas begins a picture of its own. Its texts must be escaped.
func canvas(width, height int) (gochart.Renderer, error) {
	r, err := gochart.SVG(width, height)
	if err != nil {
		return nil, err
	}
	font, err := truetype.Parse(roboto.Roboto) // the default one, which is kept without a lock
	if err != nil {
		return nil, err
	}
	r.SetDPI(gochart.DefaultDPI)
	r.SetFont(font)
	return r, nil
}

// finish returns the picture, which keeps its size within another one.
func finish(r gochart.Renderer, width, height int) ([]byte, error) {
	var b bytes.Buffer
	if err := r.Save(&b); err != nil {
		return nil, err
	}
	return sized(b.Bytes(), width, height), nil
}

// sized gives a picture the size that it says it shows.
func sized(svg []byte, width, height int) []byte {
	return bytes.Replace(svg, []byte("<svg "), fmt.Appendf(nil, `<svg width="%d" height="%d" `, width, height), 1)
}

// write writes text that ends at x, or begins there.
func write(r gochart.Renderer, text string, x, y int, size float64, color drawing.Color, right bool) {
	r.SetFontSize(size)
	r.SetFontColor(color)
	if right {
		x -= r.MeasureText(text).Width()
	}
	r.Text(html.EscapeString(text), x, y)
}

// line draws one, and forgets how.
func line(r gochart.Renderer, x1, y1, x2, y2 int, color drawing.Color, thickness float64) {
	r.SetStrokeColor(color)
	r.SetStrokeWidth(thickness)
	r.MoveTo(x1, y1)
	r.LineTo(x2, y2)
	r.Stroke()
}
