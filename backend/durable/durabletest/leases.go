// Package durabletest helps to test Backends on a store.
package durabletest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/kvstore"
)

// Prefix is what the keys begin with that Leases writes.
const Prefix = "lease."

// Leases gives the endings of another Liveness a place in the order of a store, as the
// endings of real leases have: each is a key of the store, and is told when the tail shows
// it. Until then the owner lives.
type Leases struct {
	backend.Liveness
	store kvstore.Store

	mu     sync.Mutex
	tail   *kvstore.Tail
	reason map[string]string // of the endings on their way, by the store's key
	lived  map[string]bool   // the owners that were seen to live and whose end was not shown
	told   []func(backend.Ending)
}

var (
	_ backend.Liveness   = (*Leases)(nil)
	_ kvstore.Subscriber = (*Leases)(nil)
)

// NewLeases returns Leases whose endings are those of live, told in the order of store. It
// subscribes to tail, before the Backend must.
func NewLeases(live backend.Liveness, store kvstore.Store, tail *kvstore.Tail) *Leases {
	l := &Leases{Liveness: live, store: store, tail: tail, reason: map[string]string{}, lived: map[string]bool{}}
	tail.Subscribe(Prefix, l)
	live.OnEnd(l.end)
	return l
}

// Lives implements backend.Liveness: as of the place that the tail has come to.
func (l *Leases) Lives(owner string) bool {
	lives := l.Liveness.Lives(owner)
	l.mu.Lock()
	defer l.mu.Unlock()
	if lives {
		l.lived[owner] = true
	}
	return l.lived[owner]
}

// Confirm implements backend.Liveness.
func (l *Leases) Confirm(ctx context.Context, owner string) (bool, error) {
	if err := l.tail.Barrier(ctx); err != nil {
		return false, fmt.Errorf("%w: %w", backend.ErrUnavailable, err)
	}
	return l.Lives(owner), nil
}

// OnEnd implements backend.Liveness.
func (l *Leases) OnEnd(f func(backend.Ending)) (cancel func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := len(l.told)
	l.told = append(l.told, f)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.told[i] = func(backend.Ending) {}
	}
}

// end writes an ending and returns when it has been told.
func (l *Leases) end(e backend.Ending) {
	l.mu.Lock()
	l.reason[Prefix+e.Owner] = e.Reason
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	revision, err := l.store.Write(ctx, kvstore.Write{Key: Prefix + e.Owner})
	if err == nil {
		err = l.tail.Wait(ctx, revision)
	}
	if err != nil {
		panic(fmt.Errorf("durabletest: end %s: %w", e.Owner, err))
	}
}

// Apply implements kvstore.Follower.
func (l *Leases) Apply(e kvstore.Entry) {
	l.mu.Lock()
	ending := backend.Ending{Owner: e.Key[len(Prefix):], Revision: backend.Revision(e.Revision), Reason: l.reason[e.Key]}
	delete(l.lived, ending.Owner)
	told := l.told
	l.mu.Unlock()
	for _, f := range told {
		f(ending)
	}
}

// Begin implements kvstore.Follower.
func (l *Leases) Begin(kvstore.Generation) {}

// Live implements kvstore.Follower.
func (l *Leases) Live(uint64) {}

// Stale implements kvstore.Follower.
func (l *Leases) Stale(error) {}

// Advance implements kvstore.Subscriber.
func (l *Leases) Advance(uint64) {}
