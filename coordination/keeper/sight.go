package keeper

import (
	"time"

	"github.com/roostbus/roost/kvstore"
)

// sight is what the node's own feed has shown of the record.
type sight struct {
	generation kvstore.Generation
	settled    bool // outside a snapshot

	record   Record    // the zero Record if there is none, or none that can be read
	revision uint64    // what a write must expect
	at       time.Time // when revision was first seen
	lively   bool      // the record's instance was seen to write it again
	shown    bool      // by the snapshot that is coming in

	ever    bool   // there was a record, in whatever life of the store
	highest uint64 // the highest term seen
}

// begin is for [kvstore.Follower.Begin].
func (s *sight) begin(g kvstore.Generation) {
	if g != s.generation {
		s.record, s.revision, s.at, s.lively = Record{}, 0, time.Now(), false
	}
	s.generation, s.settled, s.shown = g, false, false
}

// apply is for [kvstore.Follower.Apply].
func (s *sight) apply(e kvstore.Entry) {
	first := !s.settled && !s.shown // what a snapshot shows counts, also if it is older
	s.shown = true
	if e.Revision == s.revision || e.Revision < s.revision && !first {
		return
	}
	r, err := kvstore.Decode[Record](e)
	if err != nil || e.Removed {
		r = Record{} // an operator's doing
	}
	s.lively = r.Instance != "" && (s.settled || r.Instance == s.record.Instance)
	s.record, s.revision, s.at, s.ever = r, e.Revision, time.Now(), true
	s.highest = max(s.highest, r.Term)
}

// live is for [kvstore.Follower.Live].
func (s *sight) live() {
	if !s.settled && !s.shown && s.revision != 0 {
		s.record, s.revision, s.at, s.lively = Record{}, 0, time.Now(), false
	}
	s.settled = true
}

// known reports whether the record is that of a node that is the keeper, as far as the
// feed tells at now.
func (s *sight) known(now time.Time) bool {
	return s.settled && s.lively && !s.record.Resigned && now.Before(s.at.Add(Validity))
}

// Begin implements [kvstore.Follower].
func (k *Keeper) Begin(g kvstore.Generation) {
	k.observe(func() {
		k.sight.begin(g)
		k.interruptions++
	})
}

// Apply implements [kvstore.Follower].
func (k *Keeper) Apply(e kvstore.Entry) {
	if e.Key == Key {
		k.observe(func() { k.sight.apply(e) })
	}
}

// Live implements [kvstore.Follower].
func (k *Keeper) Live(uint64) { k.observe(k.sight.live) }

// Stale implements [kvstore.Follower].
func (k *Keeper) Stale(error) { k.observe(func() { k.interruptions++ }) }

// Advance implements [kvstore.Subscriber].
func (k *Keeper) Advance(uint64) {}

// observe changes what has been seen and has the election look at it.
func (k *Keeper) observe(change func()) {
	k.mu.Lock()
	change()
	another := k.sight.record.Instance != k.instance && k.sight.known(time.Now())
	k.mu.Unlock()
	if another {
		k.becomeReady()
	}
	notify(k.wake)
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
