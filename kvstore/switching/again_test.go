package switching_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/kvstore/switching"
)

// R10: a process that has carried a move out and stands still may go on with it when it wakes
// up, before it learns that the move was aborted. Until it has, nothing is moved there.
func TestNothingIsMovedToWhereAMoverThatStandsStillMayWrite(t *testing.T) {
	for _, state := range []string{switching.Copying, switching.Incoming, switching.Pausing, switching.Sealed} {
		t.Run(state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCountry()
				c.found("old")
				a, b := c.start(t, "a", "old"), c.start(t, "b", "old")
				time.Sleep(3 * time.Second)
				put(t, b, "k.x", "1")
				a.way.stopAt(state, true)
				go func() { _, _ = a.Start(t.Context(), place("new")) }()
				time.Sleep(2 * time.Second)
				if _, err := b.Abort(t.Context(), "an operator"); err != nil {
					t.Fatal(err)
				}
				await(t, "end of the pause", func() bool { return b.Status().Waiting == 0 })
				for _, other := range []string{"second", "third"} { // and each knows of it
					if _, err := b.Start(t.Context(), place("new")); !errors.Is(err, switching.ErrStray) {
						t.Fatalf("Start(new) = %v; want ErrStray", err)
					}
					begin(t, b, other)
					switched(t, other, b)
				}
				put(t, b, "k.x", "2")
				a.way.resume()
				switched(t, "third", a)
				time.Sleep(2 * time.Second)
				begin(t, a, "new") // it has learnt of it, and carries out another
				switched(t, "new", a, b)
				time.Sleep(time.Minute)
				if e, err := c.bucket("new").Get(t.Context(), "k.x"); err != nil || string(e.Value) != "2" {
					t.Errorf("the registry has %q, %v; want 2", e.Value, err)
				}
			})
		})
	}
}

// Where the process has ended, the next one of its node says so.
func TestAMoverThatHasEndedIsWaitedForUntilItsNodeIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry()
		c.found("old")
		a, b := c.start(t, "a", "old"), c.start(t, "b", "old")
		time.Sleep(3 * time.Second)
		a.way.stopAt(switching.Pausing, true)
		go func() { _, _ = a.Start(t.Context(), place("new")) }()
		await(t, "abortion", func() bool { return b.Status().Record.State == switching.Aborted })
		if _, err := b.Start(t.Context(), place("new")); !errors.Is(err, switching.ErrStray) {
			t.Errorf("Start(new) = %v; want ErrStray", err)
		}
		begin(t, b, "other")
		switched(t, "other", b)
		again := c.start(t, "a", "other")
		time.Sleep(2 * time.Second)
		begin(t, b, "new")
		switched(t, "new", b, again)
		a.way.resume()
	})
}

func TestAStoreThatTakesLongToReadIsVerifiedAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry()
		c.found("old")
		a := c.start(t, "a", "old")
		a.way.scans = 40 * time.Second
		put(t, a, "k.x", "1")
		begun := time.Now()
		begin(t, a, "new")
		switched(t, "new", a)
		if took := time.Since(begun); took < a.way.scans {
			t.Errorf("moved after %v, without having read the copy", took)
		}
	})
}
