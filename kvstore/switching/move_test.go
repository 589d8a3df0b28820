package switching_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/switching"
)

// R10.
func TestAMoveTakesEverythingAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry()
		c.found("old")
		n := c.start(t, "a", "old")
		for i := range 2500 {
			put(t, n, fmt.Sprintf("k.%d", i), fmt.Sprint(i))
		}
		if _, err := n.Write(t.Context(), kvstore.Write{
			Key: "l.gone", Value: []byte("last"), Remove: true, Keep: time.Hour,
			Labels: kvstore.Labels{Operation: "op", Event: "unregistered", Reason: "over"},
		}); err != nil {
			t.Fatal(err)
		}
		for key, delta := range map[string]int64{"c.a": 7, "c.b": -3, "c.zero": 0} {
			if _, err := n.Counters().Add(t.Context(), key, delta, ""); err != nil {
				t.Fatal(err)
			}
		}
		before, last := content(t, n), put(t, n, "k.last", "x")
		before["k.last"] = content(t, n)["k.last"]
		begin(t, n, "new")
		switched(t, "new", n)
		if diff := cmp.Diff(before, content(t, n)); diff != "" {
			t.Errorf("content (-before +after):\n%s", diff)
		}
		for key, want := range map[string]string{"c.a": "7", "c.b": "-3", "c.zero": "0"} {
			if got, err := n.Counters().Value(t.Context(), key); err != nil || got != want {
				t.Errorf("counter %s = %s, %v; want %s", key, got, err, want)
			}
		}
		if keys, err := n.Counters().Keys(t.Context(), ""); err != nil || len(keys) != 3 {
			t.Errorf("counters = %v, %v; want three", keys, err)
		}
		if e, ok := n.seen.get("k.7"); !ok || string(e.Value) != "7" || e.Revision <= last {
			t.Errorf("the feed shows k.7 as %q at %d; want 7 above %d", e.Value, e.Revision, last)
		}
		e, err := n.Get(t.Context(), epoch.Key)
		if number, life := epoch.Of(e); err != nil || number == 0 || life != n.tail.Generation() {
			t.Errorf("the new store's epoch is %d of %q, %v; want one of %q", number, life, err, n.tail.Generation())
		}
		if !c.published["new"] || c.published["old"] {
			t.Errorf("published: %v; want the new bucket alone", c.published)
		}
		if c.remember["a"] != place("new") {
			t.Errorf("remembered %v", c.remember["a"])
		}
	})
}

// R10: what is acknowledged during a move is there afterwards, on several nodes.
func TestNothingThatIsAcknowledgedDuringAMoveIsLostOrDoubled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry()
		c.found("one")
		nodes := []*node{c.start(t, "a", "one"), c.start(t, "b", "one"), c.start(t, "c", "one")}
		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		sums := make([]int, 8)
		longest := make([]time.Duration, 8)
		for i := range sums {
			clients.Go(func() {
				n := nodes[i%len(nodes)]
				for ctx.Err() == nil {
					began := time.Now()
					if increment(ctx, n, "k.sum") == nil {
						sums[i]++
						longest[i] = max(longest[i], time.Since(began))
					}
					time.Sleep(3 * time.Millisecond)
				}
			})
		}
		time.Sleep(5 * time.Second)
		at := "one"
		for i, next := range []string{"two", "three", "one"} {
			begin(t, nodes[i], next)
			switched(t, next, nodes...)
			at = next
			time.Sleep(time.Second)
		}
		cancel()
		clients.Wait()
		total := 0
		for i := range sums {
			total += sums[i]
			if longest[i] > 2*time.Second {
				t.Errorf("a write of client %d took %v", i, longest[i])
			}
		}
		e, err := c.bucket(at).Get(t.Context(), "k.sum")
		if err != nil || string(e.Value) != fmt.Sprint(total) {
			t.Errorf("sum = %s, %v; %d additions were acknowledged", e.Value, err, total)
		}
		if total < 1000 {
			t.Errorf("only %d additions: too few to say anything", total)
		}
	})
}

