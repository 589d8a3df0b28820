package faults

import (
	"fmt"
	"slices"
)

// judgeRoles holds who was said to hold something or to lead against the ends of leases: C6.
func (l *Log) judgeRoles() []Violation {
	ends := map[string][]End{}
	for _, e := range l.ends {
		ends[e.Owner] = append(ends[e.Owner], e)
	}
	var found []Violation
	for _, r := range l.roles {
		for _, owner := range r.Owners {
			if i := slices.IndexFunc(ends[owner], func(e End) bool { return e.before(&r) && !l.lost(e.Call, r.Return) }); i >= 0 {
				e := ends[owner][i]
				found = append(found, Violation{"C6", fmt.Sprintf("%s is said to be %.6s's at %v–%v, of epoch %d revision %d, whose lease had ended at %v, at revision %d of epoch %d",
					r.Object, owner, r.Call, r.Return, r.Epoch, r.Revision, e.Return, e.Revision, e.Epoch)})
			}
		}
	}
	return found
}

// before reports whether what r says was asked for, or answered from what was there, after
// the end.
func (e *End) before(r *Role) bool {
	return e.Return < r.Call || e.Revision != 0 && e.Epoch == r.Epoch && e.Revision <= r.Revision
}
