package hybrid_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

func instance(service, name string) backend.Registration {
	return backend.Registration{Key: backend.Key{Namespace: "default", Service: service, Instance: name}, Weight: 100}
}

func register(t *testing.T, b backend.Backend, name string) backend.Registration {
	t.Helper()
	r, _, err := b.Register(t.Context(), instance("a", name), backend.Write{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// names returns the instances that a linearizable list shows.
func names(t *testing.T, b backend.Backend) string {
	t.Helper()
	var all []string
	for r, err := range backend.All(t.Context(), b, backend.Query{Read: backend.Read{Consistency: backend.Linearizable}}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r.Instance)
	}
	return fmt.Sprint(all)
}

// TestNothingIsAnsweredBeforeTheFirstSnapshot shows R6 at a start.
func TestNothingIsAnsweredBeforeTheFirstSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		store.FreezeFeeds()
		n := start(t, store, backend.Nobody)
		defer n.stop()
		synctest.Wait()
		ask := func() map[string]error {
			_, _, lookup := n.Lookup(t.Context(), instance("a", "1").Key, backend.Read{})
			_, _, list := n.List(t.Context(), backend.Query{})
			_, _, count := n.Count(t.Context(), backend.Query{})
			_, _, services := n.Services(t.Context(), backend.Query{})
			_, _, register := n.Register(t.Context(), instance("a", "1"), backend.Write{})
			return map[string]error{"lookup": lookup, "list": list, "count": count, "services": services, "register": register}
		}
		for what, err := range ask() {
			if !errors.Is(err, backend.ErrUnavailable) {
				t.Errorf("%s = %v; want unavailable", what, err)
			}
		}
		store.ResumeFeeds()
		if err := n.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		for what, err := range ask() {
			if errors.Is(err, backend.ErrUnavailable) {
				t.Errorf("%s = %v after the snapshot; want an answer", what, err)
			}
		}
	})
}

func TestAStaleViewGoesOnAnsweringAndSaysItsAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := ready(t, store, backend.Nobody)
		defer n.stop()
		want := register(t, n, "1")
		synctest.Wait()
		store.FreezeFeeds()
		time.Sleep(45 * time.Second)
		got, stamp, err := n.Lookup(t.Context(), want.Key, backend.Read{})
		if err != nil || got.Revision != want.Revision {
			t.Errorf("Lookup = %+v, %v; want %+v", got, err, want)
		}
		if stamp.Age < 40*time.Second || stamp.Age > 47*time.Second {
			t.Errorf("the age is %v; want about 45s", stamp.Age)
		}
		if _, _, err := n.Lookup(t.Context(), want.Key, backend.Read{MaxAge: time.Second}); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("Lookup not older than a second = %v; want unavailable", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := n.Lookup(ctx, want.Key, backend.Read{Consistency: backend.Linearizable}); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("linearizable Lookup = %v; want unavailable", err)
		}
	})
}

func TestAStoreMadeAnewBeginsANewEpochAndNothingOldIsShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := ready(t, store, backend.Nobody)
		defer n.stop()
		register(t, n, "old")
		_, before, err := n.List(t.Context(), backend.Query{})
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
		store.Reset()
		time.Sleep(5 * time.Second)
		if got := names(t, n); got != "[]" {
			t.Errorf("the new store shows %s; want nothing", got)
		}
		register(t, n, "new")
		if got := names(t, n); got != "[new]" {
			t.Errorf("the new store shows %s; want [new]", got)
		}
		<-watched
		if !errors.Is(ended, backend.ErrCompacted) {
			t.Errorf("the watch ended with %v; want compacted", ended)
		}
		_, after, err := n.List(t.Context(), backend.Query{})
		if err != nil || after.Epoch <= before.Epoch {
			t.Errorf("the epoch is %d, %v; want more than %d", after.Epoch, err, before.Epoch)
		}
		old := backend.Read{MinRevision: before.Revision, Epoch: before.Epoch}
		if _, _, err := n.List(t.Context(), backend.Query{Read: old}); !errors.Is(err, backend.ErrCompacted) {
			t.Errorf("a read with a revision of the old epoch = %v; want compacted", err)
		}
		if _, _, err := n.Register(t.Context(), instance("a", "new"), backend.Write{If: backend.IfRevision(1), Epoch: before.Epoch}); !errors.Is(err, backend.ErrConflict) {
			t.Errorf("a write with a revision of the old epoch = %v; want a conflict", err)
		}
	})
}

