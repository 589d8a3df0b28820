package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

func TestASingleNodeIsTheKeeperAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, memkv.New(), "a", setup{})
		if got := term(n); got != "1 true" {
			t.Errorf("Tenure() = %s; want term 1", got)
		}
		if err := n.Ready(t.Context()); err != nil {
			t.Errorf("Ready() = %v", err)
		}
		if who, ok := n.Current(); !ok || who != (keeper.Holder{Node: "a", Term: 1}) {
			t.Errorf("Current() = %v, %t; want a in term 1", who, ok)
		}
	})
}

func TestAKeeperRenewsAndStaysInItsTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "a", setup{})
		before, _ := record(t, store)
		time.Sleep(15*time.Second + time.Millisecond)
		after, _ := record(t, store)
		if got := after.Counter - before.Counter; got != 10 {
			t.Errorf("renewed %d times in 15s; want 10", got)
		}
		tenure, ok := n.Tenure()
		if !ok || tenure.Term != 1 || len(n.ended) != 0 {
			t.Errorf("Tenure() = %v, %t after %v; want term 1 throughout", tenure, ok, n.ended)
		}
	})
}

// TestAKeeperIsEntitledForFourSecondsFromTheSendingOfItsRenewal looks at the last instant:
// L3 depends on it.
func TestAKeeperIsEntitledForFourSecondsFromTheSendingOfItsRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, memkv.New(), "a", setup{}) // sent now
		n.store.set(faults{lose: 100})
		time.Sleep(keeper.Validity - 1)
		if !n.Serving() {
			t.Error("1ns before the end: not serving")
		}
		time.Sleep(time.Nanosecond)
		if n.Serving() {
			t.Error("at the end: serving")
		}
		if synctest.Wait(); len(n.ended) != 1 {
			t.Errorf("Ended was called %d times; want once", len(n.ended))
		}
	})
}

func TestARenewalCountsFromItsSendingAndNotFromItsAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, memkv.New(), "a", setup{})
		n.store.set(faults{latency: 900 * time.Millisecond})
		time.Sleep(1500 * time.Millisecond) // the first renewal is sent
		sent := time.Now()
		wait(t, "acknowledgement", func() bool {
			tenure, ok := n.Tenure()
			return ok && tenure.Until.After(sent.Add(3*time.Second))
		})
		if tenure, _ := n.Tenure(); !tenure.Until.Equal(sent.Add(keeper.Validity)) {
			t.Errorf("entitled until %v after the sending; want %v", tenure.Until.Sub(sent), keeper.Validity)
		}
	})
}

func TestARepeatedRenewalCountsFromItsFirstSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, memkv.New(), "a", setup{})
		n.store.set(faults{deaf: 100}) // it happens, and nobody says so
		time.Sleep(1500 * time.Millisecond)
		sent := time.Now()
		time.Sleep(time.Second)
		n.store.set(faults{})
		wait(t, "acknowledgement", func() bool {
			tenure, ok := n.Tenure()
			return ok && tenure.Until.After(sent.Add(3*time.Second))
		})
		if tenure, _ := n.Tenure(); tenure.Until.After(sent.Add(keeper.Validity)) && time.Since(sent) < 1300*time.Millisecond {
			t.Errorf("entitled until %v after the first sending; want %v", tenure.Until.Sub(sent), keeper.Validity)
		}
		if got := term(n); got != "1 true" {
			t.Errorf("Tenure() = %s; want term 1 still", got)
		}
	})
}

func TestAnotherTakesOverFromAKilledKeeperInTime(t *testing.T) {
	for _, age := range []time.Duration{time.Millisecond, 700 * time.Millisecond, 1499 * time.Millisecond} {
		t.Run(age.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memkv.New()
				a := start(t, store, "a", setup{})
				b := start(t, store, "b", setup{})
				time.Sleep(15*time.Second + age) // after a's renewal
				a.kill()
				took := wait(t, "keeper", b.Serving)
				within(t, "the take-over", took, keeper.Validity-age, keeper.Validity-age+10*time.Millisecond)
				if got := term(b); got != "2 true" {
					t.Errorf("Tenure() of b = %s; want term 2", got)
				}
			})
		})
	}
}

func TestAKeeperThatStopsInOrderHandsOverAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		a := start(t, store, "a", setup{})
		b := start(t, store, "b", setup{})
		time.Sleep(10 * time.Second)
		a.stop()
		if a.Serving() {
			t.Error("a serves after its stop")
		}
		took := wait(t, "keeper", b.Serving)
		within(t, "the hand-over", took, 0, 10*time.Millisecond)
	})
}