// increment adds one to the number under key, exactly once if it returns nil, and not at
// all otherwise unless the outcome is unknown.
func increment(ctx context.Context, s kvstore.Store, key string) error {
	for {
		e, err := s.Get(ctx, key)
		if err != nil && !errors.Is(err, kvstore.ErrNotFound) {
			return err
		}
		var n int
		_, _ = fmt.Sscan(string(e.Value), &n)
		_, err = s.Write(ctx, kvstore.Write{Key: key, Value: fmt.Append(nil, n+1), Expect: e.Revision})
		if !errors.Is(err, kvstore.ErrConflict) {
			return err
		}
	}
}

// R10, C1: a process that was stopped before the move and wakes up after it writes to the
// store that was left, and is told that this does not count.
func TestAWriteOfAStoppedProcessDoesNotCountAfterTheMove(t *testing.T) {
	for _, during := range []time.Duration{0, 30 * time.Second} {
		t.Run(during.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCountry()
				old := c.found("old")
				a, b := c.start(t, "a", "old"), c.start(t, "b", "old")
				time.Sleep(3 * time.Second)
				at := put(t, b, "k.x", "before")
				b.way.stop()
				result := make(chan error, 1)
				go func() {
					_, err := b.Write(t.Context(), kvstore.Write{Key: "k.x", Value: []byte("late"), Expect: at})
					result <- err
				}()
				time.Sleep(during)
				began := time.Now()
				begin(t, a, "new")
				switched(t, "new", a)
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("the move took %v", took)
				}
				b.way.resume()
				if err := <-result; !errors.Is(err, kvstore.ErrConflict) {
					t.Errorf("the late write = %v; want ErrConflict", err)
				}
				if e, err := old.Get(t.Context(), "k.x"); err != nil || string(e.Value) != "late" {
					t.Errorf("the old store has %q, %v; the write was to reach it", e.Value, err)
				}
				switched(t, "new", a, b)
				if e, err := b.Get(t.Context(), "k.x"); err != nil || string(e.Value) != "before" {
					t.Errorf("the new store has %q, %v; want before", e.Value, err)
				}
			})
		})
	}
}

func TestAWriteOfAStoppedProcessCountsWhereTheMoveWasAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry()
		c.found("old")
		a, b := c.start(t, "a", "old"), c.start(t, "b", "old")
		time.Sleep(3 * time.Second)
		b.way.stop()
		result := make(chan error, 1)
		go func() {
			_, err := b.Write(t.Context(), kvstore.Write{Key: "k.x", Value: []byte("late")})
			result <- err
		}()
		c.onPublish = func() { panic("the move was to be aborted") }
		begin(t, a, "new")
		time.Sleep(time.Second)
		if _, err := a.Abort(t.Context(), "test"); err != nil {
			t.Fatal(err)
		}
		b.way.resume()
		if err := <-result; err != nil {
			t.Errorf("the write = %v; want nil: the store is where it was", err)
		}
	})
}

func TestReadsAndFeedsGoOnWhileWritesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry()
		c.found("old")
		a, b := c.start(t, "a", "old"), c.start(t, "b", "old")
		put(t, a, "k.x", "1")
		time.Sleep(3 * time.Second)
		b.way.stop() // so that a waits for it, once its writes wait
		begin(t, a, "new")
		await(t, "pause", func() bool { return a.Status().Waiting > 0 })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Write(ctx, kvstore.Write{Key: "k.y"}); !errors.Is(err, kvstore.ErrUnavailable) || errors.Is(err, kvstore.ErrUnknownOutcome) {
			t.Errorf("Write() = %v; want to wait, and certainly not to happen", err)
		}
		if e, err := a.Get(t.Context(), "k.x"); err != nil || string(e.Value) != "1" {
			t.Errorf("Get() = %q, %v", e.Value, err)
		}
		if err := a.tail.Barrier(t.Context()); err != nil {
			t.Errorf("Barrier() = %v", err)
		}
		switched(t, "new", a)
		b.way.resume()
		switched(t, "new", b)
		if err := errors.Join(a.tail.Barrier(t.Context()), b.tail.Barrier(t.Context())); err != nil {
			t.Errorf("Barrier() = %v after the move", err)
		}
	})
}

