package keeper_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// TestAKeeperThatWasStoppedBeginsAnewWhereNobodyTookOver is the stall rule: R4 depends on
// it. What the woken keeper had not decided is dropped, since Ended and Begun are called.
func TestAKeeperThatWasStoppedBeginsAnewWhereNobodyTookOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, memkv.New(), "a", setup{})
		time.Sleep(10 * time.Second)
		n.store.freeze()
		time.Sleep(30 * time.Second)
		if n.Serving() {
			t.Error("serves while it is stopped")
		}
		n.store.unfreeze()
		synctest.Wait()
		wait(t, "new term", n.Serving)
		if diff := cmp.Diff([]uint64{1, 2}, n.terms); diff != "" || len(n.ended) != 1 {
			t.Errorf("ended %v, terms (-want +got):\n%s", n.ended, diff)
		}
	})
}

// TestAnEntitlementThatHasLapsedDoesNotComeBack: the renewal succeeded, and its
// acknowledgement lay in a buffer while the process was stopped.
func TestAnEntitlementThatHasLapsedDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, memkv.New(), "a", setup{})
		n.store.set(faults{latency: 100 * time.Millisecond})
		time.Sleep(1501 * time.Millisecond) // a renewal is on its way
		n.store.freeze()
		time.Sleep(3 * time.Second)
		n.store.unfreeze()
		wait(t, "new term", n.Serving)
		if diff := cmp.Diff([]uint64{1, 2}, n.terms); diff != "" {
			t.Errorf("terms (-want +got):\n%s", diff)
		}
	})
}

func TestAnOutageOfTheStoreEndsTheTermAndItsReturnBeginsTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, memkv.New(), "a", setup{})
		n.store.set(faults{refuse: 100})
		time.Sleep(time.Minute)
		if who, ok := n.Current(); ok {
			t.Errorf("Current() = %v in an outage; want none", who)
		}
		n.store.set(faults{})
		took := wait(t, "new term", n.Serving)
		within(t, "the return", took, 0, 500*time.Millisecond)
		if diff := cmp.Diff([]uint64{1, 2}, n.terms); diff != "" {
			t.Errorf("terms (-want +got):\n%s", diff)
		}
	})
}

func TestAShortOutageOfTheStoreEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, memkv.New(), "a", setup{})
		time.Sleep(1400 * time.Millisecond)
		n.store.set(faults{refuse: 100})
		time.Sleep(2 * time.Second)
		n.store.set(faults{})
		time.Sleep(10 * time.Second)
		if diff := cmp.Diff([]uint64{1}, n.terms); diff != "" || len(n.ended) != 0 {
			t.Errorf("ended %v, terms (-want +got):\n%s", n.ended, diff)
		}
	})
}

func TestAStoppedKeeperThatWakesUnderAnotherIsNotTheKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		a := start(t, store, "a", setup{})
		b := start(t, store, "b", setup{})
		time.Sleep(10 * time.Second)
		a.store.freeze()
		wait(t, "keeper", b.Serving)
		a.store.unfreeze()
		for range 10_000 {
			time.Sleep(time.Millisecond)
			if a.Serving() {
				t.Fatal("a serves under b")
			}
		}
		if got := term(b); got != "2 true" {
			t.Errorf("Tenure() of b = %s; want term 2 still", got)
		}
		if who, _ := a.Current(); who != (keeper.Holder{Node: "b", Term: 2}) {
			t.Errorf("Current() of a = %v; want b in term 2", who)
		}
	})
}

// TestANodeThatCannotHearTakesOverFromNobody covers a contender whose own replica stands
// still: its writes go through and would all conflict, or worse, would not.
func TestANodeThatCannotHearTakesOverFromNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		a := start(t, store, "a", setup{})
		b := start(t, store, "b", setup{})
		time.Sleep(10 * time.Second)
		b.store.silence()
		time.Sleep(time.Minute)
		if _, ok := b.Current(); ok {
			t.Error("b claims to know a keeper, though it has heard of none for a minute")
		}
		// The keeper is gone now, which b does not know either.
		a.kill()
		time.Sleep(time.Minute)
		if r, _ := record(t, store); r.Node != "a" || b.Serving() {
			t.Errorf("record of %s, b serves: %t; want b not to conclude anything", r.Node, b.Serving())
		}
		b.store.unsilence()
		took := wait(t, "keeper", b.Serving)
		within(t, "the take-over once it hears", took, 0, keeper.Validity+time.Second)
	})
}

