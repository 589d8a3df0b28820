package view

import (
	"strings"
	"sync/atomic"

	"github.com/roostbus/roost/backend"
)

// version is what is known of a key since its newest change. It is never changed: who
// has a pointer to one may read it without a lock.
type version struct {
	// What look-ups look at comes first: with the key it fills a line of the cache.

	shown backend.Revision // of the newest change that readers see: stored, or an ending
	size  atomic.Uint32    // of Registration as JSON; 0 until somebody asks
	kind  backend.EventKind

	gone    bool // readers do not see it: it was removed or its owner has ended
	removed bool // it is not in the store, or as a marker only
	merged  bool // single changes of the key may be missing between previous and shown

	// Registration is the newest one, after a removal the one that was removed.
	backend.Registration

	operation backend.OperationID
	reason    string

	stored   backend.Revision // of the newest entry in the store, markers included; 0: none
	previous backend.Revision // what shown was before; 0: not known, or nothing
}

// bytes returns the length of v as JSON. scratch is memory to write it into.
func (v *version) bytes(scratch *[]byte) int {
	if n := v.size.Load(); n != 0 {
		return int(n)
	}
	*scratch = v.AppendJSON((*scratch)[:0])
	v.size.Store(uint32(len(*scratch)))
	return len(*scratch)
}

func (v *version) event() backend.Event {
	return backend.Event{
		Kind: v.kind, Reason: v.reason, Registration: &v.Registration,
		Revision: v.shown, Previous: v.previous,
	}
}

// row is a key. Service and instance never change, version is replaced as a whole; the
// rest belongs to the feeder.
type row struct {
	service  *service
	instance string
	version  atomic.Pointer[version] // also in the table's slot
	tag      uint64                  // by which the table finds it

	byRevision links[*row] // in service.changes or service.goners

	owner                *owner // whose it is as long as it is stored
	ownedNext, ownedPrev *row
}

func (r *row) links() *links[*row]       { return &r.byRevision }
func (r *row) changed() backend.Revision { return r.version.Load().shown }

func (r *row) compare(o *row) int {
	if r.service != o.service {
		return r.service.compare(o.service)
	}
	return compareInstances(r.instance, o.instance)
}

// service is everything under one service name.
type service struct {
	backend.Scope
	prefix string // of its keys

	space *space
	live  ordered[*row] // those that readers see
	up    int           // how many of them are up

	changes chain[*row] // live rows by revision
	goners  chain[*row] // the others by revision

	newest   backend.Revision // of all changes in it
	byNewest links[*service]  // in space.services

	page  atomic.Pointer[wholePage] // all of live, made when asked for
	index *index                    // of live, made when asked for
}

func (s *service) compare(o *service) int    { return strings.Compare(s.prefix, o.prefix) }
func (s *service) links() *links[*service]   { return &s.byNewest }
func (s *service) changed() backend.Revision { return s.newest }

// chain returns the chain that a row is in.
func (s *service) chain(gone bool) *chain[*row] {
	if gone {
		return &s.goners
	}
	return &s.changes
}

// space is a namespace.
type space struct {
	name     string
	services chain[*service]
	live     int
	newest   backend.Revision
	byNewest links[*space]
}

func (s *space) links() *links[*space]     { return &s.byNewest }
func (s *space) changed() backend.Revision { return s.newest }

// owner is an owner that something stored belongs to or whose ending is remembered.
type owner struct {
	name  string
	rows  *row
	ended *backend.Ending
}

func (o *owner) add(r *row) {
	r.owner, r.ownedNext, r.ownedPrev = o, o.rows, nil
	if o.rows != nil {
		o.rows.ownedPrev = r
	}
	o.rows = r
}

func (o *owner) remove(r *row) {
	if r.ownedPrev != nil {
		r.ownedPrev.ownedNext = r.ownedNext
	} else {
		o.rows = r.ownedNext
	}
	if r.ownedNext != nil {
		r.ownedNext.ownedPrev = r.ownedPrev
	}
	r.owner, r.ownedNext, r.ownedPrev = nil, nil, nil
}

// links are what a member of a chain carries.
type links[T any] struct{ newer, older T }

// member is what a chain is made of.
type member[T any] interface {
	comparable
	linked[T]
}

type linked[T any] interface {
	links() *links[T]
	changed() backend.Revision
}

var (
	_ linked[*row]     = (*row)(nil)
	_ linked[*service] = (*service)(nil)
	_ linked[*space]   = (*space)(nil)
)

// chain is a list ordered by revision whose members carry its links, so that what
// changed after a revision is found by walking back from the newest.
type chain[T member[T]] struct{ newest T }

// add puts x in its place, which is found by walking back from the newest.
func (c *chain[T]) add(x T) {
	var none, newer T
	older := c.newest
	for older != none && older.changed() > x.changed() {
		newer, older = older, older.links().older
	}
	x.links().newer, x.links().older = newer, older
	if newer == none {
		c.newest = x
	} else {
		newer.links().older = x
	}
	if older != none {
		older.links().newer = x
	}
}

func (c *chain[T]) remove(x T) {
	var none T
	l := x.links()
	if l.newer == none {
		c.newest = l.older
	} else {
		l.newer.links().older = l.older
	}
	if l.older != none {
		l.older.links().newer = l.newer
	}
	l.newer, l.older = none, none
}

// after yields the members that changed after revision, the newest first.
func (c *chain[T]) after(revision backend.Revision) func(yield func(T) bool) {
	return func(yield func(T) bool) {
		var none T
		for x := c.newest; x != none && x.changed() > revision; x = x.links().older {
			if !yield(x) {
				return
			}
		}
	}
}
