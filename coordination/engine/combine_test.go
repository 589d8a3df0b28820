package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// behind has all of asks come while the lock is being written, so that they wait for their
// turn together, in that order.
func (n *node) behind(t *testing.T, owner string, asks ...func()) {
	t.Helper()
	n.store.delay.Store(int64(20 * time.Millisecond))
	var tasks sync.WaitGroup
	tasks.Go(func() {
		if _, _, err := n.Locks.Acquire(t.Context(), object, party(owner), coordination.Shared, 0, as(owner)); err != nil {
			t.Error(err)
		}
	})
	for _, ask := range asks {
		time.Sleep(time.Millisecond)
		tasks.Go(ask)
	}
	tasks.Wait()
	n.store.delay.Store(0)
}

// shared acquires the lock beside others.
func (n *node) shared(t *testing.T, owner string) (token coordination.Token) {
	t.Helper()
	grant, _, err := n.Locks.Acquire(t.Context(), object, party(owner), coordination.Shared, 0, as(owner))
	if err != nil {
		t.Errorf("Acquire for %s = %v", owner, err)
	}
	return grant.Token
}

func TestThoseWhoWaitForTheirTurnAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one").keep(1)
		grant(t, store, "a", "b", "c", "d", "e")
		for _, owner := range []string{"a", "b"} {
			n.shared(t, owner)
		}
		wrote := n.store.wrote.Load()
		release := func(owner string) func() { return func() { n.unlock(t, owner) } }
		n.behind(t, "c", release("a"), release("b"), func() { n.shared(t, "d") }, release("e"))
		if got := n.store.wrote.Load() - wrote; got != 2 {
			t.Errorf("%d writes; want 2: of who came first, and of the others", got)
		}
		var held []string
		for _, h := range stored(t, store).Holders {
			held = append(held, h.Owner)
		}
		if want := []string{"c", "d"}; !slices.Equal(held, want) {
			t.Errorf("%v hold; want %v", held, want)
		}
	})
}

// The tokens of a record grow by one at most with a write, so that none is above the revision
// at which it was written, and no two who were granted one after the other share one.
func TestNoMoreThanOneTokenIsGivenWithAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one").keep(1)
		grant(t, store, "a", "b", "c", "d")
		n.shared(t, "a")
		before := stored(t, store).Token
		var tokens [2]coordination.Token
		wrote := n.store.wrote.Load()
		n.behind(t, "b", func() { tokens[0] = n.shared(t, "c") }, func() { tokens[1] = n.shared(t, "d") })
		if got := n.store.wrote.Load() - wrote; got != 3 {
			t.Errorf("%d writes; want one each", got)
		}
		if tokens[0].Compare(before) <= 0 || tokens[1].Compare(tokens[0]) <= 0 {
			t.Errorf("tokens %v after %v; want each to be greater", tokens, before)
		}
	})
}

// A write of several is found out like any other.
func TestALostAcknowledgementOfSeveralEndsInWhatHasHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one").keep(1)
		grant(t, store, "a", "b", "c")
		n.shared(t, "a")
		n.shared(t, "b")
		writes := 0
		n.store.onWrite(func(kvstore.Write) {
			if writes++; writes == 2 {
				store.LoseAcknowledgements(1)
			}
		})
		n.behind(t, "c", func() { n.unlock(t, "a") }, func() { n.unlock(t, "b") })
		if l := stored(t, store); len(l.Holders) != 1 || l.Holders[0].Owner != "c" {
			t.Errorf("%+v; want c to hold it", l.Holders)
		}
		if writes != 3 {
			t.Errorf("%d writes; want the second, of two, to be made again", writes)
		}
	})
}