func TestAKeeperThatResignsWhileARenewalIsInDoubtHandsOverAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		a := start(t, store, "a", setup{})
		b := start(t, store, "b", setup{})
		a.store.set(faults{deaf: 100})
		time.Sleep(1500*time.Millisecond + time.Second + time.Millisecond)
		a.store.set(faults{})
		a.stop()
		took := wait(t, "keeper", b.Serving)
		within(t, "the hand-over", took, 0, 10*time.Millisecond)
	})
}

func TestARestartedNodeTakesOverFromItsPredecessorAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		start(t, store, "a", setup{place: "dir"}).kill()
		n := start(t, store, "a", setup{place: "dir"})
		if got := term(n); got != "2 true" {
			t.Errorf("Tenure() = %s; want term 2 at once", got)
		}
	})
}

// TestTheNameAloneIsNoReasonToTakeOver covers two nodes that were given one name, as two
// on one host are by default.
func TestTheNameAloneIsNoReasonToTakeOver(t *testing.T) {
	for name, places := range map[string][2]string{"NoPlace": {"", ""}, "AnotherPlace": {"one", "two"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memkv.New()
				first := start(t, store, "a", setup{place: places[0]})
				second := start(t, store, "a", setup{place: places[1]})
				time.Sleep(20 * time.Second)
				if !first.Serving() || second.Serving() {
					t.Errorf("first serves: %t, second serves: %t; want the first alone", first.Serving(), second.Serving())
				}
			})
		})
	}
}

func TestANodeThatStartsBesideAKeeperIsReadyWhenItHasSeenItRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		start(t, store, "a", setup{})
		b := start(t, store, "b", setup{})
		if who, ok := b.Current(); ok {
			t.Errorf("Current() = %v before anything moved; want none", who)
		}
		begin := time.Now()
		if err := b.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		within(t, "Ready", time.Since(begin), 1500*time.Millisecond, 1510*time.Millisecond)
		if who, _ := b.Current(); who != (keeper.Holder{Node: "a", Term: 1}) {
			t.Errorf("Current() = %v; want a in term 1", who)
		}
	})
}

func TestOneWhoWaitsForAKeeperInVainIsToldWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		start(t, store, "a", setup{}).kill()
		b := start(t, store, "b", setup{})
		ctx, cancel := contextWithTimeout(t, 2*time.Second)
		defer cancel()
		if err := b.Ready(ctx); !errors.Is(err, kvstore.ErrUnavailable) {
			t.Errorf("Ready() = %v; want ErrUnavailable", err)
		}
	})
}

func TestTermsGrowAcrossKeepers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		var terms []uint64
		for _, name := range []string{"a", "b", "a", "c"} {
			n := start(t, store, name, setup{})
			wait(t, "keeper", n.Serving)
			terms = append(terms, n.terms...)
			n.kill()
		}
		if diff := cmp.Diff([]uint64{1, 2, 3, 4}, terms); diff != "" {
			t.Errorf("terms (-want +got):\n%s", diff)
		}
	})
}

func TestANodeWithoutANameIsRefused(t *testing.T) {
	store := memkv.New()
	if _, err := keeper.New(store, kvstore.NewTail(store), keeper.Self{}); err == nil {
		t.Error("New() = nil; want an error")
	}
}

func TestEveryObserverIsToldInTheOrderInWhichItCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		tail := kvstore.NewTail(store)
		var told []string
		observer := func(name string) *keeper.Observer {
			return &keeper.Observer{
				Begun: func(term uint64) { told = append(told, fmt.Sprint(name, " begun ", term)) },
				Ended: func(term uint64, _ error) { told = append(told, fmt.Sprint(name, " ended ", term)) },
			}
		}
		k, err := keeper.New(store, tail, keeper.Self{Node: "a"}, keeper.WithObserver(observer("first")))
		if err != nil {
			t.Fatal(err)
		}
		k.Observe(&keeper.Observer{})
		k.Observe(observer("second"))
		ctx, cancel := context.WithCancel(t.Context())
		var tasks sync.WaitGroup
		tasks.Go(func() { _ = tail.Run(ctx) })
		tasks.Go(func() { _ = k.Run(ctx) })
		synctest.Wait()
		cancel()
		tasks.Wait()
		want := []string{"first begun 1", "second begun 1", "first ended 1", "second ended 1"}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}
