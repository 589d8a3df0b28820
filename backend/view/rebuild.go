package view

import (
	"maps"
	"slices"
	"time"

	"github.com/roostbus/roost/backend"
)

// Rebuild is a snapshot that is being collected beside a view, which goes on answering
// from what it holds until Commit. A Rebuild that is not wanted is simply dropped. Its
// methods are called by one goroutine.
type Rebuild struct {
	v *View
	c *core
}

// Rebuild begins a new snapshot.
func (v *View) Rebuild() *Rebuild {
	c := newCore(0)
	c.loading = true
	return &Rebuild{v: v, c: c}
}

// Apply takes in changes, in any order; of each key the newest counts.
func (b *Rebuild) Apply(changes ...Change) {
	now := time.Now()
	for i := range changes {
		b.c.apply(&changes[i], now)
	}
}

// End says that an owner has ended; it may come before or after what belongs to it.
func (b *Rebuild) End(e backend.Ending) { b.c.end(e, time.Now()) }

// Snapshot says what a Rebuild has collected.
type Snapshot struct {
	Epoch backend.Epoch
	// Revision is how far the snapshot reaches.
	Revision backend.Revision
	// Floor is a revision after which every removal is surely in the snapshot; 0 stands
	// for Revision, that is: none is.
	Floor backend.Revision
}

// Commit puts the snapshot in the place of what the view holds. In the same epoch,
// what is not in it has been removed, at s.Revision; watches and Since go on and learn
// the difference. In another epoch everything starts afresh, and what refers to the old
// one ends with ErrCompacted. The Rebuild must not be used any more.
func (b *Rebuild) Commit(s Snapshot) {
	v, c := b.v, b.c
	v.feed.Lock()
	defer v.feed.Unlock()
	old := v.core.Load() // only feeders change it: reading it needs no lock here
	same := old.epoch == s.Epoch
	c.epoch = s.Epoch
	c.floor = s.Floor
	if c.floor == 0 {
		c.floor = s.Revision
	}
	known := old.newest()
	var late bool
	if same {
		if c.floor <= old.revision() {
			c.floor = old.floor
		}
		c.forgotten = old.forgotten
		late = c.adopt(old, known, s.Revision)
		c.advance(old.revision())
	} else {
		c.forgotten = c.floor
	}
	c.advance(s.Revision)
	c.relink()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.core.Store(c)
	if !same {
		v.endWatches(elsewhere(old.epoch, s.Epoch))
		v.waits.restart(elsewhere(old.epoch, s.Epoch))
	} else {
		if late {
			known = min(known, s.Revision-1)
		}
		v.loseWatches(known)
		v.waits.restart(nil)
	}
	v.waits.reached(c.revision())
}

// loseWatches makes every watch look for what came after at. v.mu is held.
func (v *View) loseWatches(at backend.Revision) {
	for _, set := range v.watchers {
		for w := range set {
			w.mu.Lock()
			w.lose(at)
			w.mu.Unlock()
			w.signal()
		}
	}
}

// adopt gives c, a snapshot that reaches to revision at, the memory of old, which knew
// everything up to known: endings, removals, and what the change of a key was before. late
// says that something is shown as changed at revision at that was not in old.
func (c *core) adopt(old *core, known, at backend.Revision) (late bool) {
	now := time.Now()
	for _, o := range old.owners {
		if o.ended != nil {
			c.end(*o.ended, now)
		}
	}
	for r := range c.table.all {
		if n := r.version.Load(); !n.gone && n.shown <= known && old.table.get(&n.Key) == nil {
			next := n.clone()
			next.shown, late = at, true
			c.show(r, n, next, now)
		}
	}
	for o := range old.table.all {
		before := o.version.Load()
		r := c.table.get(&before.Key)
		if r == nil {
			c.bury(before, at, now)
			late = late || !before.gone
			continue
		}
		n := r.version.Load()
		if n.stored == before.stored && n.gone == before.gone && n.removed == before.removed &&
			(n.removed || n.SameContent(&before.Registration)) {
			c.show(r, n, before, now)
			continue
		}
		next := n.clone()
		next.previous, next.merged = before.shown, true
		if next.gone && before.gone { // readers have missed nothing
			next.shown, next.previous = max(next.shown, before.shown), before.previous
		} else if next.shown <= known {
			next.shown, late = at, true
		}
		c.show(r, n, next, now)
	}
	return late
}

// bury remembers a key that the snapshot does not have: it was removed, at the latest
// at revision at, or gone already.
func (c *core) bury(before *version, at backend.Revision, now time.Time) {
	next := before.clone()
	next.stored, next.operation, next.removed = 0, backend.OperationID{}, true
	if !before.gone {
		next.kind, next.reason, next.gone = backend.Unregistered, "", true
		next.shown, next.previous, next.merged = at, before.shown, true
	}
	next.Owner = c.ownerName(next.Owner)
	c.show(c.insert(&next.Registration), nil, next, now)
}

// clone returns a copy that may still be changed.
func (n *version) clone() *version {
	return &version{
		Registration: n.Registration, operation: n.operation, reason: n.reason,
		stored: n.stored, shown: n.shown, previous: n.previous,
		kind: n.kind, gone: n.gone, removed: n.removed, merged: n.merged,
	}
}

// relink makes the chains of a snapshot.
func (c *core) relink() {
	// Versions lie all over the memory: each is gone to once, not at every comparison.
	type dated struct {
		shown backend.Revision
		gone  bool
		row   *row
	}
	rows := make([]dated, 0, c.table.rows)
	for r := range c.table.all {
		n := r.version.Load()
		rows = append(rows, dated{n.shown, n.gone, r})
	}
	slices.SortFunc(rows, func(a, b dated) int { return compareRevisions(a.shown, b.shown) })
	for _, d := range rows {
		s := d.row.service
		s.chain(d.gone).add(d.row)
		s.newest = d.shown
		s.space.newest = d.shown
	}
	services := slices.SortedFunc(maps.Values(c.services), func(a, b *service) int { return compareRevisions(a.newest, b.newest) })
	for _, s := range services {
		s.space.services.add(s)
	}
	for _, sp := range slices.SortedFunc(maps.Values(c.spaces), func(a, b *space) int { return compareRevisions(a.newest, b.newest) }) {
		c.recent.add(sp)
	}
	c.loading = false
}
