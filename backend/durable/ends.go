package durable

import (
	"cmp"
	"slices"
	"sync"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
)

// Who has ended, the lease table says, at the place in the order of the store where the feed
// is. A registration whose owner does not live when the feed has come to it, or to the end of
// a snapshot, is void: it was written under a lease that had ended unknown to the writer, or
// is left of one that even the lease table has forgotten.

// arrival is a registration with an owner.
type arrival struct {
	owner    string
	revision backend.Revision
}

// End takes in that an owner's lease has ended.
func (f *Feed) End(e backend.Ending) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes++
	if f.owners != nil {
		f.owners.end(e)
	}
	for _, m := range f.mirrors {
		if m.shadow != nil {
			m.shadow.End(e)
		}
	}
	switch {
	case f.snapshot && e.Revision != 0: // it is shown with the snapshot
	case uint64(e.Revision) > f.revision: // its place is behind what is not yet shown
		f.told = append(f.told, e)
	default:
		for _, m := range f.mirrors {
			m.View.End(e)
		}
	}
}

// arrive notes whose registration a change is about.
func (f *Feed) arrive(key string, c *view.Change) {
	owner := c.Registration.Owner
	if c.Removed {
		owner = ""
	}
	if f.owners != nil {
		f.owners.store(key, owner)
	}
	if owner != "" && !f.snapshot {
		f.arrived = append(f.arrived, arrival{owner, c.Revision})
	}
}

// settle returns the endings that are to be shown with what has arrived, in their order, and
// those of them whose owners have something that arrived after the end.
func (f *Feed) settle() (endings, void []backend.Ending) {
	endings, f.told = f.told, nil
	for _, a := range f.arrived {
		if f.live.Lives(a.owner) {
			continue
		}
		e, known := f.endingOf(a.owner, endings)
		if !known {
			e = backend.Ending{Owner: a.owner, Revision: a.revision, Reason: backend.ReasonExpired}
			endings = append(endings, e)
		}
		void = append(void, e)
	}
	f.arrived = f.arrived[:0]
	slices.SortStableFunc(endings, func(a, b backend.Ending) int { return cmp.Compare(a.Revision, b.Revision) })
	if f.owners != nil {
		for _, e := range endings {
			f.owners.end(e)
		}
	}
	return endings, void
}

// endingOf returns how owner's lease has ended, as far as that is known.
func (f *Feed) endingOf(owner string, told []backend.Ending) (backend.Ending, bool) {
	for _, e := range told {
		if e.Owner == owner {
			return e, true
		}
	}
	if f.owners != nil {
		return f.owners.of(owner)
	}
	if m := f.mirrors[backend.Scope{}]; m != nil {
		return m.View.Ending(owner)
	}
	return backend.Ending{}, false
}

// bury ends in a snapshot that reaches to revision those owners who do not live. What is
// beyond it may be of a lease that the lease table does not show yet.
func (f *Feed) bury(shadow *view.Rebuild, revision backend.Revision) (void []backend.Ending) {
	for owner, first := range shadow.Owners() {
		if first > revision || f.live.Lives(owner) {
			continue
		}
		e, known := f.endingOf(owner, nil)
		if !known || e.Revision > revision {
			e = backend.Ending{Owner: owner, Revision: revision, Reason: backend.ReasonExpired}
		}
		void = append(void, e)
	}
	for _, e := range void {
		shadow.End(e)
	}
	return void
}

// endingsOf returns the endings of the owners of changes who do not live.
func (f *Feed) endingsOf(changes []view.Change) (endings []backend.Ending) {
	for i := range changes {
		c := &changes[i]
		owner := c.Registration.Owner
		if owner == "" || c.Removed || f.live.Lives(owner) {
			continue
		}
		e, known := f.endingOf(owner, endings)
		if !known {
			e = backend.Ending{Owner: owner, Revision: c.Revision, Reason: backend.ReasonExpired}
		}
		endings = append(endings, e)
	}
	slices.SortStableFunc(endings, func(a, b backend.Ending) int { return cmp.Compare(a.Revision, b.Revision) })
	return endings
}

// settleOwners puts the owners of the snapshot in the place of those known so far.
func (f *Feed) settleOwners(revision uint64) (void []backend.Ending) {
	if f.owners == nil {
		return nil
	}
	return f.owners.commit(backend.Revision(revision))
}

// OnVoid is [backend.Reaper.OnVoid].
func (f *Feed) OnVoid(of func(backend.Ending)) (cancel func()) { return f.voids.add(of) }

// voids are those who are told of what is void.
type voids struct {
	mu  sync.Mutex
	all []*func(backend.Ending)
}

func (v *voids) add(f func(backend.Ending)) (cancel func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all = append(slices.Clip(v.all), &f)
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.all = slices.DeleteFunc(slices.Clone(v.all), func(g *func(backend.Ending)) bool { return g == &f })
	}
}

func (v *voids) tell(endings []backend.Ending) {
	if len(endings) == 0 {
		return
	}
	v.mu.Lock()
	all := v.all
	v.mu.Unlock()
	for _, e := range endings {
		for _, f := range all {
			(*f)(e)
		}
	}
}
