package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// ends are the revisions at which leases have ended, as the store knows.
func endOf(t *testing.T, store *memkv.Store, owner string) uint64 {
	t.Helper()
	e, err := store.Get(context.Background(), "lease."+owner)
	if err != nil {
		t.Fatal(err)
	}
	return e.Revision
}

// C6: an end that races with a grant. Whoever is told that it holds was granted that at a
// revision before its lease ended, and nobody else is.
func TestAnEndThatRacesWithAGrantIsNeverOvertaken(t *testing.T) {
	const rounds = 10_000
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		keeper, n := start(t, store, "one").keep(1), start(t, store, "other")
		grant(t, store, "z")
		rng := rand.New(rand.NewPCG(1, 2))
		held, refused := 0, 0
		var newest coordination.Token
		for round := range rounds {
			owner := fmt.Sprint("o", round)
			grant(t, store, owner)
			n.store.delay.Store(rng.Int64N(int64(time.Millisecond)))
			n.store.lag.Store(rng.Int64N(int64(time.Millisecond)))
			keeper.store.lag.Store(rng.Int64N(int64(time.Millisecond)))
			waits := round%3 == 0
			if waits { // it is granted what another gives up, by another node
				if _, err := keeper.try("z"); err != nil {
					t.Fatal(err)
				}
			}
			var tasks sync.WaitGroup
			life := time.Duration(rng.Int64N(int64(5 * time.Millisecond)))
			tasks.Go(func() {
				time.Sleep(life)
				end(t, store, owner)
			})
			if waits {
				pause := time.Duration(rng.Int64N(int64(5 * time.Millisecond)))
				tasks.Go(func() {
					time.Sleep(pause)
					keeper.unlock(t, "z")
				})
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			wait := time.Duration(0)
			if waits {
				wait = time.Second
			}
			g, stamp, err := n.Locks.Acquire(ctx, object, party(owner), coordination.Exclusive, wait, as(owner))
			cancel()
			tasks.Wait()
			switch {
			case err == nil:
				held++
				if ended := endOf(t, store, owner); uint64(stamp.Revision) >= ended {
					t.Fatalf("round %d: held from %d although the lease ended at %d", round, stamp.Revision, ended)
				}
				if g.Token.Compare(newest) <= 0 {
					t.Fatalf("round %d: token %v after %v", round, g.Token, newest)
				}
				newest = g.Token
			case errors.Is(err, backend.ErrLeaseExpired):
				refused++
			default:
				t.Fatalf("round %d: %v", round, err)
			}
			eventually(t, "lock without its holder", func() bool {
				l := stored(t, store)
				return !slices.Contains(l.Owners(), owner)
			})
		}
		t.Logf("%d held, %d were refused", held, refused)
		if held < rounds/10 || refused < rounds/10 {
			t.Errorf("of %d rounds %d held and %d were refused: there was no race", rounds, held, refused)
		}
	})
}

// C4, C5, C6: a lock that is handed over as fast as it goes, while leases of those who wait
// end. Nobody gets it whose lease has ended, the others get it in the order of their coming,
// and nobody is forgotten.
func TestALockIsHandedOverWhileLeasesOfItsWaitersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		nodes := []*node{start(t, store, "n0").keep(1), start(t, store, "n1"), start(t, store, "n2")}
		for _, n := range nodes {
			n.store.delay.Store(int64(200 * time.Microsecond))
			n.store.lag.Store(int64(300 * time.Microsecond))
		}
		const many = 200
		var owners []string
		for i := range many {
			owners = append(owners, fmt.Sprint("o", i))
		}
		grant(t, store, append(owners, "first")...)
		if _, err := nodes[0].try("first"); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var served []int
		inside := ""
		expired := 0
		var tasks sync.WaitGroup
		for i, owner := range owners {
			n := nodes[i%len(nodes)]
			tasks.Go(func() {
				token, err := n.lock(owner, time.Minute)
				if err != nil {
					if !errors.Is(err, backend.ErrLeaseExpired) {
						t.Errorf("%s: %v", owner, err)
					}
					mu.Lock()
					expired++
					mu.Unlock()
					return
				}
				mu.Lock()
				if l := stored(t, store); l.Token == token { // else its lease has ended since
					if inside != "" && slices.Contains(l.Owners(), inside) {
						t.Errorf("%s is inside beside %s", owner, inside)
					}
					inside = owner
				}
				served = append(served, i)
				mu.Unlock()
				if i%7 == 3 { // some end while they hold
					end(t, store, owner)
					return
				}
				_, _, err = n.Locks.Release(context.Background(), object, party(owner), as(owner))
				if err != nil && !errors.Is(err, backend.ErrLeaseExpired) {
					t.Errorf("Release by %s = %v", owner, err)
				}
			})
			synctest.Wait()
			eventually(t, "place in the queue", func() bool { l := stored(t, store); return len(l.Waiters) == i+1 })
		}
		tasks.Go(func() {
			for i := many - 1; i >= 0; i -= 2 { // and some while they wait
				time.Sleep(time.Millisecond)
				if i%7 != 3 {
					end(t, store, owners[i])
				}
			}
		})
		nodes[0].unlock(t, "first")
		tasks.Wait()
		if !slices.IsSorted(served) {
			t.Errorf("served in the order %v", served)
		}
		if len(served)+expired != many || expired < many/10 || len(served) < many/2 {
			t.Errorf("%d were served and %d had ended, of %d", len(served), expired, many)
		}
		eventually(t, "empty lock", func() bool { l := stored(t, store); return l.Idle() })
	})
}

// F9, F12: two nodes that contend for one lock, with late feeds and lost acknowledgements.
func TestTwoNodesWithLateFeedsExcludeEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		one, other := start(t, store, "one").keep(1), start(t, store, "other")
		rng := rand.New(rand.NewPCG(3, 4))
		var drawing sync.Mutex
		one.store.onWrite(func(kvstore.Write) {
			drawing.Lock()
			defer drawing.Unlock()
			if rng.IntN(10) == 0 {
				store.LoseAcknowledgements(1)
			}
		})
		one.store.lag.Store(int64(time.Millisecond))
		other.store.lag.Store(int64(20 * time.Millisecond))
		var owners []string
		for i := range 8 {
			owners = append(owners, fmt.Sprint("o", i))
		}
		grant(t, store, owners...)
		var mu sync.Mutex
		var inside string
		var newest coordination.Token
		total := 0
		var tasks sync.WaitGroup
		for i, owner := range owners {
			n := []*node{one, other}[i%2]
			tasks.Go(func() {
				for range 100 {
					token, err := n.lock(owner, time.Minute)
					if err != nil {
						t.Errorf("%s: %v", owner, err)
						return
					}
					mu.Lock()
					if inside != "" || token.Compare(newest) <= 0 {
						t.Errorf("%s has %v beside %q, who had %v", owner, token, inside, newest)
					}
					inside, newest = owner, token
					total++
					mu.Unlock()
					time.Sleep(time.Millisecond)
					mu.Lock()
					inside = ""
					mu.Unlock()
					if _, _, err := n.Locks.Release(context.Background(), object, party(owner), as(owner)); err != nil && !errors.Is(err, backend.ErrUnknownOutcome) {
						t.Errorf("Release by %s = %v", owner, err)
					}
				}
			})
		}
		tasks.Wait()
		if total != 800 {
			t.Errorf("%d critical sections; want 800", total)
		}
	})
}
