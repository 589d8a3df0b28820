package lease_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// node is a table that follows a store, and what it told.
type node struct {
	*lease.Table
	store *memkv.Store
	tail  *kvstore.Tail
	told  []string
}

// follow starts a table. Before its feed runs, before is called.
func follow(t *testing.T, store *memkv.Store, before func(n *node)) *node {
	t.Helper()
	n := &node{store: store, tail: kvstore.NewTail(store)}
	n.Table = lease.NewTable(n.tail, slog.New(slog.DiscardHandler))
	n.OnGrant(func(l lease.Lease) { n.told = append(n.told, "grant "+l.Owner) })
	n.OnEnd(func(e backend.Ending) {
		if n.Lives(e.Owner) {
			n.told = append(n.told, e.Owner+" lives still")
		}
		n.told = append(n.told, fmt.Sprintf("end %s %s @%d", e.Owner, e.Reason, e.Revision))
	})
	if before != nil {
		before(n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		_ = n.tail.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	synctest.Wait()
	return n
}

// take returns what was told since.
func (n *node) take() []string {
	synctest.Wait()
	told := n.told
	n.told = nil
	return told
}

// tells checks what was told since.
func (n *node) tells(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, n.take()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// write writes owner's record; reason "" is a grant, "-" a removal.
func write(t *testing.T, store *memkv.Store, owner, reason string) uint64 {
	t.Helper()
	l := lease.Lease{Owner: owner}
	if e, err := store.Get(t.Context(), lease.Key(owner)); err == nil {
		l.Revision = e.Revision
		if l.Record, err = kvstore.Decode[lease.Record](e); err != nil {
			t.Fatal(err)
		}
	} else if l.Record, err = lease.NewRecord("", lease.DefaultTTL, 0, time.Now()); err != nil {
		t.Fatal(err)
	}
	next := l.Record
	if reason != "-" {
		next = l.End(reason)
	}
	w, err := l.Write(next, "")
	if err != nil {
		t.Fatal(err)
	}
	if reason == "-" {
		w.Remove, w.Keep = true, lease.Remembered
	}
	revision, err := store.Write(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func TestALeaseLivesFromItsGrantToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := follow(t, memkv.New(), nil)
		if n.Lives("x") {
			t.Error("one that was never granted lives")
		}
		write(t, n.store, "x", "")
		n.tells(t, "grant x")
		if !n.Lives("x") || n.Len() != 1 || !slices.Equal(n.Owners(), []string{"x"}) {
			t.Errorf("lives: %t, %d live: %v", n.Lives("x"), n.Len(), n.Owners())
		}
		revision := write(t, n.store, "x", backend.ReasonClosed)
		n.tells(t, fmt.Sprintf("end x closed @%d", revision))
		l, ok := n.Get("x")
		if n.Lives("x") || n.Len() != 0 || !ok || l.Ended != backend.ReasonClosed || len(n.Owners()) != 0 {
			t.Errorf("lives: %t, %d live, stored as %+v", n.Lives("x"), n.Len(), l)
		}
		if ended := slices.Collect(n.Ended()); len(ended) != 1 || ended[0].Owner != "x" {
			t.Errorf("Ended() yields %v; want x", ended)
		}
		write(t, n.store, "x", "-")
		n.tells(t)
		if _, ok := n.Get("x"); ok || len(n.All()) != 0 {
			t.Error("one that was removed is stored")
		}
	})
}

func TestALeaseThatIsRemovedByHandHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := follow(t, memkv.New(), nil)
		write(t, n.store, "x", "")
		n.take()
		revision := write(t, n.store, "x", "-")
		n.tells(t, fmt.Sprintf("end x expired @%d", revision))
		if n.Lives("x") || n.Len() != 0 {
			t.Errorf("lives: %t, %d live", n.Lives("x"), n.Len())
		}
	})
}

func TestWhatIsNoLeaseIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := follow(t, memkv.New(), nil)
		if _, err := n.store.Write(t.Context(), kvstore.Write{Key: lease.Key("x"), Value: []byte("{")}); err != nil {
			t.Fatal(err)
		}
		write(t, n.store, "y", "")
		n.tells(t, "grant y")
		if n.Lives("x") || n.Len() != 1 {
			t.Errorf("lives: %t, %d live; want y alone", n.Lives("x"), n.Len())
		}
	})
}

func TestTheFirstSnapshotTellsOfAllInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		for _, owner := range []string{"c", "a", "d", "b"} {
			write(t, store, owner, "")
		}
		d := write(t, store, "d", backend.ReasonRevoked)
		a := write(t, store, "a", backend.ReasonExpired)
		n := follow(t, store, nil)
		n.tells(t, "grant c", "grant b", fmt.Sprintf("end d revoked @%d", d), fmt.Sprintf("end a expired @%d", a))
		var owners []string
		for _, l := range n.All() {
			owners = append(owners, l.Owner)
		}
		if diff := cmp.Diff([]string{"a", "b", "c", "d"}, owners); diff != "" || n.Len() != 2 {
			t.Errorf("%d live, stored (-want +got):\n%s", n.Len(), diff)
		}
	})
}

