package client

import (
	"cmp"
	"slices"

	"github.com/roostbus/roost/backend"
)

// kindOf is the kind of the change that a list shows r after.
func kindOf(r *Registration) EventKind {
	if r.CreatedRevision == r.Revision {
		return backend.Registered
	}
	return backend.Updated
}

// kindOfRemoval is the kind of a change that a list shows as a removal for reason.
func kindOfRemoval(reason string) EventKind {
	switch reason {
	case backend.ReasonUnmatched:
		return backend.Unmatched
	case backend.ReasonExpired, backend.ReasonClosed, backend.ReasonRevoked:
		return backend.Expired
	}
	return backend.Unregistered
}

// ordered puts events in the order of their revisions.
func ordered(events []Event) {
	slices.SortFunc(events, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision),
			cmp.Compare(a.Registration.Key.String(), b.Registration.Key.String()))
	})
}
