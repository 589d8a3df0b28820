package durable

import (
	"sync"
	"time"

	"github.com/roostbus/roost/backend"
)

// owners knows what is stored for whom, by the store's key, and how leases have ended.
// A registration with an owner costs about 200 bytes, a permanent one nothing.
type owners struct {
	live backend.Liveness

	mu    sync.Mutex
	held  holdings
	next  *holdings // of the snapshot that is coming in; nil outside one
	ended map[string]backend.Ending
	told  []toldOf // in order, the oldest first
}

type toldOf struct {
	owner string
	at    time.Time
}

// remembered is for how long an ending is after nothing of it was stored any more.
const remembered = 2 * MarkerLife

func newOwners(live backend.Liveness) *owners {
	return &owners{live: live, held: newHoldings(), ended: map[string]backend.Ending{}}
}

// begin begins a snapshot, of another store than before or of the same.
func (o *owners) begin(another bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := newHoldings()
	o.next = &next
	if another {
		o.ended, o.told = map[string]backend.Ending{}, nil
	}
}

// store takes in that what is stored under key is owner's; "" for nobody's.
func (o *owners) store(key, owner string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.next != nil {
		o.next.put(key, owner)
	} else {
		o.held.put(key, owner)
	}
}

// commit ends a snapshot that reaches to revision. It returns the endings of those of whom
// something is stored although they do not live and were not said to have ended.
func (o *owners) commit(revision backend.Revision) (void []backend.Ending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.next == nil {
		return nil
	}
	o.held, o.next = *o.next, nil
	for owner := range o.held.owners {
		if _, known := o.ended[owner]; !known && !o.live.Lives(owner) {
			e := backend.Ending{Owner: owner, Revision: revision, Reason: backend.ReasonExpired}
			o.bury(e)
			void = append(void, e)
		}
	}
	return void
}

// end takes in an ending.
func (o *owners) end(e backend.Ending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bury(e)
}

func (o *owners) bury(e backend.Ending) {
	now := time.Now()
	if _, twice := o.ended[e.Owner]; !twice && e.Owner != "" {
		o.ended[e.Owner] = e
		o.told = append(o.told, toldOf{e.Owner, now})
	}
	for len(o.told) > 0 && now.Sub(o.told[0].at) > remembered {
		owner := o.told[0].owner
		o.told = o.told[1:]
		if o.held.owners[owner] != nil {
			o.told = append(o.told, toldOf{owner, now})
		} else {
			delete(o.ended, owner)
		}
	}
}

// of returns the ending of owner's lease, if it is remembered and the owner was not granted
// one anew since.
func (o *owners) of(owner string) (backend.Ending, bool) {
	if o.live.Lives(owner) {
		return backend.Ending{}, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	e, ok := o.ended[owner]
	return e, ok
}

// endingOf returns the ending that made what r holds vanish, if one did, for somebody who
// has seen everything up to revision at. Who does not live and was not said to have ended
// was ended by one that has been forgotten, or is about to be told.
func (o *owners) endingOf(r *Record, at backend.Revision) (backend.Ending, bool) {
	owner := r.Registration.Owner
	if owner == "" || r.Removed || o.live.Lives(owner) {
		return backend.Ending{}, false
	}
	if e, ok := o.of(owner); ok {
		return e, true
	}
	if r.Revision > at { // perhaps of a lease that is yet to be seen
		return backend.Ending{}, false
	}
	return backend.Ending{Owner: owner, Revision: at, Reason: backend.ReasonExpired}, true
}

// count returns how many registrations are stored for owner.
func (o *owners) count(owner string) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for h := o.held.owners[owner]; h != nil; h = h.next {
		n++
	}
	return n
}

// keys returns the store's keys of what is stored for owner.
func (o *owners) keys(owner string) (keys []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for h := o.held.owners[owner]; h != nil; h = h.next {
		keys = append(keys, h.key)
	}
	return keys
}

// remains returns the endings of those of whom something is stored.
func (o *owners) remains() (all []backend.Ending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for owner := range o.held.owners {
		if e, ok := o.ended[owner]; ok {
			all = append(all, e)
		}
	}
	return all
}

// holdings is what is stored for whom.
type holdings struct {
	keys   map[string]*holding
	owners map[string]*holding // the first of each
}

type holding struct {
	key, owner string
	next, prev *holding // of the same owner
}

func newHoldings() holdings {
	return holdings{keys: map[string]*holding{}, owners: map[string]*holding{}}
}

func (s *holdings) put(key, owner string) {
	h := s.keys[key]
	switch {
	case h == nil && owner == "", h != nil && h.owner == owner:
		return
	case h == nil:
		h = &holding{key: key}
		s.keys[key] = h
	default:
		s.unlink(h)
	}
	if owner == "" {
		delete(s.keys, key)
		return
	}
	first := s.owners[owner]
	h.owner, h.next, h.prev = owner, first, nil
	if first != nil {
		h.owner, first.prev = first.owner, h // one copy of the name
	}
	s.owners[h.owner] = h
}

func (s *holdings) unlink(h *holding) {
	switch {
	case h.prev != nil:
		h.prev.next = h.next
	case h.next != nil:
		s.owners[h.owner] = h.next
	default:
		delete(s.owners, h.owner)
	}
	if h.next != nil {
		h.next.prev = h.prev
	}
	h.next, h.prev = nil, nil
}
