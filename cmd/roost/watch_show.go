package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/clipperhouse/displaywidth"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
)

// reasonCompacted is the reason of a gap behind which the state is another one.
const reasonCompacted = string(bus.CodeCompacted)

// eventLines writes events, a line each.
type eventLines struct {
	out  io.Writer
	json bool
	seen []int // how wide the columns have been
}

// The columns of the lines for people.
var (
	eventHeadings = []string{"TIME", "EVENT", "REVISION", "REGISTRATION", "STATUS", "REASON", "ENDPOINTS"}
	eventWidths   = []int{20, 12, 8, 24, 8, 6, 0} // to begin with
)

const (
	columnRegistration = 3
	columnReason       = 5
	columnEndpoints    = 6

	// widestReason and widestRegistration are what one line may demand of those after it.
	widestRegistration = 48
	widestReason       = 20
)

// begin writes the headings, for who reads on a terminal.
func (l *eventLines) begin() {
	if !l.json && terminalWidth(l.out) > 0 {
		_ = l.row(eventHeadings...) // the first event fails where this does
	}
}

func (l *eventLines) write(e client.Event) error {
	if l.json {
		return l.writeJSON(e)
	}
	if e.Kind == client.Gap {
		text := "what changed meanwhile is not known; list again"
		if e.Reason != reasonCompacted {
			text = "single changes may be missing here; the newest of each registration follows"
		}
		_, err := fmt.Fprintf(l.out, "%s  %-12s  (%s)\n", shownTime(time.Now()), e.Kind, text)
		return err
	}
	r := e.Registration
	at, status, endpoints := shownTime(time.Now()), "", ""
	switch {
	case !whole(r):
		at = "" // nobody remembers
	case !e.Kind.Removes():
		at, status, endpoints = shownTime(r.UpdatedAt), r.Status.String(), shownEndpoints(r.Endpoints)
	}
	reason := e.Reason
	if reason == e.Kind.String() {
		reason = ""
	}
	return l.row(at, e.Kind.String(), decimal(e.Revision), shownKey(r.Key), status, reason, endpoints)
}

// row writes cells under those before. On a terminal the endpoints are cut short first.
func (l *eventLines) row(cells ...string) error {
	if l.seen == nil {
		l.seen = slices.Clone(eventWidths)
	}
	widths := slices.Clone(l.seen)
	over := (len(widths)-1)*gap - terminalWidth(l.out)
	for i := range cells {
		cells[i] = visible(cells[i])
		widths[i] = max(widths[i], displaywidth.String(cells[i]))
		over += widths[i]
	}
	copy(l.seen, widths[:columnEndpoints])
	l.seen[columnRegistration] = min(widths[columnRegistration], widestRegistration)
	l.seen[columnReason] = min(widths[columnReason], widestReason)
	for _, i := range []int{columnEndpoints, columnReason, columnRegistration} {
		if terminalWidth(l.out) > 0 && over > 0 {
			cut := min(over, max(widths[i]-narrowest, 0))
			widths[i], over = widths[i]-cut, over-cut
		}
	}
	_, err := io.WriteString(l.out, aligned(cells, widths))
	return err
}

// whole reports whether r is more than a key: behind a gap nothing else is known of what
// was removed.
func whole(r *client.Registration) bool { return !r.CreatedAt.IsZero() }

func shownKey(k client.Key) string {
	return visible(k.Namespace + "/" + k.Service + "/" + shownInstance(k.Instance))
}

func (l *eventLines) writeJSON(e client.Event) error {
	line := struct {
		Event        string          `json:"event"`
		Reason       string          `json:"reason"`
		Revision     client.Revision `json:"revision"`
		Registration any             `json:"registration"`
	}{Event: e.Kind.String(), Reason: e.Reason, Revision: e.Revision}
	switch {
	case e.Registration != nil && whole(e.Registration):
		line.Registration = e.Registration
	case e.Registration != nil:
		line.Registration = struct {
			Namespace string `json:"namespace"`
			Service   string `json:"service"`
			Instance  string `json:"instance"`
		}{e.Registration.Namespace, e.Registration.Service, e.Registration.Instance}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // metadata comes out as it went in
	if err := encoder.Encode(line); err != nil {
		return err
	}
	_, err := l.out.Write(text.Bytes())
	return err
}
