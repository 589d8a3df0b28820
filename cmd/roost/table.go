package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/clipperhouse/displaywidth"
)

// table is rows of cells under headings, aligned by how wide terminals draw them.
type table struct {
	headings []string
	rows     [][]string
	// flexible are the columns that may be cut short to fit a terminal.
	flexible []int
}

// narrowest is what a flexible column is not cut below.
const narrowest = 12

// gap is between columns.
const gap = 2

func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = visible(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// write writes t, cut to a width of limit columns unless that is 0.
func (t *table) write(w io.Writer, limit int) error {
	widths := t.widths(limit)
	var text strings.Builder
	for _, row := range append([][]string{t.headings}, t.rows...) {
		text.WriteString(aligned(row, widths))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// aligned returns the line of a row whose columns are as wide as widths.
func aligned(row []string, widths []int) string {
	var line strings.Builder
	for i, cell := range row {
		cell = displaywidth.TruncateString(cell, widths[i], "…")
		line.WriteString(cell)
		line.WriteString(strings.Repeat(" ", widths[i]-displaywidth.String(cell)+gap))
	}
	return strings.TrimRight(line.String(), " ") + "\n"
}

// widths returns how wide each column is.
func (t *table) widths(limit int) []int {
	widths := make([]int, len(t.headings))
	for _, row := range append([][]string{t.headings}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], displaywidth.String(cell))
		}
	}
	for limit > 0 {
		total := (len(widths) - 1) * gap
		for _, n := range widths {
			total += n
		}
		widest := -1
		for _, i := range t.flexible {
			if widths[i] > narrowest && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if total <= limit || widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

// visible returns s with everything replaced that would move a terminal's cursor, change
// its state or the direction of the text: what is registered is not ours.
func visible(s string) string {
	hidden := func(r rune) bool {
		return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar
	}
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
