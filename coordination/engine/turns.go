package engine

import (
	"context"
	"fmt"
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
	users int           // guarded by turns.mu
	held  chan struct{} // filled by whose turn it is, who may use what follows
	left  *state[T]     // by the newest write; nil if there was none
	in    kvstore.Generation
}

// take waits for the turn to write key, in the order of coming.
func (t *turns[T]) take(ctx context.Context, key string) (*turn[T], error) {
	t.mu.Lock()
	k := t.keys[key]
	if k == nil {
		k = &turn[T]{held: make(chan struct{}, 1)}
		t.keys[key] = k
	}
	k.users++
	t.mu.Unlock()
	select {
	case k.held <- struct{}{}:
		return k, nil
	case <-ctx.Done():
		t.leave(key, k)
		return nil, fmt.Errorf("%w: other writes of %s are under way: %w", backend.ErrUnavailable, key, context.Cause(ctx))
	}
}

// give passes the turn on, unless k is nil.
func (t *turns[T]) give(key string, k *turn[T]) {
	if k == nil {
		return
	}
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

// newest returns the newer of shown and what the newest write in turn has left.
func (k *turn[T]) newest(shown *state[T], in kvstore.Generation) *state[T] {
	if k.left != nil && k.in == in && k.left.revision > shown.revision {
		return k.left
	}
	return shown
}