// Of several that were written together, and may have been superseded, each is told so that
// must not be done twice, and the others are done.
func TestADoubtIsThatOfAllWhoWereWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n, other := start(t, store, "one"), start(t, store, "other")
		grant(t, store, "a", "b", "c", "d")
		n.shared(t, "a")
		n.shared(t, "b")
		writes := 0
		n.store.onWrite(func(kvstore.Write) {
			switch writes++; writes {
			case 2:
				store.LoseAcknowledgements(1)
			case 3:
				synctest.Wait()
				other.shared(t, "a")
			}
		})
		release := func(owner string) func() {
			return func() {
				_, _, err := n.Locks.Release(t.Context(), object, party(owner), as(owner))
				if owner == "a" && !errors.Is(err, backend.ErrUnknownOutcome) || owner == "b" && err != nil && !errors.Is(err, backend.ErrUnknownOutcome) {
					t.Errorf("Release by %s = %v", owner, err)
				}
			}
		}
		n.behind(t, "c", release("a"), release("b"), func() { n.shared(t, "d") })
		var held []string
		for _, h := range stored(t, store).Holders {
			held = append(held, h.Owner)
		}
		slices.Sort(held)
		if want := []string{"a", "c", "d"}; !slices.Equal(held, want) {
			t.Errorf("%v hold; want %v: a has come back, and was not released twice", held, want)
		}
	})
}

// The operations of all who were written together are recognised.
func TestARepeatIsRecognisedAmongThoseWhoWereWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one").keep(1)
		grant(t, store, "a", "b", "c")
		n.shared(t, "a")
		n.shared(t, "b")
		known := backend.Revision(n.tail.Revision())
		by := func(owner string) backend.Write {
			return backend.Write{Owner: owner, ID: backend.OperationID{owner[0]}, Epoch: 1, Known: known}
		}
		release := func(owner string) func() {
			return func() {
				if _, _, err := n.Locks.Release(t.Context(), object, party(owner), by(owner)); err != nil {
					t.Error(err)
				}
			}
		}
		n.behind(t, "c", release("a"), release("b"))
		synctest.Wait()
		wrote := n.store.wrote.Load()
		for _, owner := range []string{"a", "b"} {
			again := by(owner)
			again.Repeated = true
			if _, _, err := n.Locks.Release(t.Context(), object, party(owner), again); err != nil {
				t.Errorf("the release by %s once more = %v", owner, err)
			}
		}
		if got := n.store.wrote.Load() - wrote; got != 0 {
			t.Errorf("%d writes for repeats", got)
		}
	})
}

// Whoever has no time left is told at once what is known of it, and keeps nobody up.
func TestWhoHasNoTimeLeftDoesNotWaitForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one").keep(1)
		grant(t, store, "a", "b", "c", "d")
		n.shared(t, "a")
		n.shared(t, "b")
		short := func(owner string, d time.Duration, want error) func() {
			return func() {
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				began := time.Now()
				_, _, err := n.Locks.Release(ctx, object, party(owner), as(owner))
				if !errors.Is(err, want) || time.Since(began) > d {
					t.Errorf("Release by %s = %v after %v; want %v after %v", owner, err, time.Since(began), want, d)
				}
			}
		}
		// The write of who comes first takes until 40 ms, that of the others until 80 ms.
		n.behind(t, "c", short("a", 20*time.Millisecond, backend.ErrUnavailable), short("b", 50*time.Millisecond, backend.ErrUnknownOutcome),
			func() { n.shared(t, "d") })
		var held []string
		for _, h := range stored(t, store).Holders {
			held = append(held, h.Owner)
		}
		if want := []string{"a", "c", "d"}; !slices.Equal(held, want) {
			t.Errorf("%v hold; want %v: a was certainly not released, b may have been", held, want)
		}
	})
}

// What is unavailable after an outcome that is not known is not certainly not done.
func TestWhatWasSentIsNotCertainlyNotDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one").keep(1)
		grant(t, store, "a")
		n.shared(t, "a")
		var once sync.Once
		n.store.onWrite(func(kvstore.Write) {
			once.Do(func() {
				store.LoseAcknowledgements(1)
				n.store.onWrite(func(kvstore.Write) { store.FailWrites(1) })
			})
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := n.Locks.Release(ctx, object, party("a"), as("a")); !errors.Is(err, backend.ErrUnknownOutcome) {
			t.Errorf("Release = %v; want ErrUnknownOutcome", err)
		}
	})
}

