package engine

import "github.com/roostbus/roost/coordination/lease"

// view is what one decision knows of leases.
//
// An owner whose lease this node has not heard of may be one that was granted a moment ago,
// or one that has ended and was forgotten, or none at all. Only after a barrier, with which
// the node has heard of every grant before, does it count as ended.
type view struct {
	leases *lease.Table
	sure   bool // there was one
	doubt  bool // it would be needed
}

// ended reports whether owner's lease has ended.
func (v *view) ended(owner string) bool {
	if l, ok := v.leases.Get(owner); ok {
		return l.Ended != ""
	}
	if !v.sure {
		v.doubt = true
	}
	return v.sure
}
