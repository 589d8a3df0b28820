package view

import (
	"context"
	"slices"

	"github.com/roostbus/roost/backend"
)

// newest returns the greatest revision that c knows of.
func (c *core) newest() backend.Revision {
	n := c.revision()
	if s := c.recent.newest; s != nil {
		n = max(n, s.newest)
	}
	return n
}

// changed is a row and what it changed to.
type changed struct {
	row *row
	*version
}

func compareChanged(a, b changed) int { return a.row.compare(b.row) }

// changedAfter returns the rows of scope that changed after revision, in no order. It
// costs as much as there are, and nothing for what did not change.
func (c *core) changedAfter(scope backend.Scope, revision backend.Revision) []changed {
	var all []changed
	inService := func(s *service) {
		for _, members := range [...]*chain[*row]{&s.changes, &s.goners} {
			for r := range members.after(revision) {
				all = append(all, changed{r, r.version.Load()})
			}
		}
	}
	inSpace := func(sp *space) {
		for s := range sp.services.after(revision) {
			inService(s)
		}
	}
	switch {
	case scope.Service != "":
		if s := c.services[scope]; s != nil {
			inService(s)
		}
	case scope.Namespace != "":
		if sp := c.spaces[scope.Namespace]; sp != nil {
			inSpace(sp)
		}
	default:
		for sp := range c.recent.after(revision) {
			inSpace(sp)
		}
	}
	return all
}

// newestIn returns the revision of the newest change in scope. Above the floor, that is
// below the revision asked for exactly if changedAfter has nothing.
func (c *core) newestIn(scope backend.Scope) backend.Revision {
	switch {
	case scope.Service != "":
		if s := c.services[scope]; s != nil {
			return s.newest
		}
	case scope.Namespace != "":
		if sp := c.spaces[scope.Namespace]; sp != nil {
			return sp.newest
		}
	default:
		if sp := c.recent.newest; sp != nil {
			return sp.newest
		}
	}
	return 0
}

// since returns one page of what changed in q's scope after *q.Since, which the view has
// reached. q.Epoch is set.
func (v *View) since(ctx context.Context, q *backend.Query, match Match, cursor backend.Cursor) (*backend.Page, backend.Stamp, error) {
	v.mu.RLock()
	c := v.core.Load()
	stamp, floor := c.stamp(), c.floor
	var all []changed
	if *q.Since >= floor && q.Epoch == c.epoch {
		all = c.changedAfter(q.Scope, *q.Since)
	}
	v.mu.RUnlock()
	switch {
	case q.Epoch != stamp.Epoch:
		return nil, backend.Stamp{}, elsewhere(q.Epoch, stamp.Epoch)
	case cursor.Epoch != 0 && cursor.Epoch != stamp.Epoch:
		return nil, backend.Stamp{}, elsewhere(cursor.Epoch, stamp.Epoch)
	case *q.Since < floor:
		return nil, backend.Stamp{}, forgotten(*q.Since, floor)
	case cursor.Revision != 0:
		stamp.Revision = cursor.Revision
	}
	page, err := changesPage(ctx, all, q, match, cursor, stamp)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	return page, stamp, nil
}

func changesPage(ctx context.Context, all []changed, q *backend.Query, match Match, cursor backend.Cursor, stamp backend.Stamp) (*backend.Page, error) {
	if cursor.Key != "" {
		key, err := cursorKey(cursor)
		if err != nil {
			return nil, err
		}
		last := behind(key)
		all = slices.DeleteFunc(all, func(n changed) bool { return last.compare(n.row) > 0 })
	}
	slices.SortFunc(all, compareChanged)
	page := &backend.Page{Removed: []backend.Removed{}}
	left := newAllowance(q)
	var scratch []byte
	for i, n := range all {
		if match != nil && ctx.Err() != nil {
			return nil, unavailable(ctx, "list changes")
		}
		out := backend.Removed{Key: n.Key, Revision: n.shown, Reason: n.reason}
		stays := !n.gone
		if stays && !matches(q, match, &n.Registration) {
			stays, out.Reason = false, backend.ReasonUnmatched
		}
		size := 0
		switch {
		case q.MaxBytes == 0:
		case stays:
			size = n.bytes(&scratch)
		default:
			scratch = out.AppendJSON(scratch[:0])
			size = len(scratch)
		}
		if !left.take(size) {
			page.Next = backend.Cursor{Revision: stamp.Revision, Epoch: stamp.Epoch, Key: all[i-1].Key.String()}.String()
			return page, nil
		}
		if stays {
			page.Registrations = append(page.Registrations, &n.Registration)
		} else {
			page.Removed = append(page.Removed, out)
		}
	}
	return page, nil
}
