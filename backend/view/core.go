package view

import (
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/backend"
)

// core is the table in one state of one epoch. A rebuild makes another one beside it.
type core struct {
	epoch backend.Epoch
	head  atomic.Uint64 // everything up to here has been applied

	table    table
	services map[backend.Scope]*service
	order    ordered[*service]
	spaces   map[string]*space
	recent   chain[*space]
	owners   map[string]*owner
	names    map[string]string // strings that many rows have in common

	nothing *version // of a row that has not been shown

	live   int // rows that readers see
	filled int // services that have one
	index  *index

	// Removals are known from floor on. Those that this table itself knew and forgot
	// are not newer than forgotten.
	floor, forgotten backend.Revision
	oblivion         queue

	// loading says that chains are made later, by relink: a snapshot may come in any order.
	loading bool
}

// maxNames bounds core.names; what is not in it is kept with its row.
const maxNames = 4096

func newCore(epoch backend.Epoch) *core {
	c := &core{
		epoch: epoch, services: map[backend.Scope]*service{}, spaces: map[string]*space{},
		owners: map[string]*owner{}, names: map[string]string{}, nothing: &version{gone: true},
	}
	c.table.init()
	return c
}

func (c *core) revision() backend.Revision { return backend.Revision(c.head.Load()) }

// advance says that everything up to revision has been applied.
func (c *core) advance(revision backend.Revision) {
	if revision > c.revision() {
		c.head.Store(uint64(revision))
	}
}

// apply takes in what the store said about one key. It returns the row's new version if
// watchers must hear of it.
func (c *core) apply(ch *Change, now time.Time) *version {
	if ch.Revision == 0 {
		return nil // nothing was committed
	}
	r := c.table.get(&ch.Registration.Key)
	var old *version
	if r != nil {
		old = r.version.Load()
		if ch.Revision <= old.stored || old.stored == 0 && ch.Revision <= old.shown {
			return nil
		}
	}
	next := &version{
		operation: ch.Operation, reason: c.intern(ch.Reason), kind: ch.Kind,
		stored: ch.Revision, shown: ch.Revision, previous: ch.Previous, merged: ch.Merged || c.loading,
	}
	if old != nil {
		next.previous = old.shown
	}
	if ch.Removed {
		c.remove(next, old, ch)
	} else {
		c.put(next, old, ch)
	}
	if r == nil {
		r = c.insert(&next.Registration)
	}
	c.show(r, old, next, now)
	if next.gone && (old == nil || old.gone) {
		return nil
	}
	return next
}

// remove makes next the version of a key that was removed from the store.
func (c *core) remove(next, old *version, ch *Change) {
	switch {
	case old == nil:
		next.Registration = c.pack(ch.Registration, nil)
	case ch.Registration.Revision > old.Revision:
		next.Registration = c.pack(ch.Registration, &old.Registration)
	default:
		next.Registration = old.Registration
	}
	next.gone, next.removed = true, true
	if next.kind == 0 {
		next.kind = backend.Unregistered
	}
	// Readers know that it is gone if its owner ended after it was written. What was written
	// later is void, and was told to nobody here but published: its removal is news.
	if old != nil && old.gone && !old.removed && old.shown > old.stored && !next.merged {
		next.kind, next.reason = old.kind, old.reason
		next.shown, next.previous, next.merged = old.shown, old.previous, old.merged
	}
}

// put makes next the version of a key that is stored.
func (c *core) put(next, old *version, ch *Change) {
	var before *backend.Registration
	if old != nil {
		before = &old.Registration
	}
	next.Registration = c.pack(ch.Registration, before)
	next.Revision = ch.Revision
	if next.CreatedRevision == 0 {
		next.CreatedRevision = ch.Revision
	}
	if next.kind == 0 {
		next.kind = backend.Updated
		if next.CreatedRevision == next.Revision {
			next.kind = backend.Registered
		}
	}
	if o := c.owners[next.Owner]; o != nil && o.ended != nil {
		next.gone, next.kind, next.reason = true, backend.Expired, o.ended.Reason
		next.shown = max(next.shown, o.ended.Revision)
	}
}

