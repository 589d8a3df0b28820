package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Moment is a point in the past: a revision of the present life of the bucket, or a time.
type Moment struct {
	Revision Revision // if not 0
	Time     time.Time
}

// String returns m for people.
func (m Moment) String() string {
	if m.Revision != 0 {
		return fmt.Sprintf("revision %d", m.Revision)
	}
	return m.Time.UTC().Format(time.RFC3339)
}

func (m Moment) covers(revision Revision, at time.Time) bool {
	if m.Revision != 0 {
		return revision <= m.Revision
	}
	return !at.After(m.Time)
}

// ErrNotRecorded means that what was there at a moment cannot be told.
var ErrNotRecorded = errors.New("that moment is not recorded")

// Past is one registration that was there.
type Past struct {
	Registration
	// Later says that who was registered is certain, but what it said of itself is as of its
	// next change: what it said before is older than the history.
	Later bool
}

// recordedPatience is how long ListAt waits for the history to have what the list has.
const recordedPatience = 10 * time.Second

// ListAt returns who was registered at a moment in a scope, in the order of keys. It reads
// the history of the scope and what is there now. ErrNotRecorded before the history begins,
// before the bucket was made anew, and where changes may be missing.
func (c *Client) ListAt(ctx context.Context, scope Scope, at Moment) ([]Past, error) {
	now := map[Key]*Registration{}
	q := Query{Scope: scope, Read: Read{Consistency: Linearizable}}
	_, stamp, err := c.List(ctx, Query{Scope: scope, Limit: 1, Read: q.Read})
	if err != nil {
		return nil, err
	}
	for r, err := range c.All(ctx, q) {
		if err != nil {
			return nil, err
		}
		now[r.Key] = r
		stamp.Revision = max(stamp.Revision, r.Revision)
	}
	if err := c.awaitRecorded(ctx, stamp.Revision); err != nil {
		return nil, err
	}
	p := newPast(at)
	h := HistoryQuery{Scope: scope}
	for {
		page, err := c.HistoryPage(ctx, h)
		if err != nil {
			return nil, err
		}
		if h.After == 0 {
			if err := p.begin(page.First); err != nil {
				return nil, err
			}
		}
		for i := range page.Entries {
			if err := p.take(&page.Entries[i]); err != nil {
				return nil, err
			}
		}
		if h.After = page.Next; h.After == 0 {
			return p.state(now)
		}
	}
}

// awaitRecorded waits until a node says that the history reaches revision.
func (c *Client) awaitRecorded(ctx context.Context, revision Revision) error {
	ctx, cancel := context.WithTimeout(ctx, recordedPatience)
	defer cancel()
	for {
		page, err := c.HistoryPage(ctx, HistoryQuery{Limit: 1})
		if err == nil && page.Recorded >= revision {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%w: the history has not come to revision %d", backend.ErrUnavailable, revision)
		}
	}
}

// past finds out what was there at a moment from what happened before and after it.
type past struct {
	at     Moment
	before map[Key]*bus.HistoryEntry // the newest until the moment
	after  map[Key]*bus.HistoryEntry // the first behind it
	last   time.Time                 // of the entry before
}

func newPast(at Moment) *past {
	return &past{at: at, before: map[Key]*bus.HistoryEntry{}, after: map[Key]*bus.HistoryEntry{}}
}

func (p *past) begin(first *bus.HistoryBound) error {
	if first == nil {
		return fmt.Errorf("%w: there is no history yet", ErrNotRecorded)
	}
	if !p.at.covers(first.Revision, first.Time.Time()) {
		return fmt.Errorf("%w: the history begins at %s, revision %d", ErrNotRecorded, first.Time.Time().Format(time.RFC3339), first.Revision)
	}
	return nil
}

// take takes the next entry.
func (p *past) take(e *bus.HistoryEntry) error {
	at := e.Time.Time()
	defer func() { p.last = at }()
	switch e.Kind {
	case bus.HistoryAnew:
		if p.at.Revision == 0 && !p.at.covers(0, at) {
			return fmt.Errorf("%w: the bucket was made anew at %s, and what was in it before is known as far as roost history shows it",
				ErrNotRecorded, at.Format(time.RFC3339))
		}
		clear(p.before)
		clear(p.after)
		return nil
	case bus.HistoryGap:
		return p.gap(e)
	case bus.HistoryBegin:
		return nil
	}
	if e.Object != bus.ObjectRegistration {
		return nil
	}
	key := Key{Namespace: e.Namespace, Service: e.Service, Instance: e.Instance}
	if p.at.covers(e.Revision, at) {
		p.before[key] = e
	} else if p.after[key] == nil {
		p.after[key] = e
	}
	return nil
}

// gap refuses a moment that lies where changes may be missing.
func (p *past) gap(e *bus.HistoryEntry) error {
	inside := e.From < p.at.Revision && p.at.Revision < e.To
	if p.at.Revision == 0 {
		inside = p.last.Before(p.at.Time) && p.at.Time.Before(e.Time.Time())
	}
	if inside {
		return fmt.Errorf("%w: no node recorded between %s, revision %d, and %s, revision %d, where changes may be missing",
			ErrNotRecorded, p.last.Format(time.RFC3339), e.From, e.Time.Time().Format(time.RFC3339), e.To)
	}
	return nil
}

// state returns what was there.
func (p *past) state(now map[Key]*Registration) ([]Past, error) {
	found := map[Key]Past{}
	for key, e := range p.before {
		if !removes(e) {
			r, err := p.registration(e)
			if err != nil {
				return nil, err
			}
			found[key] = Past{Registration: r}
		}
	}
	for key, e := range p.after {
		if p.before[key] != nil || e.Kind == backend.Registered.String() && e.Reason != backend.ReasonReplaced {
			continue // known, or not there before
		}
		r, err := p.registration(e)
		if err != nil {
			return nil, err
		}
		found[key] = Past{Registration: r, Later: !removes(e)}
	}
	for key, r := range now {
		if p.before[key] == nil && p.after[key] == nil && p.at.covers(r.Revision, r.UpdatedAt) {
			found[key] = Past{Registration: *r}
		}
	}
	sorted := slices.SortedFunc(maps.Values(found), func(a, b Past) int {
		return slices.Compare([]byte(a.Key.String()), []byte(b.Key.String()))
	})
	return sorted, nil
}

func removes(e *bus.HistoryEntry) bool {
	return e.Kind == backend.Unregistered.String() || e.Kind == backend.Expired.String()
}

func (p *past) registration(e *bus.HistoryEntry) (Registration, error) {
	r, err := backend.ParseRegistration(e.Body)
	if err != nil {
		return r, fmt.Errorf("history at revision %d: %w", e.Revision, err)
	}
	if r.Revision == 0 && !removes(e) {
		r.Revision = e.Revision
	}
	return r, nil
}
