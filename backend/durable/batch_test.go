package durable_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/backend/rules"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// nothing is a Source that knows of no registration.
type nothing struct{}

func (nothing) Peek(context.Context, backend.Key) (rules.State, error) { return rules.State{}, nil }
func (nothing) Sync(context.Context) error                             { return nil }

// gated holds writes back until open is closed, and counts those that are held.
type gated struct {
	kvstore.Store
	open chan struct{}

	mu   sync.Mutex
	held int
}

func (g *gated) Write(ctx context.Context, w kvstore.Write) (uint64, error) {
	g.mu.Lock()
	g.held++
	g.mu.Unlock()
	<-g.open
	return g.Store.Write(ctx, w)
}

func batch(name string, size int) []backend.Operation {
	operations := make([]backend.Operation, size)
	for i := range operations {
		key := backend.Key{Namespace: "default", Service: name, Instance: strconv.Itoa(i)}
		operations[i] = backend.Operation{Kind: backend.OpRegister, Registration: backend.Registration{Key: key, Weight: 100}}
	}
	return operations
}

// unavailable reports whether err says that nothing was done.
func unavailable(err error) bool {
	return errors.Is(err, backend.ErrUnavailable) && !errors.Is(err, backend.ErrUnknownOutcome)
}

// TestManyBatchesShareABound shows that what many batches ask for at once neither piles up
// in the store nor ends as an outcome that nobody knows: what finds no room before its time
// is up was certainly not done.
func TestManyBatchesShareABound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const batches, size = 200, 100
		store := &gated{Store: memkv.New(), open: make(chan struct{})}
		w := durable.NewWriter(store, nothing{}, backend.Nobody)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		errs := make([]error, batches)
		var all sync.WaitGroup
		for i := range batches {
			all.Go(func() {
				_, _, errs[i] = w.Batch(ctx, batch("s"+strconv.Itoa(i), size), false)
			})
		}
		synctest.Wait()
		if store.held == 0 || store.held > durable.MaxUnderWay {
			t.Errorf("%d writes are under way; want at most %d and some", store.held, durable.MaxUnderWay)
		}
		time.Sleep(2 * time.Second)
		close(store.open)
		all.Wait()
		refused := 0
		for i, err := range errs {
			if err == nil {
				continue
			}
			refused++
			if !unavailable(err) {
				t.Errorf("batch %d: %v; want unavailable", i, err)
			}
		}
		if want := batches - durable.MaxUnderWay/size; refused != want {
			t.Errorf("%d batches found no room; want %d", refused, want)
		}
		if _, _, err := w.Batch(t.Context(), batch("after", size), false); err != nil {
			t.Errorf("a batch once there is room again: %v", err)
		}
	})
}
