package view

import (
	"context"
	"slices"

	"github.com/roostbus/roost/backend"
)

// ReasonUnmatched is the reason given for what changed and does not match the query.
const ReasonUnmatched = "unmatched"

// Removed is a key that is not, or no longer, among what a query selects.
type Removed struct {
	backend.Key
	Kind     backend.EventKind // Unregistered, Expired or Unmatched
	Revision backend.Revision
	Reason   string
}

// Changes is one page of what changed after a revision.
type Changes struct {
	// Registrations are those that were added or changed and match, Removed those that
	// were removed or do not match; each in the order of keys.
	Registrations []*backend.Registration
	Removed       []Removed
	Next          string
}

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

// Since returns one page of what changed in q's scope after revision since. q's limits
// count removals too. It waits until the view has come as far as since. ErrCompacted if
// since is of another epoch or older than what is remembered.
func (v *View) Since(ctx context.Context, q backend.Query, match Match, since backend.Revision) (*Changes, backend.Stamp, error) {
	cursor, err := backend.ParseCursor(q.After)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	if err := v.await(ctx, &q.Read, max(cursor.Revision, since), cursor.Epoch); err != nil {
		return nil, backend.Stamp{}, err
	}
	v.mu.RLock()
	c := v.core.Load()
	stamp, floor := c.stamp(), c.floor
	var all []changed
	if since >= floor {
		all = c.changedAfter(q.Scope, since)
	}
	v.mu.RUnlock()
	if cursor.Epoch != 0 && cursor.Epoch != stamp.Epoch {
		return nil, backend.Stamp{}, elsewhere(cursor.Epoch, stamp.Epoch)
	}
	if since < floor {
		return nil, backend.Stamp{}, forgotten(since, floor)
	}
	if cursor.Revision != 0 {
		stamp.Revision = cursor.Revision
	}
	page, err := changesPage(ctx, all, &q, match, cursor, stamp)
	return page, stamp, err
}

func changesPage(ctx context.Context, all []changed, q *backend.Query, match Match, cursor backend.Cursor, stamp backend.Stamp) (*Changes, error) {
	if cursor.Key != "" {
		key, err := cursorKey(cursor)
		if err != nil {
			return nil, err
		}
		last := behind(key)
		all = slices.DeleteFunc(all, func(n changed) bool { return last.compare(n.row) > 0 })
	}
	slices.SortFunc(all, compareChanged)
	page := &Changes{}
	left := newAllowance(q)
	var scratch []byte
	for i, n := range all {
		if match != nil && ctx.Err() != nil {
			return nil, unavailable(ctx, "list changes")
		}
		out := n.gone || !matches(q, match, &n.Registration)
		size := 0
		if q.MaxBytes > 0 {
			if size = removedSize(n.version); !out {
				size = n.bytes(&scratch)
			}
		}
		if !left.take(size) {
			page.Next = backend.Cursor{Revision: stamp.Revision, Epoch: stamp.Epoch, Key: all[i-1].Key.String()}.String()
			return page, nil
		}
		switch {
		case n.gone:
			page.Removed = append(page.Removed, Removed{Key: n.Key, Kind: n.kind, Revision: n.shown, Reason: n.reason})
		case out:
			page.Removed = append(page.Removed, Removed{
				Key: n.Key, Kind: backend.Unmatched, Revision: n.shown, Reason: ReasonUnmatched,
			})
		default:
			page.Registrations = append(page.Registrations, &n.Registration)
		}
	}
	return page, nil
}

// removedSize is at least the length of a removal as JSON.
func removedSize(n *version) int {
	return 120 + 2*(len(n.Namespace)+len(n.Service)+len(n.Instance)+len(n.reason))
}
