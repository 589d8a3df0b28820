package keeper_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// node is one node's part in an election.
type node struct {
	*keeper.Keeper
	name  string
	store *faulty
	tail  *kvstore.Tail
	stop  func()

	mu    sync.Mutex
	terms []uint64 // begun
	ended []error
}

type setup struct {
	place    string
	observer *keeper.Observer
	options  []keeper.Option
}

// start runs a node on store.
func start(t *testing.T, store *memkv.Store, name string, s setup) *node {
	t.Helper()
	n := &node{name: name, store: newFaulty(store, 1)}
	n.run(t, s)
	return n
}

func (n *node) run(t *testing.T, s setup) {
	t.Helper()
	n.tail = kvstore.NewTail(n.store)
	obs := &keeper.Observer{
		Begun: func(term uint64) {
			n.mu.Lock()
			n.terms = append(n.terms, term)
			n.mu.Unlock()
			if s.observer != nil {
				s.observer.Begun(term)
			}
		},
		Ended: func(_ uint64, cause error) {
			n.mu.Lock()
			n.ended = append(n.ended, cause)
			n.mu.Unlock()
		},
	}
	var err error
	n.Keeper, err = keeper.New(n.store, n.tail, keeper.Self{Node: n.name, Place: s.place},
		append([]keeper.Option{keeper.WithObserver(obs)}, s.options...)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = n.tail.Run(ctx) })
	tasks.Go(func() { _ = n.Run(ctx) })
	n.stop = sync.OnceFunc(func() {
		cancel()
		n.store.unfreeze()
		n.store.unsilence()
		tasks.Wait()
		n.store.calls.Wait()
	})
	t.Cleanup(n.stop)
	synctest.Wait()
}

// kill ends the node as kill -9 does: nothing that it does comes through any more.
func (n *node) kill() {
	n.store.set(faults{refuse: 100})
	n.stop()
}

// wait sleeps until is reports true, and returns how long that took.
func wait(t *testing.T, what string, is func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !is() {
		if time.Since(begin) > time.Minute {
			t.Fatalf("no %s within a minute", what)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
	}
	return time.Since(begin)
}

// record returns the stored record.
func record(t *testing.T, store *memkv.Store) (keeper.Record, uint64) {
	t.Helper()
	r, revision, err := kvstore.CellAt[keeper.Record](store, keeper.Key).Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r, revision
}

func term(n *node) string {
	t, ok := n.Tenure()
	return fmt.Sprint(t.Term, ok)
}

func within(t *testing.T, what string, got, least, most time.Duration) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s took %v; want %v to %v", what, got, least, most)
	}
}

func contextWithTimeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}