// TestASnapshotTellsWhatWasMissedAndNothingTwice is R3: nobody was told as it happened.
func TestASnapshotTellsWhatWasMissedAndNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := follow(t, memkv.New(), nil)
		for _, owner := range []string{"ended", "gone", "live", "dead"} {
			write(t, n.store, owner, "")
		}
		write(t, n.store, "dead", backend.ReasonExpired)
		n.take()
		n.store.FreezeFeeds()
		end := write(t, n.store, "ended", backend.ReasonClosed)
		write(t, n.store, "gone", backend.ReasonRevoked)
		write(t, n.store, "gone", "-")
		write(t, n.store, "new", "")
		write(t, n.store, "brief", "")
		brief := write(t, n.store, "brief", backend.ReasonRevoked)
		synctest.Wait()
		if !n.Lives("ended") {
			t.Error("the feed was not frozen")
		}
		n.store.RestartFeeds()
		got := n.take()
		want := []string{
			"grant new", fmt.Sprintf("end ended closed @%d", end), fmt.Sprintf("end brief revoked @%d", brief),
		}
		gone := slices.DeleteFunc(slices.Clone(got), func(line string) bool { return line[:len("end gone")] != "end gone" })
		rest := slices.DeleteFunc(slices.Clone(got), func(line string) bool { return line[:len("end gone")] == "end gone" })
		if diff := cmp.Diff(want, rest); diff != "" || len(gone) != 1 {
			t.Errorf("told of gone %v, of the others (-want +got):\n%s", gone, diff)
		}
		if n.Len() != 2 || !n.Lives("live") || !n.Lives("new") {
			t.Errorf("%d live: %v; want live and new", n.Len(), n.Owners())
		}
	})
}

// TestALeaseThatCameAndWentWhileTheFeedCaughtUpHasEnded: no snapshot, and its grant was
// never shown.
func TestALeaseThatCameAndWentWhileTheFeedCaughtUpHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := follow(t, memkv.New(), nil)
		n.store.FreezeFeeds()
		write(t, n.store, "x", "")
		revision := write(t, n.store, "x", backend.ReasonExpired)
		n.store.ResumeFeeds()
		n.tells(t, fmt.Sprintf("end x expired @%d", revision))
	})
}

func TestTheLeasesOfAnotherStoreAreNoConcernOfThisOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := follow(t, memkv.New(), nil)
		write(t, n.store, "x", "")
		write(t, n.store, "y", "")
		n.take()
		n.store.Reset()
		write(t, n.store, "y", "")
		n.tells(t, "grant y")
		if n.Lives("x") || !n.Lives("y") || n.Len() != 1 {
			t.Errorf("%d live: %v; want y", n.Len(), n.Owners())
		}
	})
}

// TestAnEndIsToldBeforeALaterChangeIsApplied is R3: whoever hears of the end hides what
// belonged to the lease before anything later is seen.
func TestAnEndIsToldBeforeALaterChangeIsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := follow(t, store, func(n *node) { n.tail.Subscribe("event.", later{n}) })
		write(t, store, "x", "")
		n.take()
		store.FreezeFeeds()
		end := write(t, store, "x", backend.ReasonExpired)
		if _, err := store.Write(t.Context(), kvstore.Write{Key: "event.a.b.c"}); err != nil {
			t.Fatal(err)
		}
		store.ResumeFeeds()
		n.tells(t, fmt.Sprintf("end x expired @%d", end), "apply event.a.b.c")
	})
}

// later subscribes after the table.
type later struct{ n *node }

func (l later) Begin(kvstore.Generation) {}
func (l later) Apply(e kvstore.Entry)    { l.n.told = append(l.n.told, "apply "+e.Key) }
func (l later) Live(uint64)              {}
func (l later) Stale(error)              {}
func (l later) Advance(uint64)           {}

// TestConfirmSeesWhatWasAcknowledgedBefore is what lease_expired is said after.
func TestConfirmSeesWhatWasAcknowledgedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := follow(t, memkv.New(), nil)
		revision := write(t, n.store, "x", "")
		if lives, err := n.Confirm(t.Context(), "x"); err != nil || !lives {
			t.Errorf("Confirm() = %t, %v; want it to live", lives, err)
		}
		if err := n.Wait(t.Context(), revision); err != nil {
			t.Errorf("Wait() = %v", err)
		}
		n.store.FreezeFeeds()
		end := write(t, n.store, "x", backend.ReasonRevoked)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.Confirm(ctx, "x"); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("Confirm() on a node that hears nothing = %v; want ErrUnavailable", err)
		}
		if err := n.Wait(ctx, end); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("Wait() on a node that hears nothing = %v; want ErrUnavailable", err)
		}
		n.store.ResumeFeeds()
		if lives, err := n.Confirm(t.Context(), "x"); err != nil || lives {
			t.Errorf("Confirm() = %t, %v; want it to have ended", lives, err)
		}
	})
}

func TestOneWhoCancelsIsToldNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := follow(t, memkv.New(), nil)
		var told []string
		cancelGrant := n.OnGrant(func(l lease.Lease) { told = append(told, "grant "+l.Owner) })
		cancelEnd := n.OnEnd(func(e backend.Ending) { told = append(told, "end "+e.Owner) })
		write(t, n.store, "x", "")
		synctest.Wait()
		cancelGrant()
		write(t, n.store, "x", backend.ReasonRevoked)
		write(t, n.store, "y", "")
		synctest.Wait()
		cancelEnd()
		cancelEnd()
		write(t, n.store, "y", backend.ReasonRevoked)
		synctest.Wait()
		if diff := cmp.Diff([]string{"grant x", "end x"}, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}
