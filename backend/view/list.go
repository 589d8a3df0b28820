package view

import (
	"context"

	"github.com/roostbus/roost/backend"
)

// wholePage is a page with all of one service.
type wholePage struct {
	page  backend.Page
	bytes int // of its entries as JSON
}

// allowance is what is left of a page's limits.
type allowance struct {
	entries, bytes int
	bounded        bool
	begun          bool
}

func newAllowance(q *backend.Query) allowance {
	a := allowance{entries: q.Limit, bytes: q.MaxBytes, bounded: q.MaxBytes > 0}
	if a.entries == 0 {
		a.entries = backend.DefaultListLimit
	}
	return a
}

// take reports whether an entry of size bytes fits, and counts it.
func (a *allowance) take(size int) bool {
	if a.entries == 0 || a.bounded && a.begun && size > a.bytes {
		return false
	}
	a.begun = true
	a.entries--
	a.bytes -= size
	return true
}

func cursorKey(c backend.Cursor) (backend.Key, error) {
	key, err := backend.ParseKey(c.Key)
	if err != nil {
		return key, backend.Invalid("after", "is not what a page of this list gave as next")
	}
	return key, nil
}

// List returns one page of what q selects, after waiting for what q.Read asks, but for
// a change: that is [View.AwaitChange]. All of a service is the same page until something
// in the service changes.
func (v *View) List(ctx context.Context, q backend.Query, match Match) (*backend.Page, backend.Stamp, error) {
	cursor, err := backend.ParseCursor(q.After)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	if q.Since != nil {
		if err := v.reach(ctx, &q, cursor); err != nil {
			return nil, backend.Stamp{}, err
		}
		return v.since(ctx, &q, match, cursor)
	}
	if err := v.await(ctx, &q.Read, cursor.Revision, cursor.Epoch); err != nil {
		return nil, backend.Stamp{}, err
	}
	at := start(q.Scope)
	if cursor.Key != "" {
		key, err := cursorKey(cursor)
		if err != nil {
			return nil, backend.Stamp{}, err
		}
		at = at.later(behind(key))
	} else if q.Service != "" && q.Everything() && match == nil {
		if page, stamp := v.whole(&q); page != nil {
			return page, stamp, nil
		}
	}
	return v.page(ctx, &q, match, at, cursor)
}

// whole returns all of a service as one page, or nil where that is more than q allows.
func (v *View) whole(q *backend.Query) (*backend.Page, backend.Stamp) {
	v.mu.RLock()
	c := v.core.Load()
	stamp := c.stamp()
	s := c.services[q.Scope]
	limit := q.Limit
	if limit == 0 {
		limit = backend.DefaultListLimit
	}
	if s == nil || s.live.len() == 0 || s.live.len() > limit {
		v.mu.RUnlock()
		return nil, stamp
	}
	w := s.page.Load()
	if w == nil {
		w = s.makePage()
		if !s.page.CompareAndSwap(nil, w) {
			w = s.page.Load() // only a feeder takes it away, and we keep those out
		}
	}
	v.mu.RUnlock()
	if q.MaxBytes > 0 && w.bytes > q.MaxBytes {
		return nil, stamp
	}
	return &w.page, stamp
}

// makePage returns all of s. Of a row that has not changed since the last time, the size
// is known.
func (s *service) makePage() *wholePage {
	w := &wholePage{}
	w.page.Registrations = make([]*backend.Registration, 0, s.live.len())
	var scratch []byte
	for _, chunk := range s.live.chunks {
		for _, r := range chunk {
			n := r.version.Load()
			w.bytes += n.bytes(&scratch)
			w.page.Registrations = append(w.page.Registrations, &n.Registration)
		}
	}
	return w
}

// page collects one page from at on.
func (v *View) page(ctx context.Context, q *backend.Query, match Match, at position, cursor backend.Cursor) (*backend.Page, backend.Stamp, error) {
	page := &backend.Page{}
	left := newAllowance(q)
	var scratch []byte
	more := false
	stamp, err := v.scan(ctx, q, match, at, left.entries+1, func(n *version) bool {
		size := 0
		if q.MaxBytes > 0 {
			size = n.bytes(&scratch)
		}
		if more = !left.take(size); more {
			return false
		}
		page.Registrations = append(page.Registrations, &n.Registration)
		return true
	})
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	if cursor.Epoch != 0 && cursor.Epoch != stamp.Epoch {
		return nil, backend.Stamp{}, elsewhere(cursor.Epoch, stamp.Epoch)
	}
	if cursor.Revision != 0 {
		stamp.Revision = cursor.Revision
	}
	if more {
		last := page.Registrations[len(page.Registrations)-1]
		page.Next = backend.Cursor{Revision: stamp.Revision, Epoch: stamp.Epoch, Key: last.Key.String()}.String()
	}
	return page, stamp, nil
}

// Count returns how many registrations q selects, after waiting for what q.Read asks.
func (v *View) Count(ctx context.Context, q backend.Query, match Match) (int, backend.Stamp, error) {
	if err := v.await(ctx, &q.Read, 0, 0); err != nil {
		return 0, backend.Stamp{}, err
	}
	if q.Everything() && match == nil {
		n, stamp := v.countAll(q.Scope)
		return n, stamp, nil
	}
	n := 0
	stamp, err := v.scan(ctx, &q, match, start(q.Scope), v.batch, func(*version) bool { n++; return true })
	if err != nil {
		return 0, backend.Stamp{}, err
	}
	return n, stamp, nil
}

func (v *View) countAll(scope backend.Scope) (int, backend.Stamp) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	c := v.core.Load()
	switch {
	case scope.Service != "":
		if s := c.services[scope]; s != nil {
			return s.live.len(), c.stamp()
		}
		return 0, c.stamp()
	case scope.Namespace != "":
		if sp := c.spaces[scope.Namespace]; sp != nil {
			return sp.live, c.stamp()
		}
		return 0, c.stamp()
	}
	return c.live, c.stamp()
}
