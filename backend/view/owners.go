package view

import (
	"iter"

	"github.com/roostbus/roost/backend"
)

// Holds returns how many registrations are stored for owner, whether its lease has ended
// or not.
func (v *View) Holds(name string) int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	o := v.core.Load().owners[name]
	if o == nil {
		return 0
	}
	n := 0
	for r := o.rows; r != nil; r = r.ownedNext {
		n++
	}
	return n
}

// Ending returns how owner's lease has ended, if that is remembered. It is for as long as
// something of it is stored.
func (v *View) Ending(name string) (backend.Ending, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	o := v.core.Load().owners[name]
	if o == nil || o.ended == nil {
		return backend.Ending{}, false
	}
	return *o.ended, true
}

// Remains returns the endings of the owners of whom something is still stored, in no order.
func (v *View) Remains() []backend.Ending {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []backend.Ending
	for _, o := range v.core.Load().owners {
		if o.ended != nil && o.rows != nil {
			all = append(all, *o.ended)
		}
	}
	return all
}

// Owners yields every owner of whom something is in the snapshot and that is not said to
// have ended, with the lowest revision of that.
func (b *Rebuild) Owners() iter.Seq2[string, backend.Revision] {
	return func(yield func(string, backend.Revision) bool) {
		for name, o := range b.c.owners {
			if o.ended != nil || o.rows == nil {
				continue
			}
			first := o.rows.version.Load().stored
			for r := o.rows.ownedNext; r != nil; r = r.ownedNext {
				first = min(first, r.version.Load().stored)
			}
			if !yield(name, first) {
				return
			}
		}
	}
}
