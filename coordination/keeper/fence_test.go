package keeper_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// ending returns a batch that removes key behind the fence.
func ending(n *node, key string, revision uint64) func(context.Context, kvstore.Write, uint64) (uint64, error) {
	return func(ctx context.Context, fence kvstore.Write, _ uint64) (uint64, error) {
		revisions, err := n.store.Batch(ctx, []kvstore.Write{fence, {Key: key, Expect: revision, Remove: true}})
		return first(revisions, err)
	}
}

func lease(t *testing.T, store *memkv.Store) uint64 {
	t.Helper()
	revision, err := store.Write(t.Context(), kvstore.Write{Key: "lease.x", Value: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func removed(t *testing.T, store *memkv.Store) bool {
	t.Helper()
	e, err := store.Get(t.Context(), "lease.x")
	if err != nil {
		t.Fatal(err)
	}
	return e.Removed
}

func TestAFencedBatchIsARenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "a", setup{})
		revision := lease(t, store)
		time.Sleep(1200 * time.Millisecond)
		if err := n.Fenced(t.Context(), ending(n, "lease.x", revision)); err != nil {
			t.Fatalf("Fenced() = %v", err)
		}
		if tenure, _ := n.Tenure(); !removed(t, store) || time.Until(tenure.Until) != keeper.Validity {
			t.Errorf("removed: %t, entitled for %v; want %v", removed(t, store), time.Until(tenure.Until), keeper.Validity)
		}
		time.Sleep(20 * time.Second)
		if got := term(n); got != "1 true" {
			t.Errorf("Tenure() = %s; want term 1 still", got)
		}
	})
}

// TestAKeeperThatWakesUnderAnotherEndsNobody: the batch is on its way while its sender is
// stopped, or sent by one that was. L3.
func TestAKeeperThatWakesUnderAnotherEndsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		a := start(t, store, "a", setup{})
		b := start(t, store, "b", setup{})
		revision := lease(t, store)
		time.Sleep(10 * time.Second)
		done := make(chan error, 1)
		asked := make(chan struct{})
		go func() {
			done <- a.Fenced(t.Context(), func(ctx context.Context, fence kvstore.Write, term uint64) (uint64, error) {
				a.store.freeze()
				close(asked)
				a.store.pass(&a.store.thaw) // decided, and stopped before it is sent
				return ending(a, "lease.x", revision)(context.WithoutCancel(ctx), fence, term)
			})
		}()
		<-asked
		wait(t, "keeper", b.Serving)
		a.store.unfreeze()
		if err := <-done; !errors.Is(err, kvstore.ErrConflict) {
			t.Errorf("Fenced() = %v; want ErrConflict", err)
		}
		if removed(t, store) {
			t.Error("a keeper that was replaced has ended a lease")
		}
		if err := a.Fenced(t.Context(), ending(a, "lease.x", revision)); !errors.Is(err, keeper.ErrNotKeeper) {
			t.Errorf("Fenced() afterwards = %v; want ErrNotKeeper", err)
		}
	})
}

// TestWithoutTheFenceAKeeperThatWakesEndsALiveLease shows what the fence is for.
func TestWithoutTheFenceAKeeperThatWakesEndsALiveLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		a := start(t, store, "a", setup{})
		b := start(t, store, "b", setup{})
		revision := lease(t, store)
		time.Sleep(10 * time.Second)
		if !a.Serving() {
			t.Fatal("a does not serve")
		}
		a.store.freeze() // decided, and stopped before it is sent
		wait(t, "keeper", b.Serving)
		a.store.unfreeze()
		_, err := a.store.Write(t.Context(), kvstore.Write{Key: "lease.x", Expect: revision, Remove: true})
		if err != nil || !removed(t, store) {
			t.Errorf("Write() = %v, removed: %t; want it to happen", err, removed(t, store))
		}
	})
}

func TestALostAcknowledgementOfAFencedBatchLeavesTheKeeperInOffice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "a", setup{})
		revision := lease(t, store)
		time.Sleep(5 * time.Second)
		err := n.Fenced(t.Context(), func(ctx context.Context, fence kvstore.Write, term uint64) (uint64, error) {
			if _, err := ending(n, "lease.x", revision)(ctx, fence, term); err != nil {
				t.Errorf("Batch() = %v", err)
			}
			return 0, kvstore.ErrUnknownOutcome
		})
		if !errors.Is(err, kvstore.ErrUnknownOutcome) {
			t.Errorf("Fenced() = %v; want ErrUnknownOutcome", err)
		}
		time.Sleep(20 * time.Second)
		if got := term(n); got != "1 true" || !removed(t, store) {
			t.Errorf("Tenure() = %s, removed: %t; want term 1 still, and the batch done", got, removed(t, store))
		}
	})
}

func TestAnUnknownOutcomeOfAFencedBatchThatDidNotHappenIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "a", setup{})
		revision := lease(t, store)
		var late []kvstore.Write
		err := n.Fenced(t.Context(), func(_ context.Context, fence kvstore.Write, _ uint64) (uint64, error) {
			late = []kvstore.Write{fence, {Key: "lease.x", Expect: revision, Remove: true}}
			return 0, kvstore.ErrUnknownOutcome // it is on its way for long
		})
		if !errors.Is(err, kvstore.ErrUnknownOutcome) {
			t.Errorf("Fenced() = %v; want ErrUnknownOutcome", err)
		}
		time.Sleep(10 * time.Second)
		if _, err := store.Batch(t.Context(), late); !errors.Is(err, kvstore.ErrConflict) {
			t.Errorf("the late batch = %v; want ErrConflict", err)
		}
		if got := term(n); got != "1 true" || removed(t, store) {
			t.Errorf("Tenure() = %s, removed: %t; want term 1 still, and the batch not done", got, removed(t, store))
		}
	})
}

func TestARefusalOfAnotherWriteOfTheBatchIsNotTheKeepersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "a", setup{})
		revision := lease(t, store)
		if err := n.Fenced(t.Context(), ending(n, "lease.x", revision+5)); !errors.Is(err, kvstore.ErrConflict) {
			t.Errorf("Fenced() = %v; want ErrConflict", err)
		}
		if err := n.Fenced(t.Context(), ending(n, "lease.x", revision)); err != nil {
			t.Errorf("the next Fenced() = %v", err)
		}
		if got := term(n); got != "1 true" {
			t.Errorf("Tenure() = %s; want term 1 still", got)
		}
	})
}

func TestWhoIsNotTheKeeperGetsNoFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		start(t, store, "a", setup{})
		b := start(t, store, "b", setup{})
		err := b.Fenced(t.Context(), func(context.Context, kvstore.Write, uint64) (uint64, error) {
			t.Error("the batch is asked for")
			return 0, nil
		})
		if !errors.Is(err, keeper.ErrNotKeeper) {
			t.Errorf("Fenced() = %v; want ErrNotKeeper", err)
		}
	})
}