// TestARebuildTellsWatchersTheDifference shows that what a rebuild finds gone is announced.
func TestARebuildTellsWatchersTheDifference(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := ready(t, store, backend.Nobody)
		defer n.stop()
		kept := register(t, n, "kept")
		gone := register(t, n, "gone")
		synctest.Wait()
		held := map[backend.Key]bool{kept.Key: true, gone.Key: true}
		ctx, cancel := context.WithCancel(t.Context())
		watched := make(chan struct{})
		events := n.Watch(ctx, backend.Query{}, 0)
		go func() {
			defer close(watched)
			for e, err := range events {
				if err == nil && e.Kind != backend.Gap {
					held[e.Registration.Key] = !e.Kind.Removes()
				}
			}
		}()
		synctest.Wait()
		store.FreezeFeeds()
		other := start(t, store, backend.Nobody) // a node that writes while this one hears nothing
		defer other.stop()
		if _, err := store.Write(t.Context(), kvstore.Write{Key: durable.Prefix + gone.Key.String(), Expect: uint64(gone.Revision), Remove: true, Keep: time.Minute}); err != nil {
			t.Fatal(err)
		}
		late := instance("a", "late")
		if _, err := store.Write(t.Context(), kvstore.Write{Key: durable.Prefix + late.Key.String(), Value: late.AppendStored(nil)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute) // the marker is gone by now
		store.RestartFeeds()
		store.ResumeFeeds()
		time.Sleep(10 * time.Second)
		if got := names(t, n); got != "[kept late]" {
			t.Errorf("after the rebuild there is %s; want [kept late]", got)
		}
		cancel()
		<-watched
		if !held[kept.Key] || held[gone.Key] || !held[late.Key] {
			t.Errorf("the watcher holds %v; want kept and late", held)
		}
	})
}

func TestForeignEntriesAreLeftOutAndReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := ready(t, store, backend.Nobody)
		defer n.stop()
		register(t, n, "1")
		for i, value := range []string{"?", `{"namespace":"default","service":"b","instance":"other"}`, `{"namespace":7}`} {
			if _, err := store.Write(t.Context(), kvstore.Write{Key: fmt.Sprintf("event.default.b.%d", i), Value: []byte(value)}); err != nil {
				t.Fatal(err)
			}
		}
		if got := names(t, n); got != "[1]" {
			t.Errorf("list = %s; want [1]", got)
		}
		h, err := n.Health(t.Context())
		if err != nil || h.Status != backend.Degraded || len(h.Problems) != 1 {
			t.Errorf("Health = %+v, %v; want degraded for one reason", h, err)
		}
	})
}

// TestALostAcknowledgementIsOnlyEverUnknown shows that no write of unknown fate is
// reported as not done.
func TestALostAcknowledgementIsOnlyEverUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := ready(t, store, backend.Nobody)
		defer n.stop()
		store.LoseAcknowledgements(1)
		_, _, err := n.Register(t.Context(), instance("a", "1"), backend.Write{})
		if !errors.Is(err, backend.ErrUnknownOutcome) || errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("Register = %v; want an unknown outcome and nothing else", err)
		}
		store.FailWrites(1)
		if _, _, err := n.Register(t.Context(), instance("a", "2"), backend.Write{}); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("Register = %v; want unavailable", err)
		}
		if got := names(t, n); got != "[1]" {
			t.Errorf("list = %s; want [1]", got)
		}
	})
}
