package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/kvstore"
)

// turns lets writes of one key come one after the other within a node, each decided from
// what the one before it has left. Side by side all but one of them would conflict.
type turns[T any] struct {
	mu   sync.Mutex
	keys map[string]*turn[T]
}

// turn is whose turn it is to write one key. It exists while somebody uses it.
type turn[T any] struct {
	users   int           // guarded by turns.mu
	waiting []*ask[T]     // in the order of coming; guarded by turns.mu
	more    chan struct{} // of size one; filled when somebody has come

	held chan struct{} // filled by whose turn it is, who may use what follows
	left *state[T]     // by the newest write; nil if there was none
	in   kvstore.Generation
}

// use returns the turn to write key, for one more user. The caller holds mu.
func (t *turns[T]) use(key string) *turn[T] {
	k := t.keys[key]
	if k == nil {
		k = &turn[T]{held: make(chan struct{}, 1), more: make(chan struct{}, 1)}
		t.keys[key] = k
	}
	k.users++
	return k
}

// used reports whether somebody is at key, or waits for that.
func (t *turns[T]) used(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.keys[key] != nil
}

// take waits for the turn to write key.
func (t *turns[T]) take(ctx context.Context, key string) (*turn[T], error) {
	t.mu.Lock()
	k := t.use(key)
	t.mu.Unlock()
	select {
	case k.held <- struct{}{}:
		return k, nil
	case <-ctx.Done():
		t.leave(key, k)
		return nil, busy(ctx, key)
	}
}

func busy(ctx context.Context, key string) error {
	return fmt.Errorf("%w: other writes of %s are under way: %w", backend.ErrUnavailable, key, context.Cause(ctx))
}

// give passes the turn on.
func (t *turns[T]) give(key string, k *turn[T]) {
	<-k.held
	t.leave(key, k)
}

func (t *turns[T]) leave(key string, k *turn[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(t.keys, key)
	}
}

// join has a wait to be written at key, by whose turn it is then.
func (t *turns[T]) join(key string, a *ask[T]) *turn[T] {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.use(key)
	k.waiting = append(k.waiting, a)
	notify(k.more)
	return k
}

// withdraw reports whether a waited still; it does not any more.
func (t *turns[T]) withdraw(k *turn[T], a *ask[T]) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.Index(k.waiting, a)
	if at >= 0 {
		k.waiting = slices.Delete(k.waiting, at, at+1)
	}
	return at >= 0
}

// all reports whether is is true of everybody who waits. The caller has the turn k.
func (t *turns[T]) all(k *turn[T], is func(*ask[T]) bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !slices.ContainsFunc(k.waiting, func(a *ask[T]) bool { return !is(a) })
}

// collect returns everybody who waits, if a does; they do not wait any more. The caller has
// the turn k,
// and gives it when they have been served; where they are several, who serves them is one
// more user of it.
func (t *turns[T]) collect(k *turn[T], a *ask[T]) (asks []*ask[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(k.waiting, a) {
		return nil
	}
	asks, k.waiting = k.waiting, nil
	if len(asks) > 1 {
		k.users++ // who serves them
	}
	return asks
}

// newest returns the newer of shown and what the newest write in turn has left.
func (k *turn[T]) newest(shown *state[T], in kvstore.Generation) *state[T] {
	if k.left != nil && k.in == in && k.left.revision > shown.revision {
		return k.left
	}
	return shown
}
