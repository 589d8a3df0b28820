package switching_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/kvstore/switching"
)

// crew are clients that add to a sum through nodes, and count what was acknowledged.
type crew struct {
	cancel  context.CancelFunc
	clients sync.WaitGroup
	mu      sync.Mutex
	done    int
	doubt   int
}

func employ(t *testing.T, nodes ...*node) *crew {
	t.Helper()
	c := &crew{}
	var ctx context.Context
	ctx, c.cancel = context.WithCancel(t.Context())
	for i := range 4 {
		c.clients.Go(func() {
			for ctx.Err() == nil {
				// What is under way at the end goes on to its own.
				err := increment(context.WithoutCancel(ctx), nodes[i%len(nodes)], "k.sum")
				c.mu.Lock()
				if err == nil {
					c.done++
				} else {
					c.doubt++
				}
				c.mu.Unlock()
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return c
}

// check compares the sum in n with what was acknowledged.
func (c *crew) check(t *testing.T, n *node) {
	t.Helper()
	c.cancel()
	c.clients.Wait()
	e, err := n.Get(t.Context(), "k.sum")
	if err != nil {
		t.Fatal(err)
	}
	var sum int
	_, _ = fmt.Sscan(string(e.Value), &sum)
	if sum < c.done || sum > c.done+c.doubt {
		t.Errorf("sum = %d; %d additions were acknowledged and %d are in doubt", sum, c.done, c.doubt)
	}
}

// R10: whenever the process that carries a move out ends, the others go back, or forward
// where it was decided, and so does it when it wakes up.
func TestAMoverThatStopsLeavesNothingHalfDone(t *testing.T) {
	for _, state := range []string{switching.Copying, switching.Incoming, switching.Pausing, switching.Sealed, switching.Moved} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprint(state, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCountry()
					c.found("old")
					a, b, d := c.start(t, "a", "old"), c.start(t, "b", "old"), c.start(t, "d", "old")
					time.Sleep(3 * time.Second)
					for i := range 50 {
						put(t, b, fmt.Sprint("k.", i), "x")
					}
					crew := employ(t, b, d)
					a.way.stopAt(state, after)
					go func() { _, _ = a.Start(t.Context(), place("new")) }()
					time.Sleep(time.Minute)
					at := "old"
					if state == switching.Moved && after {
						at = "new"
					}
					for _, n := range []*node{b, d} {
						if st := n.Status(); st.Place != place(at) || st.Waiting > 0 || st.Record.State == switching.Pausing {
							t.Errorf("a minute after the stop: %+v; want to be at %s", st, at)
						}
					}
					a.way.resume()
					if state == switching.Copying && !after {
						at = "new" // it had not begun
					}
					await(t, "agreement", func() bool {
						for _, n := range []*node{a, b, d} {
							if st := n.Status(); st.Place != place(at) || st.Waiting > 0 {
								return false
							}
						}
						return true
					})
					time.Sleep(15 * time.Second)
					crew.check(t, a)
					for _, n := range []*node{a, b, d} {
						if got := n.Where(); got != place(at) {
							t.Errorf("%v; want %s", got, at)
						}
						if len(content(t, n)) != 51 {
							t.Errorf("%d keys; want 51", len(content(t, n)))
						}
					}
					if at == "old" && c.bucket("new") != nil {
						t.Error("the copy was not deleted")
					}
				})
			})
		}
	}
}

// R10: the same with the only node, which is started anew.
func TestARestartedNodeRollsBackWhatItsPredecessorBegan(t *testing.T) {
	for _, state := range []string{switching.Copying, switching.Pausing, switching.Sealed} {
		t.Run(state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCountry()
				c.found("old")
				a := c.start(t, "a", "old")
				put(t, a, "k.x", "1")
				a.way.stopAt(state, true)
				go func() { _, _ = a.Start(t.Context(), place("new")) }()
				time.Sleep(5 * time.Second)
				again := c.start(t, "a", "old") // the first is as good as dead
				began := time.Now()
				if took := put(t, again, "k.x", "2"); took == 0 || time.Since(began) > 2*time.Second {
					t.Errorf("a write took %v", time.Since(began))
				}
				if st := again.Status(); st.Record.State != switching.Aborted || st.Place != place("old") {
					t.Errorf("Status() = %+v; want aborted", st)
				}
				begin(t, again, "new") // over what was left half done
				switched(t, "new", again)
				a.way.resume()
				switched(t, "new", a)
				if e, err := again.Get(t.Context(), "k.x"); err != nil || string(e.Value) != "2" {
					t.Errorf("Get() = %q, %v; want 2", e.Value, err)
				}
			})
		})
	}
}

func TestAMoveCanBeAbortedByAnyNodeUntilItIsDecided(t *testing.T) {
	for _, state := range []string{switching.Copying, switching.Incoming, switching.Pausing, switching.Sealed} {
		t.Run(state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCountry()
				c.found("old")
				a, b := c.start(t, "a", "old"), c.start(t, "b", "old")
				time.Sleep(3 * time.Second)
				crew := employ(t, a, b)
				a.way.stopAt(state, true)
				go func() { _, _ = a.Start(t.Context(), place("new")) }()
				time.Sleep(2 * time.Second)
				if r, err := b.Abort(t.Context(), "an operator"); err != nil || r.Reason != "an operator" {
					t.Fatalf("Abort() = %+v, %v", r, err)
				}
				await(t, "end of the pause", func() bool { return b.Status().Waiting == 0 })
				a.way.resume()
				await(t, "roll-back", func() bool { return a.Status().Record.State == switching.Aborted && c.bucket("new") == nil })
				time.Sleep(time.Second)
				crew.check(t, b)
				begin(t, b, "new")
				switched(t, "new", a, b)
			})
		})
	}
}

func TestWhatCannotBeMadeIsRolledBackAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry()
		c.found("old")
		c.failMake = errors.New("no space for it")
		n := c.start(t, "a", "old")
		begin(t, n, "new")
		await(t, "roll-back", func() bool { return n.Status().Record.State == switching.Aborted })
		if got := n.Status().Record.Reason; got != "make the new store: no space for it" {
			t.Errorf("reason %q", got)
		}
		put(t, n, "k.x", "1")
	})
}

// JetStream was seen to make a bucket whose revisions began at 1, as the leader of its cluster
// was stopped. Every write there would have been one that was decided before the move.
func TestABucketWithLowRevisionsIsNotMovedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry()
		c.found("old")
		c.lowly = true
		n := c.start(t, "a", "old")
		begin(t, n, "new")
		await(t, "roll-back", func() bool { return n.Status().Record.State == switching.Aborted })
		put(t, n, "k.x", "1")
		if got := n.Where(); got != place("old") {
			t.Errorf("Where() = %v; want old", got)
		}
	})
}
