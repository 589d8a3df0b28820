package client

import (
	"cmp"
	"slices"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
	"github.com/roostbus/roost/bus/client/follow"
)

// What this file's functions take in, the rule has found to be news. r.mu is held.

// matches reports whether a registration belongs to the Replica. What the registry has
// judged already is judged the same again.
func (r *Replica) matches(found *Registration) bool {
	return r.query.MatchesPlain(found) && (r.options.keep == nil || r.options.keep(found))
}

// apply takes in one event.
func (r *Replica) apply(e Event) {
	before, _ := r.Lookup(e.Registration.Key)
	change := view.Change{Registration: e.Registration, Kind: e.Kind, Reason: e.Reason, Revision: e.Revision, Previous: e.Previous}
	if !e.Kind.Removes() && !r.matches(e.Registration) {
		change.Kind = backend.Unmatched
	}
	change.Removed = e.Kind.Removes() || change.Kind == backend.Unmatched
	if before == nil && change.Removed {
		return
	}
	r.view.Apply(0, change)
	r.changed(before, change)
}

// take merges a list.
func (r *Replica) take(o follow.Outcome, stamp Stamp) {
	var befores []*Registration
	var news []view.Change
	for _, change := range inOrder(r.changes(o)) {
		before, _ := r.Lookup(change.Registration.Key)
		if before != nil || !change.Removed {
			befores, news = append(befores, before), append(news, change)
		}
	}
	r.view.Apply(stamp.Revision, news...)
	for i, change := range news {
		r.changed(befores[i], change)
	}
}

// changes are what a list has shown, in its order.
func (r *Replica) changes(o follow.Outcome) []view.Change {
	changes := make([]view.Change, 0, len(o.Take)+len(o.Drop))
	for _, found := range o.Take {
		change := view.Change{Registration: found, Kind: kindOf(found), Revision: found.Revision}
		if !r.matches(found) {
			change.Kind, change.Removed = backend.Unmatched, true
		}
		changes = append(changes, change)
	}
	for _, gone := range o.Drop {
		changes = append(changes, view.Change{
			Registration: &Registration{Key: gone.Key}, Kind: kindOfRemoval(gone.Reason), Reason: gone.Reason,
			Revision: gone.Revision, Removed: true,
		})
	}
	return changes
}

// inOrder sorts changes by revision.
func inOrder(changes []view.Change) []view.Change {
	if byRevision := func(a, b view.Change) int { return cmp.Compare(a.Revision, b.Revision) }; !slices.IsSortedFunc(changes, byRevision) {
		slices.SortFunc(changes, byRevision)
	}
	return changes
}

// restart puts the first list of an epoch in the place of what is held.
func (r *Replica) restart(o follow.Outcome, stamp Stamp) {
	var before map[Key]*Registration // as readers have seen it
	if len(r.readers) > 0 {
		before = make(map[Key]*Registration, r.Len())
		for _, found := range r.all() {
			before[found.Key] = found
		}
	}
	build := r.view.Rebuild()
	changes := r.changes(o)
	for _, change := range changes {
		if !change.Removed {
			build.Apply(change)
		}
	}
	build.Commit(view.Snapshot{Epoch: stamp.Epoch, Revision: stamp.Revision})
	for _, s := range r.services {
		r.soil(s)
	}
	if len(r.readers) == 0 {
		return
	}
	for _, change := range inOrder(changes) {
		old := before[change.Registration.Key]
		if old != nil && !change.Removed && old.SameContent(change.Registration) && old.Owner == change.Registration.Owner {
			continue // revisions have begun anew, and nothing else has changed
		}
		r.tell(old, change)
	}
}

// changed says that change has been taken in, before which before was there.
func (r *Replica) changed(before *Registration, change view.Change) {
	key := change.Registration.Key
	if s := r.services[Scope{Namespace: key.Namespace, Service: key.Service}]; s != nil {
		r.soil(s)
	}
	if len(r.readers) > 0 {
		r.tell(before, change)
	}
}

// soil notes that what s picks from has changed.
func (r *Replica) soil(s *Service) {
	if !s.dirty {
		s.dirty = true
		r.dirty = append(r.dirty, s)
	}
}

// refresh makes anew what is picked from.
func (r *Replica) refresh() {
	for _, s := range r.dirty {
		s.refresh(r)
	}
	clear(r.dirty)
	r.dirty = r.dirty[:0]
}
