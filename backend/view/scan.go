package view

import (
	"context"

	"github.com/roostbus/roost/backend"
)

// scan calls yield for what q and match select behind at, in order, until yield says
// stop. It looks at size rows under one lock, or fewer where not all of them may match,
// and matches without the lock, so that no filter holds up the feeder. The stamp is that
// of the first batch: what later ones show is newer.
func (v *View) scan(ctx context.Context, q *backend.Query, match Match, at position, size int, yield func(*version) bool) (backend.Stamp, error) {
	plain := q.Everything() && match == nil
	if !plain {
		size = min(size, v.batch)
	}
	var stamp backend.Stamp
	var rows []*version
	for first, more := true, true; more; first = false {
		var now backend.Stamp
		rows, now, more = v.look(q, &at, size, rows[:0])
		if first {
			stamp = now
		}
		if now.Epoch != stamp.Epoch {
			return stamp, elsewhere(stamp.Epoch, now.Epoch)
		}
		for _, n := range rows {
			if match != nil && ctx.Err() != nil {
				return stamp, unavailable(ctx, "list")
			}
			if !plain && !matches(q, match, &n.Registration) {
				continue
			}
			if !yield(n) {
				return stamp, nil
			}
		}
		if ctx.Err() != nil {
			return stamp, unavailable(ctx, "list")
		}
		size = max(size, v.batch)
	}
	return stamp, nil
}

// look appends up to size rows behind at that may match q, moves at behind them, and
// reports whether there may be more.
func (v *View) look(q *backend.Query, at *position, size int, rows []*version) ([]*version, backend.Stamp, bool) {
	for {
		v.mu.RLock()
		c := v.core.Load()
		source, build := c.source(q, v.small)
		if build != nil {
			v.mu.RUnlock()
			v.build(c, build)
			continue
		}
		var last *row
		n := 0
		more := false
		source(q.Scope, at, func(r *row) bool {
			if more = n == size; more {
				return false
			}
			rows = append(rows, r.version.Load())
			last = r
			n++
			return true
		})
		stamp := c.stamp()
		v.mu.RUnlock()
		if last != nil {
			*at = position{prefix: last.service.prefix, instance: last.instance}
		}
		return rows, stamp, more
	}
}

// walker calls yield for rows of scope behind at, in order, until yield says stop.
type walker func(scope backend.Scope, at *position, yield func(*row) bool)

// source returns what is to be looked through for q: the shortest posting of the index,
// or all rows. If it needs an index that is not there, it returns the builder of that.
func (c *core) source(q *backend.Query, small int) (walker, *builder) {
	if len(q.Where) == 0 {
		return c.walk, nil
	}
	if q.Service != "" {
		s := c.services[q.Scope]
		if s == nil || s.live.len() <= small {
			return c.walk, nil
		}
		if c.index.ready() {
			return c.index.shortest(q.Where), nil
		}
		if !s.index.ready() {
			return nil, &builder{service: s, scope: s.Scope}
		}
		return s.index.shortest(q.Where), nil
	}
	if c.live <= small {
		return c.walk, nil
	}
	if !c.index.ready() {
		return nil, &builder{}
	}
	return c.index.shortest(q.Where), nil
}

// walk is the walker over all rows.
func (c *core) walk(scope backend.Scope, at *position, yield func(*row) bool) {
	p := c.order.seek(func(s *service) bool { return s.prefix < at.prefix })
	for s, ok := c.order.at(p); ok && within(scope, s.Scope); s, ok = c.order.at(p) {
		var from place
		if s.prefix == at.prefix && !at.before {
			from = s.live.seek(func(r *row) bool { return compareInstances(r.instance, at.instance) <= 0 })
		}
		for r, ok := s.live.at(from); ok; r, ok = s.live.at(from) {
			if !yield(r) {
				return
			}
			from = s.live.next(from)
		}
		p = c.order.next(p)
	}
}
