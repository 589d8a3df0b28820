package switching_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/kvstore/memkv"
	stores "github.com/roostbus/roost/kvstore/switching"
)

var (
	first  = stores.Place{Kind: stores.Bucket, Bucket: "first"}
	second = stores.Place{Kind: stores.Bucket, Bucket: "second"}
)

// attic opens the second store of a node, in memory.
type attic struct{}

func (a *attic) Look(context.Context, stores.Place) (stores.Found, error) {
	return stores.Found{}, nil
}

func (a *attic) Open(context.Context, stores.Place) (stores.Home, error) {
	return stores.Home{}, errors.New("whoever has made it has it")
}

func (a *attic) Make(_ context.Context, _ stores.Place, from uint64) (stores.Home, error) {
	return stores.Home{Store: memkv.New(memkv.WithFirst(from), memkv.WithNode("a")), Counters: memkv.NewCounters()}, nil
}

func (a *attic) Publish(context.Context, stores.Place, bool) error { return nil }
func (a *attic) Delete(context.Context, stores.Place) error        { return nil }
func (a *attic) Remember(stores.Place) error                       { return nil }

// startMovable is start on a store that can move.
func startMovable(t *testing.T, live backend.Liveness) (*node, *stores.Store) {
	t.Helper()
	store, err := stores.New(stores.Home{Store: memkv.New(memkv.WithNode("a")), Counters: memkv.NewCounters()},
		stores.Config{Node: "a", Registry: "test", Place: first}, &attic{})
	if err != nil {
		t.Fatal(err)
	}
	n := startOn(t, live, store, store.Run)
	t.Cleanup(func() { _ = store.Close() })
	if err := n.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n, store
}

// move moves store, and returns when that is done.
func move(t *testing.T, store *stores.Store) {
	t.Helper()
	for began := time.Now(); store.Where() != second || store.Status().Record.State != stores.Arrived; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("no move within a minute: %+v", store.Status())
		}
		if store.Status().Record.ID != "" {
			continue
		}
		// A node that has just been started does not run yet.
		if _, err := store.Start(t.Context(), second); err != nil && !errors.Is(err, stores.ErrBusy) && !errors.Is(err, stores.ErrThere) {
			t.Logf("Start() = %v", err)
		}
	}
}
