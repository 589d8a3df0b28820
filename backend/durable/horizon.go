package durable

import (
	"time"

	"github.com/roostbus/roost/backend"
)

// clockSkew is by how much the store's clock may differ from ours.
const clockSkew = 5 * time.Minute

// grain is how far apart in time the revisions are that a horizon remembers.
const grain = 30 * time.Second

// horizon knows which revisions are so young that every removal after them has left a
// marker that is still stored.
type horizon struct {
	marks []mark // in order, the oldest first
}

type mark struct {
	at       time.Time // by the store's clock
	revision backend.Revision
}

// add takes in when the store took a revision. Revisions come in order.
func (h *horizon) add(at time.Time, revision uint64) {
	if n := len(h.marks); n > 0 && at.Before(h.marks[n-1].at.Add(grain)) || old(at, time.Now()) {
		return
	}
	h.marks = append(h.marks, mark{at, backend.Revision(revision)})
}

func old(at, now time.Time) bool { return now.Sub(at) >= MarkerLife-clockSkew }

// floor returns the oldest of the young revisions, 0 if there is none.
func (h *horizon) floor(now time.Time) backend.Revision {
	for len(h.marks) > 0 && old(h.marks[0].at, now) {
		h.marks = h.marks[1:]
	}
	if len(h.marks) == 0 {
		return 0
	}
	return h.marks[0].revision
}
