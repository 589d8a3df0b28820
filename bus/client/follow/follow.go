package follow

import (
	"time"

	"github.com/roostbus/roost/backend"
)

// Memory is how long the revision of a removal is remembered at least, so that what
// arrives late of the key is recognised.
const Memory = 30 * time.Minute

// Verdict says what to do about an event.
type Verdict uint8

// The verdicts.
const (
	Ignore Verdict = iota + 1 // it is known
	Apply                     // take it in
	List                      // make the list that is wanted, which will show it
)

// Event is what the rule looks at in an event.
type Event struct {
	Key      backend.Key
	Revision backend.Revision
	Previous backend.Revision
	Removes  bool
}

// Follower follows the changes of one scope. Make one with [New] or [Continue].
type Follower struct {
	remote bool // what an event means is for the registry to say

	epoch    backend.Epoch
	complete backend.Revision // of the newest complete list; events do not move it
	ready    bool             // there was one
	marks    marks

	feed  string
	heard bool          // feed is of a beacon since the connection was made
	ahead backend.Epoch // the newest that a beacon told of

	afresh  bool             // the next list must be complete in itself
	least   backend.Revision // that the next list must reach
	doubts  uint64           // reasons to list, counted
	settled uint64           // how many of them lists have answered
	applied uint64           // events taken in, counted
}

// New returns a Follower that begins with a list of everything.
func New() *Follower { return &Follower{afresh: true} }

// Continue returns a Follower that has taken in everything up to stamp.
func Continue(stamp backend.Stamp) *Follower {
	return &Follower{ready: true, epoch: stamp.Epoch, complete: stamp.Revision}
}

// JudgedByLists makes f ask for a list at every event that is news, because only the
// registry knows whether it matches: that of a query with a filter expression.
func (f *Follower) JudgedByLists() { f.remote = true }

// Stamp is that of the newest complete list; zero before the first.
func (f *Follower) Stamp() backend.Stamp {
	return backend.Stamp{Revision: f.complete, Epoch: f.epoch}
}

// Ready reports whether there was a complete list.
func (f *Follower) Ready() bool { return f.ready }

// Event decides on an event. If the verdict is Apply the caller must take it in.
func (f *Follower) Event(e Event, now time.Time) Verdict {
	if !f.ready || f.afresh { // of which epoch it is will show
		f.Doubt()
		return List
	}
	newest, gone := f.marks.of(e.Key)
	known := max(newest, f.complete)
	switch {
	case e.Revision <= known:
		return Ignore
	case f.remote || e.Previous > known:
		f.least = max(f.least, e.Revision)
		return List
	}
	f.applied++
	f.marks.set(e.Key, e.Revision, e.Removes, now)
	f.marks.forget(f.complete, now)
	if gone && e.Removes { // a list has shown it before: its lease had ended
		return Ignore
	}
	return Apply
}

// Doubt says that events may have been lost: a consumer was too slow, or it is time to
// make sure.
func (f *Follower) Doubt() { f.doubts++ }

// Reconnected says that the connection was away. The next beacon counts as a new feed.
func (f *Follower) Reconnected() {
	f.heard = false
	f.Doubt()
}

// Beacon takes in what a beacon says, which is a doubt where the feed is another one
// than before, and a new beginning where the epoch is. One of an earlier epoch, from a
// keeper that has not heard of the newest, counts for nothing.
func (f *Follower) Beacon(epoch backend.Epoch, feed string) {
	if epoch < max(f.epoch, f.ahead) {
		return
	}
	f.renew(epoch)
	if !f.heard || feed != f.feed {
		f.heard, f.feed = true, feed
		f.Doubt()
	}
}

// Epoch says that the registry was heard to be in epoch.
func (f *Follower) Epoch(epoch backend.Epoch) {
	if epoch > max(f.epoch, f.ahead) {
		f.renew(epoch)
	}
}

func (f *Follower) renew(epoch backend.Epoch) {
	f.ahead = epoch
	if f.ready && epoch > f.epoch {
		f.afresh = true
	}
}
