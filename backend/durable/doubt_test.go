package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/backendtest"
	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

var linearizable = backend.Read{Consistency: backend.Linearizable}

func instance(name string) backend.Registration {
	return backend.Registration{Key: backend.Key{Namespace: "default", Service: "a", Instance: name}, Weight: 100}
}

func register(t *testing.T, b backend.Backend, name string) (backend.Registration, backend.Stamp) {
	t.Helper()
	r, stamp, err := b.Register(t.Context(), instance(name), backend.Write{})
	if err != nil {
		t.Fatal(err)
	}
	return r, stamp
}

// names returns the instances that a list shows, and of a list since also those removed.
func names(ctx context.Context, b backend.Backend, q backend.Query) ([]string, backend.Stamp, error) {
	page, stamp, err := b.List(ctx, q)
	if err != nil {
		return nil, stamp, err
	}
	var all []string
	for _, r := range page.Registrations {
		all = append(all, r.Instance)
	}
	for _, r := range page.Removed {
		all = append(all, "-"+r.Instance)
	}
	return all, stamp, nil
}

// TestAFailingStoreIsNotAnEmptyOne shows R6.
func TestAFailingStoreIsNotAnEmptyOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := ready(t, store, backend.Nobody)
		defer n.stop()
		register(t, n, "1")
		ask := map[string]func() error{
			"lookup":   func() error { _, _, err := n.Lookup(t.Context(), instance("1").Key, backend.Read{}); return err },
			"list":     func() error { _, _, err := n.List(t.Context(), backend.Query{}); return err },
			"count":    func() error { _, _, err := n.Count(t.Context(), backend.Query{}); return err },
			"services": func() error { _, _, err := n.Services(t.Context(), backend.Query{}); return err },
			"register": func() error { _, _, err := n.Register(t.Context(), instance("2"), backend.Write{}); return err },
		}
		for what, call := range ask {
			store.FailReads(1)
			if err := call(); !errors.Is(err, backend.ErrUnavailable) {
				t.Errorf("%s = %v; want unavailable", what, err)
			}
			if err := call(); err != nil {
				t.Errorf("%s afterwards = %v; want nil", what, err)
			}
		}
		store.FailReads(1)
		if h, err := n.Health(t.Context()); err != nil || h.Status != backend.Unhealthy || len(h.Problems) != 1 {
			t.Errorf("Health = %+v, %v; want it unhealthy with the problem", h, err)
		}
	})
}

// TestANodeWhoseFeedStandsStillSaysItsAge shows R5: of a node that is cut off nobody knows
// how old what it can reach is.
func TestANodeWhoseFeedStandsStillSaysItsAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := ready(t, store, backend.Nobody)
		defer n.stop()
		r, stamp := register(t, n, "1")
		synctest.Wait()
		store.FreezeFeeds()
		time.Sleep(45 * time.Second)
		got, at, err := n.Lookup(t.Context(), r.Key, backend.Read{})
		if err != nil || got.Revision != r.Revision || at.Revision < stamp.Revision {
			t.Errorf("Lookup = %+v at %+v, %v; want %+v", got, at, err, r)
		}
		if at.Age < 40*time.Second || at.Age > 47*time.Second {
			t.Errorf("the age is %v; want about 45s", at.Age)
		}
		if _, _, err := n.List(t.Context(), backend.Query{Read: backend.Read{MaxAge: time.Second}}); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("a list not older than a second = %v; want unavailable", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := n.Lookup(ctx, r.Key, linearizable); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("a linearizable look-up = %v; want unavailable", err)
		}
	})
}

// TestAStoreMadeAnewIsNeverShownUnderTheOldEpoch covers a node whose feed has not noticed
// yet: the store answers already, and must not be believed.
func TestAStoreMadeAnewIsNeverShownUnderTheOldEpoch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := ready(t, store, backend.Nobody)
		defer n.stop()
		register(t, n, "old")
		_, before, err := names(t.Context(), n, backend.Query{})
		if err != nil {
			t.Fatal(err)
		}
		var ended error
		watched := make(chan struct{})
		events := n.Watch(t.Context(), backend.Query{}, 0)
		go func() {
			defer close(watched)
			for _, err := range events {
				ended = err
			}
		}()
		synctest.Wait()
		store.FreezeFeeds()
		store.Reset()
		for i := range 100 { // it has come further than the old one
			if _, err := store.Write(t.Context(), kvstore.Write{Key: fmt.Sprint("other.", i)}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, _, err := names(ctx, n, backend.Query{}); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("the list of another store = %v, %v; want unavailable", got, err)
		}
		store.ResumeFeeds()
		time.Sleep(5 * time.Second)
		<-watched
		if !errors.Is(ended, backend.ErrCompacted) {
			t.Errorf("the watch ended with %v; want compacted", ended)
		}
		got, after, err := names(t.Context(), n, backend.Query{Read: linearizable})
		if err != nil || len(got) != 0 || after.Epoch <= before.Epoch {
			t.Errorf("the new store shows %v in epoch %d, %v; want nothing, above %d", got, after.Epoch, err, before.Epoch)
		}
		read := backend.Read{MinRevision: 1, Epoch: before.Epoch}
		if _, _, err := names(t.Context(), n, backend.Query{Read: read}); !errors.Is(err, backend.ErrCompacted) {
			t.Errorf("a list of the old epoch = %v; want compacted", err)
		}
	})
}

