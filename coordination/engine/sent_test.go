package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// Section 1 of the protocol about objects: a request may arrive long after it was sent, when
// its repeat was done and others have gone on.
func TestARequestThatSaysWhatItsSenderKnewChangesNothingThatWasChangedSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one")
		grant(t, store, "a", "b")
		_, held, err := n.Locks.Acquire(t.Context(), object, party("a"), coordination.Exclusive, 0, as("a"))
		if err != nil {
			t.Fatal(err)
		}
		knows := func(owner string, at backend.Revision, epoch backend.Epoch) backend.Write {
			return backend.Write{Owner: owner, Known: at, Epoch: epoch, Dated: true}
		}
		again := func(by backend.Write) backend.Write {
			by.Dated, by.Repeated = false, true
			return by
		}
		release := func(by backend.Write) error {
			_, _, err := n.Locks.Release(t.Context(), object, party(by.Owner), by)
			return err
		}
		acquire := func(by backend.Write) error {
			_, _, err := n.Locks.Acquire(t.Context(), object, party(by.Owner), coordination.Exclusive, 0, by)
			return err
		}
		for _, c := range []struct {
			what string
			got  error
			want error
		}{
			{"a release of before it was held", release(knows("a", held.Revision-1, 1)), backend.ErrUnavailable},
			{"one of another epoch", release(knows("a", held.Revision, 2)), backend.ErrUnavailable},
			{"a repeated one", release(again(knows("a", held.Revision-1, 1))), backend.ErrConflict},
			{"an acquire that changes nothing", acquire(knows("a", 1, 1)), nil},
			{"a release that changes nothing", release(knows("b", 1, 1)), nil},
			{"a release by one who knows", release(knows("a", held.Revision, 1)), nil},
			{"an acquire of before", acquire(knows("b", held.Revision, 1)), backend.ErrUnavailable},
			{"a repeated one", acquire(again(knows("b", held.Revision, 1))), backend.ErrConflict},
		} {
			if !errors.Is(c.got, c.want) {
				t.Errorf("%s: %v; want %v", c.what, c.got, c.want)
			}
		}
		if l := stored(t, store); !l.Idle() {
			t.Errorf("the lock is %+v; want nobody to hold it", l)
		}
	})
}

// A wait that is over takes its request out by compare-and-swap, or holds what it was granted
// at that very moment.
func TestAWaitThatIsOverAsItsTurnComesHoldsTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n, other := start(t, store, "one"), start(t, store, "other")
		grant(t, store, "a", "b")
		first, err := other.try("a")
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan error, 1)
		var token coordination.Token
		go func() {
			var err error
			token, err = n.lock("b", time.Second)
			got <- err
		}()
		settle()
		begun := time.Now()
		n.store.onWrite(func(kvstore.Write) { // that takes it out
			n.store.onWrite(nil)
			if _, _, err := other.Locks.Release(context.Background(), object, party("a"), as("a")); err != nil {
				t.Error(err)
			}
		})
		if err := <-got; err != nil || token.Compare(first) <= 0 || time.Since(begun) < 900*time.Millisecond {
			t.Errorf("%v, %v after %v; want it held, when the second was over", token, err, time.Since(begun))
		}
		if l := stored(t, store); len(l.Holders) != 1 || l.Holders[0].Owner != "b" || len(l.Waiters) != 0 {
			t.Errorf("the lock is %+v; want b to hold it", l)
		}
	})
}

// Whoever is told that it does not wait any more learns that nothing was done.
func TestWhoComesAgainWithoutAWaitEndsItsEarlierOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one")
		grant(t, store, "a", "b")
		if _, err := n.try("a"); err != nil {
			t.Fatal(err)
		}
		waits := make(chan error, 2)
		go func() {
			_, err := n.lock("b", time.Hour)
			waits <- err
		}()
		go func() {
			_, _, err := n.Barriers.Arrive(context.Background(), object, party("b"), 2, 0, time.Hour, as("b"))
			waits <- err
		}()
		settle()
		if _, err := n.try("b"); !errors.Is(err, backend.ErrTimeout) {
			t.Errorf("an acquire without a wait: %v; want ErrTimeout", err)
		}
		if _, _, err := n.Barriers.Arrive(t.Context(), object, party("b"), 2, 0, 0, as("b")); !errors.Is(err, backend.ErrTimeout) {
			t.Errorf("an arrival without a wait: %v; want ErrTimeout", err)
		}
		for range 2 {
			if err := <-waits; !errors.Is(err, backend.ErrUnavailable) {
				t.Errorf("the earlier request: %v; want ErrUnavailable", err)
			}
		}
		go func() {
			_, err := n.lock("b", time.Hour)
			waits <- err
		}()
		go func() {
			_, _, err := n.Barriers.Arrive(context.Background(), object, party("b"), 2, 0, time.Hour, as("b"))
			waits <- err
		}()
		settle()
		n.unlock(t, "b")
		if _, _, err := n.Barriers.Clear(t.Context(), object, backend.Write{}); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-waits; !errors.Is(err, backend.ErrUnavailable) {
				t.Errorf("one who was taken out: %v; want ErrUnavailable", err)
			}
		}
	})
}