func TestANodeThatCannotHearDoesNotTakeOverFromAKeeperThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		a := start(t, store, "a", setup{})
		b := start(t, store, "b", setup{})
		time.Sleep(15100 * time.Millisecond)
		b.store.silence() // what it has heard is the newest there is
		a.kill()
		time.Sleep(time.Minute)
		if r, _ := record(t, store); r.Node != "a" {
			t.Errorf("the record is of %s; want b not to conclude anything", r.Node)
		}
	})
}

// TestAContenderThatWasItselfStoppedTakesOverFromNobody: what it has missed looks like
// silence.
func TestAContenderThatWasItselfStoppedTakesOverFromNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		a := start(t, store, "a", setup{})
		b := start(t, store, "b", setup{})
		for range 20 {
			time.Sleep(1700 * time.Millisecond)
			b.store.freeze()
			time.Sleep(7 * time.Second)
			b.store.unfreeze()
		}
		time.Sleep(10 * time.Second)
		if len(a.terms) != 1 || len(b.terms) != 0 {
			t.Errorf("terms of a: %v, of b: %v; want the first of a alone", a.terms, b.terms)
		}
	})
}

func TestAKeeperWhoseStoreIsMadeAnewEndsAtOnceAndTheNextTermIsHigher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "a", setup{})
		time.Sleep(10 * time.Second)
		store.Reset()
		synctest.Wait()
		if n.Serving() {
			t.Error("serves in a store that knows nothing of it")
		}
		took := wait(t, "new term", n.Serving)
		within(t, "the new term", took, keeper.Validity-time.Millisecond, keeper.Validity+10*time.Millisecond)
		if got := term(n); got != "2 true" {
			t.Errorf("Tenure() = %s; want term 2", got)
		}
	})
}

func TestARecordThatAnOperatorRemovesIsWaitedOutBeforeTheNext(t *testing.T) {
	for name, remove := range map[string]func(t *testing.T, s *memkv.Store){
		"Purged": func(_ *testing.T, s *memkv.Store) { s.Purge() },
		"Marked": func(t *testing.T, s *memkv.Store) {
			t.Helper()
			_, revision := record(t, s)
			if _, err := s.Write(t.Context(), kvstore.Write{Key: keeper.Key, Expect: revision, Remove: true}); err != nil {
				t.Fatal(err)
			}
		},
		"Overwritten": func(t *testing.T, s *memkv.Store) {
			t.Helper()
			_, revision := record(t, s)
			if _, err := s.Write(t.Context(), kvstore.Write{Key: keeper.Key, Expect: revision, Value: []byte("no record")}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memkv.New()
				a := start(t, store, "a", setup{})
				b := start(t, store, "b", setup{})
				time.Sleep(10 * time.Second)
				a.store.silence() // a does not know
				remove(t, store)
				for range 10_000 {
					time.Sleep(time.Millisecond)
					if a.Serving() && b.Serving() {
						t.Fatal("two are entitled")
					}
				}
				if got := term(b); got != "2 true" {
					t.Errorf("Tenure() of b = %s; want term 2", got)
				}
			})
		})
	}
}

func TestATakeOverIsNotServedBeforeTheFeedHasPassedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		a := start(t, store, "a", setup{})
		b := start(t, store, "b", setup{})
		time.Sleep(10 * time.Second)
		b.store.deafen("b")
		a.kill()
		time.Sleep(20 * time.Second)
		if r, _ := record(t, store); r.Node != "b" {
			t.Errorf("the record is of %s; want b to have taken over", r.Node)
		}
		if b.Serving() || len(b.terms) != 0 {
			t.Error("b serves, though its feed has not passed the take-over")
		}
		b.store.deafen("")
		wait(t, "keeper", b.Serving)
	})
}
