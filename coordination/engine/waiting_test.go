package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/kvstore/memkv"
)

// C5: a release wakes whom it grants and nobody else.
func TestWaitersAreServedInOrderAndEachIsWokenOnce(t *testing.T) {
	for _, many := range []int{64, coordination.MaxWaiters} {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memkv.New()
				n := start(t, store, "one").keep(1)
				owners := []string{"first"}
				for i := range many {
					owners = append(owners, fmt.Sprint("o", i))
				}
				grant(t, store, append(owners, "late")...)
				if _, err := n.try("first"); err != nil {
					t.Fatal(err)
				}
				var mu sync.Mutex
				var served []string
				var tasks sync.WaitGroup
				for _, owner := range owners[1:] {
					tasks.Go(func() {
						if _, err := n.lock(owner, time.Hour); err != nil {
							t.Errorf("%s: %v", owner, err)
							return
						}
						mu.Lock()
						served = append(served, owner)
						mu.Unlock()
						n.unlock(t, owner)
					})
					settle()
				}
				if got := len(stored(t, store).Waiters); got != many {
					t.Fatalf("%d wait; want %d", got, many)
				}
				if many == coordination.MaxWaiters {
					if _, err := n.lock("late", time.Second); !errors.Is(err, backend.ErrLimitExceeded) {
						t.Errorf("one more: %v; want ErrLimitExceeded", err)
					}
				}
				wrote, woken := n.store.wrote.Load(), n.Wakes()
				n.unlock(t, "first")
				tasks.Wait()
				if diff := cmp.Diff(owners[1:], served); diff != "" {
					t.Errorf("served (-want +got):\n%s", diff)
				}
				if got := n.Wakes() - woken; got != uint64(many) {
					t.Errorf("%d wakes for %d who waited; want one each", got, many)
				}
				if got := n.store.wrote.Load() - wrote; got != int64(many)+1 {
					t.Errorf("%d writes for %d releases", got, many+1)
				}
			})
		})
	}
}

// F1, F4: a node that dies with requests in its hands, whose clients live on.
func TestTheRequestsOfANodeThatDiesAreTakenOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		keeper, dying := start(t, store, "keeper").keep(1), start(t, store, "dying")
		grant(t, store, "a", "b", "c")
		if _, err := keeper.try("a"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var tasks sync.WaitGroup
		tasks.Go(func() {
			_, _, err := dying.Locks.Acquire(ctx, object, party("b"), coordination.Exclusive, time.Hour, as("b"))
			if !errors.Is(err, backend.ErrUnknownOutcome) {
				t.Errorf("the request that died: %v; want ErrUnknownOutcome", err)
			}
		})
		synctest.Wait()
		tasks.Go(func() {
			if _, err := keeper.lock("c", time.Hour); err != nil {
				t.Errorf("who waits at another node: %v", err)
			}
		})
		time.Sleep(time.Minute) // a node that lives is not silent
		if got := len(stored(t, store).Waiters); got != 2 {
			t.Fatalf("%d wait while both nodes live; want 2", got)
		}
		dying.store.cut.Store(true)
		cancel()
		dying.stop()
		took := eventually(t, "queue without the dead node's request", func() bool { return len(stored(t, store).Waiters) == 1 })
		if took < 4*time.Second || took > 8*time.Second {
			t.Errorf("that took %v; want about 5s", took)
		}
		keeper.unlock(t, "a")
		tasks.Wait()
	})
}

// A node that writes much sends no probes for their own sake.
func TestANodeWithRequestsInItsHandsGivesSignsOfLifeWhateverElseItWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		keeper, busy := start(t, store, "keeper").keep(1), start(t, store, "busy")
		grant(t, store, "a", "b")
		if _, err := keeper.try("a"); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := busy.lock("b", time.Minute)
			done <- err
		}()
		for range 200 {
			sent := busy.tail.Sent()
			busy.tail.Wrote(sent, write(t, store, "busy", recordOf(t, store, "a")))
			time.Sleep(100 * time.Millisecond)
		}
		if got := len(stored(t, store).Waiters); got != 1 {
			t.Errorf("%d wait after 20s; want 1", got)
		}
		keeper.unlock(t, "a")
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestTheRequestsOfANodeThatStopsLeaveTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one")
		owners := []string{"a"}
		for i := range 50 {
			owners = append(owners, fmt.Sprint("o", i))
		}
		grant(t, store, owners...)
		if _, err := n.try("a"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var tasks sync.WaitGroup
		for _, owner := range owners[1:] {
			tasks.Go(func() {
				_, _, err := n.Locks.Acquire(ctx, object, party(owner), coordination.Shared, time.Hour, as(owner))
				if !errors.Is(err, backend.ErrUnavailable) {
					t.Errorf("%s: %v; want ErrUnavailable", owner, err)
				}
			})
		}
		settle()
		n.store.delay.Store(int64(time.Millisecond))
		wrote := n.store.wrote.Load()
		cancel()
		tasks.Wait()
		if l := stored(t, store); len(l.Waiters) != 0 {
			t.Errorf("%d wait still", len(l.Waiters))
		}
		if got := n.store.wrote.Load() - wrote; got > 5 {
			t.Errorf("%d writes took 50 out; want few", got)
		}
	})
}

