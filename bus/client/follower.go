package client

import (
	"cmp"
	"slices"

	"github.com/roostbus/roost/backend"
)

// follower keeps what a watch knows of its scope and decides what of an event or a list
// is news. It follows section 5 of the protocol: a revision is applied to a key once,
// and none that is older than what is known of the key.
//
// Everything in scope is kept, whether it matches the query or not: only so can a
// removal be told from a change that no longer matches.
type follower struct {
	query    backend.Query
	epoch    backend.Epoch
	complete backend.Revision // of the last complete list; events do not move it
	held     map[backend.Key]*backend.Registration
	removed  map[backend.Key]backend.Revision // after complete
}

// verdict says what to do about an event.
type verdict uint8

const (
	stale   verdict = iota + 1 // known already
	news                       // yield it
	missing                    // a change before it was lost: list
)

// newest returns the revision last applied to key.
func (f *follower) newest(key backend.Key) backend.Revision {
	if r := f.held[key]; r != nil {
		return r.Revision
	}
	return f.removed[key]
}

// apply takes in e, and returns it as the query sees it if it is news.
func (f *follower) apply(e backend.Event) (backend.Event, verdict) {
	key := e.Registration.Key
	known := max(f.newest(key), f.complete)
	switch {
	case e.Revision <= known:
		return e, stale
	case e.Previous > known:
		return e, missing
	}
	if e.Kind.Removes() {
		_, was := f.held[key]
		delete(f.held, key)
		f.removed[key] = e.Revision
		if !was {
			return e, stale // a list has shown it before
		}
	} else {
		f.held[key] = e.Registration
		delete(f.removed, key)
	}
	return f.seen(e), news
}

// seen returns e as the query sees it.
func (f *follower) seen(e backend.Event) backend.Event {
	if !f.query.MatchesPlain(e.Registration) {
		e.Kind = backend.Unmatched
	}
	return e
}

// merge takes in a complete list of the scope as of stamp and returns what it changes,
// ordered by revision. Of what was removed neither the kind nor the revision is known:
// it is Unregistered as of stamp.
func (f *follower) merge(list []*backend.Registration, stamp backend.Stamp) []backend.Event {
	switch {
	case stamp.Epoch > f.epoch:
		return f.restart(list, stamp)
	case stamp.Epoch < f.epoch, stamp.Revision < f.complete:
		return nil
	}
	var events []backend.Event
	present := make(map[backend.Key]struct{}, len(list))
	for _, r := range list {
		present[r.Key] = struct{}{}
		known := f.newest(r.Key)
		if r.Revision <= known {
			continue
		}
		events = append(events, f.changed(r, f.held[r.Key], known))
		f.held[r.Key] = r
		delete(f.removed, r.Key)
	}
	for key, r := range f.held {
		if _, still := present[key]; !still && r.Revision <= stamp.Revision {
			events = append(events, f.gone(r, stamp.Revision))
			delete(f.held, key)
		}
	}
	for key, revision := range f.removed {
		if revision <= stamp.Revision {
			delete(f.removed, key)
		}
	}
	f.complete = stamp.Revision
	return ordered(events)
}

// restart is merge where revisions have begun anew: only content compares.
func (f *follower) restart(list []*backend.Registration, stamp backend.Stamp) []backend.Event {
	before := f.held
	f.epoch, f.complete = stamp.Epoch, stamp.Revision
	f.held = make(map[backend.Key]*backend.Registration, len(list))
	f.removed = make(map[backend.Key]backend.Revision)
	var events []backend.Event
	for _, r := range list {
		old := before[r.Key]
		f.held[r.Key] = r
		delete(before, r.Key)
		if old != nil && old.SameContent(r) && old.Owner == r.Owner {
			continue
		}
		events = append(events, f.changed(r, old, 0))
	}
	for _, r := range before {
		events = append(events, f.gone(r, stamp.Revision))
	}
	return ordered(events)
}

func (f *follower) changed(r, old *backend.Registration, previous backend.Revision) backend.Event {
	kind := backend.Registered
	if old != nil {
		kind = backend.Updated
	}
	return f.seen(backend.Event{Kind: kind, Registration: r, Revision: r.Revision, Previous: previous})
}

func (f *follower) gone(r *backend.Registration, at backend.Revision) backend.Event {
	return f.seen(backend.Event{Kind: backend.Unregistered, Registration: r, Revision: at, Previous: r.Revision})
}

func ordered(events []backend.Event) []backend.Event {
	slices.SortFunc(events, func(a, b backend.Event) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision),
			cmp.Compare(a.Registration.String(), b.Registration.String()))
	})
	return events
}