// TestARemovalIsRememberedAsLongAsItsMarker shows R7: whoever asks for what changed since
// is told of every removal, or to list again.
func TestARemovalIsRememberedAsLongAsItsMarker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		first := start(t, store, backend.Nobody)
		if err := first.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		register(t, first, "1")
		_, stamp := register(t, first, "2")
		if _, _, err := first.Unregister(t.Context(), instance("1").Key, backend.Write{}); err != nil {
			t.Fatal(err)
		}
		second := ready(t, store, backend.Nobody)
		defer first.stop()
		defer second.stop()
		q := backend.Query{Since: &stamp.Revision, Read: backend.Read{Epoch: stamp.Epoch, Consistency: backend.Linearizable}}
		for begin := time.Now(); time.Since(begin) < 2*durable.MarkerLife; time.Sleep(time.Minute) {
			for name, n := range map[string]*node{"first": first, "second": second} {
				got, _, err := names(t.Context(), n, q)
				switch {
				case err == nil && !slices.Equal(got, []string{"-1"}):
					t.Fatalf("%s node after %v: %v; want the removal", name, time.Since(begin), got)
				case err != nil && !errors.Is(err, backend.ErrCompacted):
					t.Fatalf("%s node after %v: %v; want compacted or the removal", name, time.Since(begin), err)
				case err != nil && n == first && time.Since(begin) < 30*time.Minute:
					t.Fatalf("%s node after %v: %v; want the removal for 30 minutes", name, time.Since(begin), err)
				case err == nil && time.Since(begin) > durable.MarkerLife:
					t.Fatalf("%s node after %v still says that it knows", name, time.Since(begin))
				}
			}
		}
	})
}

// TestWhatAnOwnerLeftIsHiddenHoweverLongItStaysStored shows R3 where nobody cleans up.
func TestWhatAnOwnerLeftIsHiddenHoweverLongItStaysStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, leases := memkv.New(), backendtest.NewLeases()
		n := ready(t, store, leases)
		defer n.stop()
		for _, owner := range []string{"dead", "live"} {
			leases.Grant(owner)
			if _, _, err := n.Register(t.Context(), instance(owner), backend.Write{Owner: owner}); err != nil {
				t.Fatal(err)
			}
		}
		leases.End("dead", backend.ReasonExpired)
		for i := range 5 {
			time.Sleep(durable.MarkerLife)
			other := fmt.Sprint("other-", i)
			leases.Grant(other)
			leases.End(other, backend.ReasonExpired) // so that endings are forgotten
			got, _, err := names(t.Context(), n, backend.Query{Read: linearizable})
			if err != nil || !slices.Equal(got, []string{"live"}) {
				t.Errorf("list = %v, %v; want the one that lives", got, err)
			}
			if _, _, err := n.Lookup(t.Context(), instance("dead").Key, linearizable); !errors.Is(err, backend.ErrNotFound) {
				t.Errorf("Lookup of what is dead = %v; want not found", err)
			}
		}
	})
}

// TestWhatIsNotWatchedIsNotHeld shows that memory follows use.
func TestWhatIsNotWatchedIsNotHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := ready(t, memkv.New(), backend.Nobody)
		defer n.stop()
		_, stamp := register(t, n, "1")
		changes := n.Watch(t.Context(), backend.Query{}, stamp.Revision)
		if n.Mirrors() != 1 {
			t.Errorf("%d scopes are held for a watch that begins; want 1", n.Mirrors())
		}
		time.Sleep(time.Minute)
		if n.Mirrors() != 0 {
			t.Errorf("%d scopes are held though nobody watches; want none", n.Mirrors())
		}
		want, _ := register(t, n, "2")
		for e, err := range changes { // it begins late, and yet where it was told to
			if err != nil || e.Kind != backend.Gap && e.Revision != want.Revision {
				t.Fatalf("the first event is %+v, %v; want that at %d", e, err, want.Revision)
			}
			if e.Kind != backend.Gap {
				break
			}
		}
		time.Sleep(time.Minute)
		if n.Mirrors() != 0 {
			t.Errorf("%d scopes are held though nobody watches; want none", n.Mirrors())
		}
	})
}
