package switching_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/backendtest"
	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/backend/durable/durabletest"
	"github.com/roostbus/roost/backend/hybrid"
	"github.com/roostbus/roost/backend/switching"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/memkv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a store and what reads from it.
type node struct {
	*switching.Backend
	make func(kind int) interface {
		backend.Backend
		Ready(ctx context.Context) error
	}
	ready func(ctx context.Context) error
}

func start(t *testing.T, live backend.Liveness) *node {
	t.Helper()
	return startOn(t, live, memkv.New())
}

// startOn is start on a store. run, of it, is run as long as the node.
func startOn(t *testing.T, live backend.Liveness, store kvstore.Store, run ...func(ctx context.Context) error) *node {
	t.Helper()
	guard, err := epoch.NewGuard(store, epoch.Forgetful())
	if err != nil {
		t.Fatal(err)
	}
	tail := kvstore.NewTail(store)
	tail.Subscribe(epoch.Key, guard)
	leases := durabletest.NewLeases(live, store, tail)
	n := &node{make: func(kind int) interface {
		backend.Backend
		Ready(ctx context.Context) error
	} {
		if kind%2 == 1 {
			return durable.New(store, tail, guard, leases)
		}
		return hybrid.New(store, tail, guard, leases)
	}}
	first := n.make(0)
	n.Backend, n.ready = switching.New(first), first.Ready
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = tail.Run(ctx) })
	tasks.Go(func() { _ = guard.Run(ctx) })
	for _, f := range run {
		tasks.Go(func() { _ = f(ctx) })
	}
	t.Cleanup(func() {
		_ = n.Close()
		cancel()
		tasks.Wait()
	})
	return n
}

// exchange uses the Backend of that kind from now on.
func (n *node) exchange(ctx context.Context, kind int) error {
	next := n.make(kind)
	if err := next.Ready(ctx); err != nil {
		_ = next.Close()
		return err
	}
	return n.Exchange(next)
}

// TestContract shows R9 for a Backend that has been exchanged.
func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("After", func(t *testing.T) {
		t.Parallel()
		backendtest.Run(t, backendtest.Profile{}, func(t *testing.T, live backend.Liveness) backend.Backend {
			t.Helper()
			n := start(t, live)
			for kind := range 2 {
				if err := n.exchange(t.Context(), kind+1); err != nil {
					t.Fatal(err)
				}
			}
			return n
		})
	})
}

// TestContractOnAStoreThatMoves shows R9 for what a node runs: a Backend that is exchanged, on
// a store that can move, before it has moved and afterwards.
func TestContractOnAStoreThatMoves(t *testing.T) {
	t.Parallel()
	for kind, name := range []string{"Hybrid", "Durable"} {
		for _, moved := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/Moved=%t", name, moved), func(t *testing.T) {
				t.Parallel()
				backendtest.Run(t, backendtest.Profile{}, func(t *testing.T, live backend.Liveness) backend.Backend {
					t.Helper()
					n, store := startMovable(t, live)
					if err := n.exchange(t.Context(), kind); err != nil {
						t.Fatal(err)
					}
					if moved {
						move(t, store)
					}
					return n
				})
			})
		}
	}
}

// R9, R10: what is done while the Backend is exchanged over and over is done once, and reads
// go on.
func TestCallsGoOnWhileTheBackendIsExchanged(t *testing.T) {
	t.Parallel()
	n := start(t, backend.Nobody)
	if err := n.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	const each = 300
	var exchanges atomic.Int64
	var clients sync.WaitGroup
	watching, stop := context.WithCancel(t.Context())
	defer stop()
	var newest atomic.Uint64 // that the watch has shown
	events := n.Watch(watching, backend.Query{}, 0)
	watched := make(chan error, 1)
	go func() {
		gap := false
		for e, err := range events {
			if err != nil {
				watched <- err
				return
			}
			// After a gap comes the newest state of whatever may have changed.
			if gap = e.Kind == backend.Gap || gap && uint64(e.Revision) <= newest.Load(); gap {
				continue
			}
			if uint64(e.Revision) <= newest.Load() {
				t.Errorf("the watch showed %v at %d after %d", e.Kind, e.Revision, newest.Load())
			}
			newest.Store(uint64(e.Revision))
		}
		watched <- nil
	}()
	var last atomic.Uint64
	for c := range 2 {
		clients.Go(func() {
			for i := 0; i < each || exchanges.Load() < 2 && i < 20*each; i++ {
				r := backend.Registration{Key: backend.Key{Namespace: "default", Service: fmt.Sprint("s", c), Instance: fmt.Sprint(i)}, Weight: 1}
				stored, _, err := n.Register(t.Context(), r, backend.Write{If: backend.IfAbsent()})
				if err != nil {
					t.Errorf("Register(%d) = %v", i, err)
					return
				}
				read := backend.Read{MinRevision: stored.Revision}
				if _, _, err := n.Lookup(t.Context(), r.Key, read); err != nil {
					t.Errorf("Lookup(%d) = %v", i, err)
				}
				page, _, err := n.List(t.Context(), backend.Query{Scope: backend.Scope{Namespace: "default", Service: r.Service}, Read: read})
				if err != nil || len(page.Registrations) != i+1 {
					t.Errorf("List() has not %d, %v", i+1, err)
				}
				for old := last.Load(); uint64(stored.Revision) > old && !last.CompareAndSwap(old, uint64(stored.Revision)); {
					old = last.Load()
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { clients.Wait(); close(done) }()
	exchanged := 0
	for running := true; running; exchanged++ {
		if err := n.exchange(t.Context(), exchanged+1); err != nil {
			t.Errorf("exchange: %v", err)
		}
		exchanges.Add(1)
		select {
		case <-done:
			running = false
		case <-time.After(time.Millisecond):
		}
	}
	for deadline := time.Now().Add(10 * time.Second); newest.Load() < last.Load(); {
		if time.Now().After(deadline) {
			t.Fatalf("the watch has come to %d of %d", newest.Load(), last.Load())
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-watched; err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, backend.ErrUnavailable) {
		t.Errorf("the watch ended with %v", err)
	}
	if exchanged < 2 {
		t.Errorf("exchanged %d times; too few to say anything", exchanged)
	}
}