// end makes everything of an owner vanish and returns what watchers must hear of.
func (c *core) end(e backend.Ending, now time.Time) []*version {
	if e.Owner == "" {
		return nil
	}
	o := c.ownerOf(c.ownerName(e.Owner))
	if o.ended != nil {
		return nil
	}
	if e.Revision == 0 { // the lease table has no order in common with ours
		e.Revision = c.newest()
	}
	e.Owner, e.Reason = o.name, c.intern(e.Reason)
	o.ended = &e
	c.oblivion.push(forgetting{owner: o, since: now})
	var ended []*version
	for r := o.rows; r != nil; r = r.ownedNext {
		old := r.version.Load()
		next := &version{
			Registration: old.Registration, operation: old.operation,
			reason: e.Reason, kind: backend.Expired, gone: true,
			stored: old.stored, shown: max(e.Revision, old.shown), previous: old.shown, merged: old.merged && c.loading,
		}
		c.show(r, old, next, now)
		ended = append(ended, next)
	}
	return ended
}

// show puts next in the place of old, which is nil for a new row, and keeps everything
// that is derived from rows in step.
func (c *core) show(r *row, old, next *version, now time.Time) {
	s := r.service
	was, is := old != nil && !old.gone, !next.gone
	if old != nil && !c.loading {
		s.chain(old.gone).remove(r)
	}
	c.table.show(r, next)
	if !c.loading {
		s.chain(next.gone).add(r)
		c.touch(s, next.shown)
	}
	switch {
	case was && !is:
		s.live.remove(r)
		c.count(s, -1)
	case is && !was:
		s.live.insert(r)
		c.count(s, 1)
	}
	if was && old.Status <= backend.Up {
		s.up--
	}
	if is && next.Status <= backend.Up {
		s.up++
	}
	if was || is {
		s.page.Store(nil)
		s.index.replace(r, was, old, is, next)
		c.index.replace(r, was, old, is, next)
	}
	c.own(r, next)
	if next.gone && (old == nil || !old.gone || old.shown != next.shown) {
		c.oblivion.push(forgetting{row: r, shown: next.shown, since: now})
	}
}

// count notes that d more rows of s are seen by readers.
func (c *core) count(s *service, d int) {
	c.live += d
	s.space.live += d
	switch {
	case d < 0 && s.live.len() == 0:
		c.filled--
	case d > 0 && s.live.len() == 1:
		c.filled++
	}
}

// touch notes that something in s changed at revision. What has not changed yet is in
// no chain: it would have to be put at the far end.
func (c *core) touch(s *service, revision backend.Revision) {
	if revision > s.newest {
		if s.newest > 0 {
			s.space.services.remove(s)
		}
		s.newest = revision
		s.space.services.add(s)
	}
	if revision > s.space.newest {
		if s.space.newest > 0 {
			c.recent.remove(s.space)
		}
		s.space.newest = revision
		c.recent.add(s.space)
	}
}

// own puts r under the owner that it is stored for.
func (c *core) own(r *row, v *version) {
	name := v.Owner
	if v.removed {
		name = ""
	}
	if o := r.owner; o != nil {
		if o.name == name {
			return
		}
		o.remove(r)
		c.disown(o)
	}
	if name != "" {
		c.ownerOf(name).add(r)
	}
}

func (c *core) ownerOf(name string) *owner {
	o := c.owners[name]
	if o == nil {
		o = &owner{name: name}
		c.owners[name] = o
	}
	return o
}

// disown forgets an owner of whom nothing is left to say.
func (c *core) disown(o *owner) {
	if o.rows == nil && o.ended == nil {
		delete(c.owners, o.name)
	}
}

// insert makes a row for a key that has none.
func (c *core) insert(reg *backend.Registration) *row {
	scope := backend.Scope{Namespace: reg.Namespace, Service: reg.Service}
	s := c.services[scope]
	if s == nil {
		s = &service{Scope: scope, prefix: prefixOf(scope), space: c.spaces[scope.Namespace]}
		if s.space == nil {
			s.space = &space{name: scope.Namespace}
			c.spaces[scope.Namespace] = s.space
		}
		s.Namespace = s.space.name
		c.services[s.Scope] = s
		c.order.insert(s)
	}
	reg.Namespace, reg.Service = s.Namespace, s.Service
	r := &row{service: s, instance: reg.Instance}
	r.version.Store(c.nothing) // until show says more
	c.table.insert(r)
	return r
}

// drop takes out a row that is gone, and what is empty without it.
func (c *core) drop(r *row) {
	s := r.service
	s.goners.remove(r)
	c.table.remove(r)
	if s.live.len() > 0 || s.changes.newest != nil || s.goners.newest != nil {
		return
	}
	delete(c.services, s.Scope)
	c.order.remove(s)
	s.space.services.remove(s)
	if s.space.services.newest == nil {
		delete(c.spaces, s.space.name)
		c.recent.remove(s.space)
	}
}
