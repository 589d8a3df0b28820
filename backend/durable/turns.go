package durable

import (
	"context"
	"fmt"
	"sync"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/rules"
)

// turns lets writes to one key come one after the other, each decided from what the one
// before it has left. Side by side all but one of them would conflict, again and again:
// a thousand would need half a million tries.
type turns struct {
	mu   sync.Mutex
	keys map[backend.Key]*turn
}

// turn is whose turn it is to write one key. It exists while somebody uses it.
type turn struct {
	users int           // guarded by turns.mu
	held  chan struct{} // filled by whose turn it is, who may use left
	left  rules.State   // by the newest write; zero if there was none
}

func newTurns() *turns { return &turns{keys: map[backend.Key]*turn{}} }

// take waits for the turn to write key.
func (t *turns) take(ctx context.Context, key backend.Key) (*turn, error) {
	t.mu.Lock()
	k := t.keys[key]
	if k == nil {
		k = &turn{held: make(chan struct{}, 1)}
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
func (t *turns) give(key backend.Key, k *turn) {
	if k == nil {
		return
	}
	<-k.held
	t.leave(key, k)
}

func (t *turns) leave(key backend.Key, k *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(t.keys, key)
	}
}

// newer reports whether what the turn's newest write has left is newer than state.
func (k *turn) newer(state rules.State) bool {
	return k.left.Revision > state.Revision && k.left.Epoch == state.Epoch
}