// What was found not to be there, in the store that was left, is decided again: the revision
// that the write would make is of another epoch than its maker believes.
func TestAnAbsenceOfBeforeTheMoveCountsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry()
		c.found("old")
		n := c.start(t, "a", "old")
		seen := put(t, n, "k.x", "1")
		begin(t, n, "new")
		switched(t, "new", n)
		if _, err := n.Write(t.Context(), kvstore.Write{Key: "k.y", Seen: seen}); !errors.Is(err, kvstore.ErrConflict) {
			t.Errorf("Write() = %v; want ErrConflict", err)
		}
		for i, seen := range []uint64{0, put(t, n, "k.x", "2")} {
			if _, err := n.Write(t.Context(), kvstore.Write{Key: fmt.Sprint("k.z", i), Seen: seen}); err != nil {
				t.Errorf("Write(seen %d) = %v", seen, err)
			}
		}
	})
}

// Whether an addition may be made is asked when it is certain where.
func TestAnAdditionThatWaitsForAMoveIsAskedAboutWhereItIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry()
		c.found("old")
		a, b := c.start(t, "a", "old"), c.start(t, "b", "old")
		time.Sleep(3 * time.Second)
		a.way.stopAt(switching.Moved, false)
		begin(t, a, "new")
		await(t, "seal", func() bool { return b.Status().Record.State == switching.Sealed })
		time.AfterFunc(time.Second, a.way.resume)
		var where switching.Place
		refuse := errors.New("not here")
		if _, err := kvstore.AddIf(t.Context(), b.Counters(), "c.a", 1, "once", func() error {
			where = b.Where()
			return refuse
		}); !errors.Is(err, refuse) {
			t.Errorf("AddIf() = %v; want %v", err, refuse)
		}
		if where != place("new") {
			t.Errorf("asked at %v; want the new place", where)
		}
		if value, err := b.Counters().Value(t.Context(), "c.a"); err != nil || value != "0" {
			t.Errorf("the counter is %s, %v; want 0", value, err)
		}
	})
}

func TestTheNewLifeSucceedsTheOldOneAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry()
		old := c.found("old")
		n := c.start(t, "a", "old")
		was := n.tail.Generation()
		begin(t, n, "new")
		switched(t, "new", n)
		middle := n.tail.Generation()
		begin(t, n, "last")
		switched(t, "last", n)
		is := n.tail.Generation()
		if !n.Succeeds(was, middle) || !n.Succeeds(middle, is) || !n.Succeeds(was, is) {
			t.Error("the new life does not succeed the old ones")
		}
		if n.Succeeds(is, was) || n.Succeeds(is, is) {
			t.Error("a life succeeds itself")
		}
		c.bucket("last").Reset()
		synctest.Wait()
		if now := n.tail.Generation(); now == is || n.Succeeds(is, now) {
			t.Error("a store that was made anew succeeds the one that was lost")
		}
		_ = old
	})
}

func TestAnOccupiedBucketIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry()
		c.found("old")
		put(t, c.found("other"), "somebody", "else's")
		n := c.start(t, "a", "old")
		if _, err := n.Start(t.Context(), place("other")); !errors.Is(err, switching.ErrOccupied) {
			t.Errorf("Start() = %v; want ErrOccupied", err)
		}
		if _, err := n.Start(t.Context(), place("old")); !errors.Is(err, switching.ErrThere) {
			t.Errorf("Start() = %v; want ErrThere", err)
		}
		if _, err := n.Start(t.Context(), switching.Place{Kind: switching.Memory}); !errors.Is(err, kvstore.ErrInvalid) {
			t.Errorf("Start() = %v; want ErrInvalid", err)
		}
		if _, err := n.Abort(t.Context(), "test"); !errors.Is(err, switching.ErrNone) {
			t.Errorf("Abort() = %v; want ErrNone", err)
		}
		if e, err := c.bucket("other").Get(t.Context(), "somebody"); err != nil || string(e.Value) != "else's" {
			t.Errorf("the other bucket has %q, %v", e.Value, err)
		}
	})
}
