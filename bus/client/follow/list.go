package follow

import (
	"iter"
	"time"

	"github.com/roostbus/roost/backend"
)

// Request is a list that the rule asks for.
type Request struct {
	Afresh       bool             // of everything; else of what changed after Since
	Since        backend.Revision // of Epoch, as Least is
	Least        backend.Revision // that the answer must reach
	Epoch        backend.Epoch
	Linearizable bool

	doubts  uint64 // how many it answers
	applied uint64 // how many events were taken in before it
}

// Query returns q as the list that r asks for.
func (r Request) Query(q backend.Query) backend.Query {
	q.Read, q.Since, q.After = backend.Read{}, nil, ""
	if r.Linearizable {
		q.Consistency = backend.Linearizable
	}
	if !r.Afresh {
		q.Since, q.MinRevision, q.Epoch = &r.Since, r.Least, r.Epoch
	}
	return q
}

// Answer is all pages of the list that Request asks for. Stamp is that of the first.
type Answer struct {
	Request       Request
	Stamp         backend.Stamp
	Registrations []*backend.Registration
	Removed       []backend.Removed
}

// Outcome says what of an answer is news.
type Outcome struct {
	// Merged is false of an answer that comes too late to say anything.
	Merged bool

	// Restart says that this is the first list of an epoch: Take is everything there is,
	// and revisions of what is held do not compare with any of it. Events that arrived
	// before the answer may be of an earlier epoch: discard them. The next list makes up for
	// them.
	Restart bool

	Take []*backend.Registration
	Drop []backend.Removed // what is not held may be among it
}

// Wanted returns the list that is to be made now, if one is.
func (f *Follower) Wanted() (Request, bool) {
	r := Request{
		Afresh: f.afresh, Linearizable: f.ready && (f.afresh || f.doubts > f.settled),
		doubts: f.doubts, applied: f.applied,
	}
	if !f.afresh {
		r.Since, r.Least, r.Epoch = f.complete, max(f.least, f.complete), f.epoch
	}
	return r, f.afresh || f.least > f.complete || f.doubts > f.settled
}

// Failed says that a list could not be had: the registry is away, or has not reached
// what was asked for. The next one asks for what is acknowledged by then instead, because
// a revision of another epoch may never be reached.
func (f *Follower) Failed(Request) {
	if f.least > f.complete {
		f.least = 0
		f.Doubt()
	}
}

// Compacted says that the registry has forgotten what r asks for.
func (f *Follower) Compacted(r Request) {
	if !r.Afresh && r.Epoch == f.epoch {
		f.afresh = true
	}
}

// Merge takes in an answer. held yields what the caller holds, with its revision.
func (f *Follower) Merge(a Answer, held iter.Seq2[backend.Key, backend.Revision], now time.Time) Outcome {
	switch {
	case f.ready && a.Stamp.Epoch < f.epoch, f.ready && !a.Request.Afresh && a.Request.Epoch != f.epoch:
		return Outcome{}
	case !a.Request.Afresh && a.Stamp.Epoch != a.Request.Epoch:
		f.afresh = true
		return Outcome{}
	case f.ready && a.Stamp.Epoch != f.epoch && a.Request.applied != f.applied:
		f.Epoch(a.Stamp.Epoch) // what was taken in meanwhile may be of that epoch, and newer
		return Outcome{}
	}
	var o Outcome
	switch {
	case f.ready && a.Stamp.Epoch == f.epoch && a.Stamp.Revision < f.complete: // a newer one came before
	case a.Request.Afresh:
		o = f.mergeAll(a, held, now)
	default:
		o = f.mergeChanges(a, now)
	}
	if a.Request.Linearizable {
		f.settled = max(f.settled, a.Request.doubts)
	}
	if a.Request.Afresh && o.Merged {
		f.afresh = f.ahead > f.epoch
	}
	if o.Restart { // what is discarded, or was published before the subscription, is made up for
		f.Doubt()
	}
	return o
}

// mergeChanges takes in what changed after a revision that is complete.
func (f *Follower) mergeChanges(a Answer, now time.Time) Outcome {
	o := Outcome{Merged: true}
	for _, r := range a.Registrations {
		if f.news(r.Key, r.Revision) {
			o.Take = append(o.Take, r)
			f.marks.set(r.Key, r.Revision, false, now)
		}
	}
	for _, r := range a.Removed {
		if f.news(r.Key, r.Revision) {
			o.Drop = append(o.Drop, r)
			f.marks.set(r.Key, r.Revision, true, now)
		}
	}
	f.finish(a.Stamp, now)
	return o
}

func (f *Follower) news(key backend.Key, revision backend.Revision) bool {
	newest, _ := f.marks.of(key)
	return revision > max(newest, f.complete)
}

// mergeAll takes in a list of everything.
func (f *Follower) mergeAll(a Answer, held iter.Seq2[backend.Key, backend.Revision], now time.Time) Outcome {
	o := Outcome{Merged: true, Restart: !f.ready || a.Stamp.Epoch != f.epoch}
	if o.Restart {
		f.marks, f.least = marks{}, 0
		f.epoch, f.complete = a.Stamp.Epoch, 0
	}
	var listed map[backend.Key]backend.Revision // 0: known
	if f.ready {
		listed = make(map[backend.Key]backend.Revision, len(a.Registrations))
		for _, r := range a.Registrations {
			listed[r.Key] = r.Revision
		}
		for key, revision := range held {
			newest, _ := f.marks.of(key)
			switch shown, there := listed[key]; {
			case o.Restart && !there, !there && max(newest, revision) <= a.Stamp.Revision:
				gone := a.Stamp.Revision
				if !o.Restart { // a page may be newer than the stamp
					gone = max(gone, max(newest, revision)+1)
				}
				o.Drop = append(o.Drop, backend.Removed{Key: key, Revision: gone})
				f.marks.set(key, gone, true, now)
			case there && !o.Restart && shown <= revision:
				listed[key] = 0
			}
		}
	}
	for _, r := range a.Registrations {
		newest, gone := f.marks.of(r.Key)
		if r.Revision <= newest || listed != nil && listed[r.Key] == 0 {
			continue
		}
		o.Take = append(o.Take, r)
		if gone || r.Revision > a.Stamp.Revision {
			f.marks.set(r.Key, r.Revision, false, now)
		}
	}
	f.epoch, f.ready = a.Stamp.Epoch, true
	f.finish(a.Stamp, now)
	return o
}

// finish says that everything up to stamp has been taken in.
func (f *Follower) finish(stamp backend.Stamp, now time.Time) {
	f.complete = max(f.complete, stamp.Revision)
	f.marks.cover(f.complete)
	f.marks.forget(f.complete, now)
}
