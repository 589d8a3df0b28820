package durable_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// slow takes a while for each write, and counts them.
type slow struct {
	kvstore.Store
	tries atomic.Int64
}

func (s *slow) Write(ctx context.Context, w kvstore.Write) (uint64, error) {
	s.tries.Add(1)
	time.Sleep(time.Millisecond) // in a bubble
	return s.Store.Write(ctx, w)
}

// TestWritesToOneKeyTakeTurns shows that many clients that write one key at once cost one
// try each, although what this node knows of the key lags behind all of them.
func TestWritesToOneKeyTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const writers = 200
		store := &slow{Store: memkv.New()}
		w := durable.NewWriter(store, nothing{}, backend.Nobody)
		var all sync.WaitGroup
		for i := range writers {
			all.Go(func() {
				r := batch("s", 1)[0].Registration
				r.Metadata = backend.Metadata(`{"n":` + strconv.Itoa(i) + `}`)
				if _, _, err := w.Register(t.Context(), r, backend.Write{}); err != nil {
					t.Errorf("register %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if n := store.tries.Load(); n != writers {
			t.Errorf("%d registers took %d tries; want one each", writers, n)
		}
	})
}

// TestAWriteWhoseTurnDoesNotComeIsUnavailable shows that waiting for others ends with the
// context, as certainly not done.
func TestAWriteWhoseTurnDoesNotComeIsUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &gated{Store: memkv.New(), open: make(chan struct{})}
		w := durable.NewWriter(store, nothing{}, backend.Nobody)
		r := batch("s", 1)[0].Registration
		var first sync.WaitGroup
		first.Go(func() {
			if _, _, err := w.Register(t.Context(), r, backend.Write{}); err != nil {
				t.Errorf("the first register: %v", err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := w.Unregister(ctx, r.Key, backend.Write{}); err != nil {
			t.Errorf("an unregister that has nothing to do: %v; it waits for nobody", err)
		}
		if _, _, err := w.Register(ctx, r, backend.Write{}); !unavailable(err) {
			t.Errorf("the second register: %v; want unavailable", err)
		}
		close(store.open)
		first.Wait()
	})
}
