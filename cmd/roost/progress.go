package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progressBar draws how far something has come on a terminal, and nothing anywhere else.
type progressBar struct {
	out   io.Writer
	what  string
	width int
	drawn time.Time
}

// barEvery is how often a bar is drawn at most.
const barEvery = 100 * time.Millisecond

func newProgressBar(out io.Writer, what string, quiet bool) *progressBar {
	b := &progressBar{out: out, what: what, width: terminalWidth(out)}
	if quiet {
		b.width = 0
	}
	return b
}

// show is told that done of total are done.
func (b *progressBar) show(done, total int) {
	if b.width == 0 || done < total && time.Since(b.drawn) < barEvery {
		return
	}
	b.drawn = time.Now()
	fmt.Fprint(b.out, "\r\x1b[K", barOf(b.what, done, total, b.width)) //nolint:errcheck // it is gone in a moment anyway
}

// end wipes the bar away.
func (b *progressBar) end() {
	if b.width > 0 {
		fmt.Fprint(b.out, "\r\x1b[K") //nolint:errcheck // as above
	}
}

// barOf returns a line of at most width columns.
func barOf(what string, done, total, width int) string {
	percent := 100
	if total > 0 {
		percent = min(done*100/total, 100)
	}
	text := fmt.Sprintf("%s %3d%% %d/%d", what, percent, done, total)
	room := min(width-len(text)-4, 40)
	if room < 5 {
		return text[:min(len(text), max(width-1, 0))]
	}
	full := room * percent / 100
	return fmt.Sprintf("%s [%s%s]", text, strings.Repeat("#", full), strings.Repeat(".", room-full))
}
