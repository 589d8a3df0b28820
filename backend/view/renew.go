package view

import "time"

// Renew begins a new snapshot that holds what v holds now: for a store that stays the
// same and gets a new epoch.
func (v *View) Renew() *Rebuild {
	b := v.Rebuild()
	now := time.Now()
	v.feed.Lock()
	defer v.feed.Unlock()
	old := v.core.Load() // only feeders change it: reading it needs no lock here
	for r := range old.table.all {
		held := r.version.Load()
		if held.stored == 0 {
			continue // its marker is forgotten by the store
		}
		b.c.apply(&Change{
			Registration: &held.Registration, Kind: held.kind, Reason: held.reason,
			Revision: held.stored, Operation: held.operation, Removed: held.removed,
		}, now)
	}
	for _, o := range old.owners {
		if o.ended != nil {
			b.c.end(*o.ended, now)
		}
	}
	return b
}