// A process that begins takes out what the one before it has left.
func TestANodeThatBeginsTakesOutTheRequestsOfTheProcessBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		before := start(t, store, "one")
		grant(t, store, "a", "b")
		if _, err := before.try("a"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _, _ = before.Locks.Acquire(ctx, object, party("b"), coordination.Exclusive, time.Hour, as("b"))
		}()
		settle()
		before.store.cut.Store(true)
		cancel()
		before.stop()
		<-done
		start(t, store, "one")
		eventually(t, "queue that nobody waits in", func() bool { return len(stored(t, store).Waiters) == 0 })
	})
}

func TestARequestThatCannotBeTakenOutIsTakenOutLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one")
		grant(t, store, "a", "b")
		if _, err := n.try("a"); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := n.lock("b", time.Second)
			done <- err
		}()
		settle()
		n.store.cut.Store(true)
		if err := <-done; !errors.Is(err, backend.ErrUnknownOutcome) {
			t.Errorf("%v; want ErrUnknownOutcome", err)
		}
		time.Sleep(time.Minute)
		n.store.cut.Store(false)
		eventually(t, "queue that nobody waits in", func() bool { return len(stored(t, store).Waiters) == 0 })
	})
}

func TestAWaitEndsWhenTheLeaseDoesAlsoWithoutAKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one") // nobody is the keeper
		grant(t, store, "a", "b")
		if _, err := n.try("a"); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := n.lock("b", time.Hour)
			done <- err
		}()
		settle()
		begin := time.Now()
		end(t, store, "b")
		if err := <-done; !errors.Is(err, backend.ErrLeaseExpired) || time.Since(begin) > 0 {
			t.Errorf("%v after %v; want ErrLeaseExpired at once", err, time.Since(begin))
		}
	})
}

func TestOnlyTheEndOfTheLatestRequestTakesAPartyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		one, other := start(t, store, "one"), start(t, store, "other")
		grant(t, store, "a", "b")
		if _, err := one.try("a"); err != nil {
			t.Fatal(err)
		}
		first, second := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := one.lock("b", 10*time.Second)
			first <- err
		}()
		settle()
		go func() {
			_, err := other.lock("b", 20*time.Second)
			second <- err
		}()
		if err := <-first; !errors.Is(err, backend.ErrTimeout) {
			t.Errorf("the first request: %v; want ErrTimeout", err)
		}
		if got := len(stored(t, store).Waiters); got != 1 {
			t.Fatalf("%d wait; want the second request", got)
		}
		one.unlock(t, "a")
		if err := <-second; err != nil {
			t.Errorf("the second request: %v", err)
		}
	})
}

func TestWhoeverIsTakenOutOfTheQueueIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one")
		grant(t, store, "a", "b")
		if _, err := n.try("a"); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := n.lock("b", time.Hour)
			done <- err
		}()
		settle()
		if _, _, err := n.Locks.Clear(t.Context(), object, backend.Write{Reason: "stuck"}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("%v; want ErrUnavailable", err)
		}
	})
}

func TestAwaitIsWokenByEachChangeAndByNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n, other := start(t, store, "one"), start(t, store, "other")
		grant(t, store, "a")
		asked := 0
		done := make(chan backend.Stamp, 1)
		go func() {
			_, stamp, err := n.Locks.Await(context.Background(), object, func(o *engine.Object[coordination.Lock]) bool {
				asked++
				return len(o.Record.Holders) == 1
			})
			if err != nil {
				t.Error(err)
			}
			done <- stamp
		}()
		synctest.Wait()
		elsewhere := engine.Name{Namespace: "default", Name: "y"}
		if _, _, err := other.Locks.Acquire(t.Context(), elsewhere, party("a"), coordination.Shared, 0, as("a")); err != nil {
			t.Fatal(err)
		}
		_, stamp, err := other.Locks.Acquire(t.Context(), object, party("a"), coordination.Shared, 0, as("a"))
		if err != nil {
			t.Fatal(err)
		}
		if got := <-done; got.Revision < stamp.Revision || asked != 2 {
			t.Errorf("answered from %d after %d questions; want %d after 2", got.Revision, asked, stamp.Revision)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		never := func(*engine.Object[coordination.Lock]) bool { return false }
		if _, _, err := n.Locks.Await(ctx, object, never); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("Await of what never is = %v; want ErrUnavailable", err)
		}
	})
}

func TestNamesAreListedInOrderAndByPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one")
		grant(t, store, "a")
		var want []string
		for _, name := range []string{"b.2", "a", "c/3", "d"} {
			for _, namespace := range []string{"default", "other"} {
				at := engine.Name{Namespace: namespace, Name: name}
				if _, _, err := n.Semaphores.Acquire(t.Context(), at, party("a"), 1, 2, 0, as("a")); err != nil {
					t.Fatal(err)
				}
				want = append(want, at.String())
			}
		}
		slices.Sort(want)
		var got []string
		for after := ""; ; {
			page, _, err := n.Semaphores.List(t.Context(), "", after, 3, backend.Read{Consistency: backend.Linearizable})
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range page.Names {
				got = append(got, name.String())
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("listed (-want +got):\n%s", diff)
		}
		page, _, err := n.Semaphores.List(t.Context(), "other", "", 0, backend.Read{})
		if err != nil || len(page.Names) != 4 || strings.HasPrefix(page.Names[0].String(), "default") {
			t.Errorf("List of one namespace = %v, %v", page.Names, err)
		}
		if page, _, err := n.Locks.List(t.Context(), "", "", 0, backend.Read{}); err != nil || len(page.Names) != 0 {
			t.Errorf("List of another kind = %v, %v", page.Names, err)
		}
	})
}