// However many come and go, at two nodes, whose writes and feeds are late and whose
// acknowledgements are lost: nobody holds the lock beside another, tokens grow, by one at
// most with a write, and every record follows from the one before it.
func TestManyWritesAtATimeKeepTheOrderOfOneByOne(t *testing.T) {
	var most atomic.Int64 // who came or left with one write
	defer func() {
		if most.Load() < 2 {
			t.Error("nothing was written together")
		}
	}()
	seeds := uint64(20)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			store := memkv.New()
			nodes := []*node{start(t, store, "one").keep(1), start(t, store, "other")}
			var mu sync.Mutex
			last := map[uint64]coordination.Lock{} // by revision
			var newest atomic.Int64
			for _, n := range nodes {
				n.store.onWrite(func(w kvstore.Write) {
					if !strings.HasPrefix(w.Key, "announce.lock.") {
						return
					}
					var next coordination.Lock
					if err := json.Unmarshal(w.Value, &next); err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					was, ok := last[w.Expect]
					if !ok {
						return
					}
					most.Store(max(most.Load(), comeOrGone(was, next)))
					if next.Token.Counter > was.Token.Counter+1 {
						t.Errorf("seed %d: %v after %v in one write", seed, next.Token, was.Token)
					}
				})
				n.store.delay.Store(int64(300 * time.Microsecond))
				n.store.lag.Store(int64(200 * time.Microsecond))
			}
			ctx, stop := context.WithCancel(t.Context())
			var feed sync.WaitGroup
			feed.Go(func() {
				_ = store.Feed(ctx, &records{add: func(revision uint64, l coordination.Lock) {
					mu.Lock()
					defer mu.Unlock()
					last[revision] = l
					if l.Token.Counter > revision {
						t.Errorf("seed %d: token %v at revision %d", seed, l.Token, revision)
					}
				}})
			})
			var inside atomic.Int32
			var tasks sync.WaitGroup
			for i := range 10 {
				owner := fmt.Sprint("o", i)
				grant(t, store, owner)
				random := rand.New(rand.NewPCG(seed, uint64(i)))
				n := nodes[i%2]
				tasks.Go(func() {
					for range 40 {
						time.Sleep(time.Duration(random.Int64N(int64(time.Millisecond))))
						if random.IntN(20) == 0 {
							store.LoseAcknowledgements(1)
						}
						by := backend.Write{Owner: owner, ID: backend.OperationID{byte(i), byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())}}
						wait := time.Duration(random.IntN(3)) * 5 * time.Millisecond
						held, _, err := n.Locks.Acquire(t.Context(), object, party(owner), coordination.Exclusive, wait, by)
						switch {
						case errors.Is(err, backend.ErrTimeout), errors.Is(err, backend.ErrUnavailable):
							continue
						case errors.Is(err, backend.ErrUnknownOutcome):
						case err != nil:
							t.Errorf("seed %d: Acquire = %v", seed, err)
							continue
						default:
							if inside.Add(1) != 1 {
								t.Errorf("seed %d: two hold it", seed)
							}
							if token := int64(held.Token.Counter); newest.Swap(token) >= token { //nolint:gosec // small
								t.Errorf("seed %d: token %v is not new", seed, held.Token)
							}
							time.Sleep(time.Duration(random.Int64N(int64(200 * time.Microsecond))))
							inside.Add(-1)
						}
						by.ID[31] = 1
						for {
							_, _, err := n.Locks.Release(t.Context(), object, party(owner), by)
							if err == nil {
								break
							}
							if !errors.Is(err, backend.ErrUnknownOutcome) && !errors.Is(err, backend.ErrUnavailable) {
								t.Errorf("seed %d: Release = %v", seed, err)
								break
							}
						}
					}
				})
			}
			tasks.Wait()
			stop()
			feed.Wait()
			if l := stored(t, store); !l.Idle() {
				t.Errorf("seed %d: %+v is left", seed, l)
			}
		})
	}
}

// comeOrGone returns how many of whom two records name only one does.
func comeOrGone(a, b coordination.Lock) (n int64) {
	for _, owner := range slices.Concat(a.Owners(), b.Owners()) {
		if slices.Contains(a.Owners(), owner) != slices.Contains(b.Owners(), owner) {
			n++
		}
	}
	return n
}

// records follows what is stored of the lock.
type records struct {
	add func(revision uint64, l coordination.Lock)
}

func (*records) Begin(kvstore.Generation) {}
func (*records) Live(uint64)              {}
func (*records) Stale(error)              {}

func (r *records) Apply(e kvstore.Entry) {
	var l coordination.Lock
	if n, err := engine.ParseName(strings.TrimPrefix(e.Key, "announce.lock.")); err == nil && n == object && json.Unmarshal(e.Value, &l) == nil {
		r.add(e.Revision, l)
	}
}
