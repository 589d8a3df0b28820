package client

import (
	"context"
	"iter"
	"time"

	"github.com/roostbus/roost/bus"
)

// HistoryEntry is one thing that happened.
type HistoryEntry = bus.HistoryEntry

// HistoryQuery selects what has happened. The zero value is of all registrations.
type HistoryQuery struct {
	Scope
	// Object asks for objects of coordination of a kind instead of registrations, Service
	// being the object's name; [bus.AllObjects] for everything there is.
	Object string
	Since  time.Time // the zero Time is from the beginning
	After  uint64    // the Next of the page before
	Limit  int       // 0: as many as fit
}

// HistoryPage returns a page of what has happened, the oldest first. It is the operator's.
// Marks of what is missing are among it whatever is asked for. A registry that keeps no
// history answers nothing, which is ErrUnavailable.
func (c *Client) HistoryPage(ctx context.Context, q HistoryQuery) (*bus.HistoryReply, error) {
	body := bus.HistoryRequest{Namespace: q.Namespace, Service: q.Service, Object: q.Object, After: q.After}
	if q.Limit > 0 {
		body.Limit = &q.Limit
	}
	if !q.Since.IsZero() {
		since := bus.Instant(q.Since)
		body.Since = &since
	}
	if err := body.Validate(); err != nil {
		return nil, err
	}
	r := &request{subject: c.subjects.AdminHistory()}
	reply, _, err := c.ask(ctx, r, Read{}, func(bus.Freshness) any { return body })
	if err != nil {
		return nil, err
	}
	var page bus.HistoryReply
	if err := decode(reply, &page); err != nil {
		return nil, c.garbled(r, err)
	}
	return &page, nil
}

// History yields everything that q selects, page by page. The last pair carries the error,
// if any.
func (c *Client) History(ctx context.Context, q HistoryQuery) iter.Seq2[HistoryEntry, error] {
	return func(yield func(HistoryEntry, error) bool) {
		for {
			page, err := c.HistoryPage(ctx, q)
			if err != nil {
				yield(HistoryEntry{}, err)
				return
			}
			for _, e := range page.Entries {
				if !yield(e, nil) {
					return
				}
			}
			if q.After = page.Next; q.After == 0 {
				return
			}
		}
	}
}
