package clock_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/keeper/clock"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore/memkv"
)

// remains is a backend.Reaper that counts what is left of whom.
type remains struct {
	mu     sync.Mutex
	left   map[string]int
	calls  map[string]int
	fails  int // the next so many calls
	slow   int // take out one at a time
	void   func(backend.Ending)
	most   int // calls at a time
	now    int
	takes  time.Duration
	reason map[string]string
}

func newRemains() *remains {
	return &remains{left: map[string]int{}, calls: map[string]int{}, reason: map[string]string{}}
}

func (r *remains) Owned(owner string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left[owner]
}

func (r *remains) Remains() (all []backend.Ending) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for owner := range r.left {
		all = append(all, backend.Ending{Owner: owner, Reason: backend.ReasonExpired})
	}
	return all
}

func (r *remains) OnVoid(f func(backend.Ending)) (cancel func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.void = f
	return func() {}
}

// turnUp has something late turn up of owner.
func (r *remains) turnUp(owner string) {
	r.mu.Lock()
	r.left[owner]++
	f := r.void
	r.mu.Unlock()
	f(backend.Ending{Owner: owner, Reason: backend.ReasonExpired})
}

func (r *remains) Reap(_ context.Context, e backend.Ending) (int, error) {
	r.mu.Lock()
	r.now++
	r.most = max(r.most, r.now)
	r.calls[e.Owner]++
	r.reason[e.Owner] = e.Reason
	takes := r.takes
	r.mu.Unlock()
	time.Sleep(takes)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now--
	if r.fails > 0 {
		r.fails--
		return r.left[e.Owner], backend.ErrUnavailable
	}
	if r.slow > 0 && r.left[e.Owner] > r.slow {
		r.left[e.Owner] -= r.slow
		return r.left[e.Owner], nil
	}
	delete(r.left, e.Owner)
	return 0, nil
}

// with calls f while nobody reaps.
func (r *remains) with(f func()) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *remains) set(owner string, left int) { r.with(func() { r.left[owner] = left }) }

// called returns how often owner was reaped.
func (r *remains) called(owner string) (calls int) {
	r.with(func() { calls = r.calls[owner] })
	return calls
}

// as returns the reason for which owner was reaped.
func (r *remains) as(owner string) (reason string) {
	r.with(func() { reason = r.reason[owner] })
	return reason
}

// busiest returns how many were reaped at a time, at most.
func (r *remains) busiest() (most int) {
	r.with(func() { most = r.most })
	return most
}

// stored returns the owners of the leases that are stored.
func (n *node) stored() []string {
	synctest.Wait()
	var owners []string
	for _, l := range n.table.All() {
		owners = append(owners, l.Owner)
	}
	return owners
}

func TestWhatAnEndedLeaseHasLeftIsTakenOutAndThenItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemains()
		n := alone(t, setup{reaper: r})
		r.set("x", 3)
		n.grant(t, "x", ttl)
		n.grant(t, "y", time.Hour)
		if _, err := n.Revoke(t.Context(), "x", ""); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"y"}, n.stored()); diff != "" || r.Owned("x") != 0 {
			t.Errorf("%d left of x, stored leases (-want +got):\n%s", r.Owned("x"), diff)
		}
		e, err := n.gates.Get(t.Context(), lease.Key("x"))
		if err != nil || !e.Removed || r.as("x") != backend.ReasonRevoked {
			t.Errorf("Get() = %+v, %v, reaped as %q; want a marker, and revoked", e, err, r.as("x"))
		}
		time.Sleep(lease.Remembered + time.Second)
		n.beat(t, "y")
		n.grant(t, "z", ttl)
		if _, err := n.gates.Get(t.Context(), lease.Key("x")); err == nil {
			t.Error("the marker is never forgotten")
		}
		if r.called("y") != 0 {
			t.Error("a live lease was reaped")
		}
	})
}

func TestReapingIsTriedUntilNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemains()
		n := alone(t, setup{reaper: r})
		r.set("x", 5)
		r.with(func() { r.slow, r.fails = 2, 2 })
		n.grant(t, "x", ttl)
		if _, err := n.Revoke(t.Context(), "x", ""); err != nil {
			t.Fatal(err)
		}
		if got := n.stored(); len(got) != 1 {
			t.Errorf("stored %v; want the record to stay while something is left", got)
		}
		time.Sleep(10 * time.Second)
		if got := n.stored(); len(got) != 0 || r.called("x") != 5 {
			t.Errorf("stored %v after %d calls; want none after 5", got, r.called("x"))
		}
	})
}

func TestARecordThatCannotBeRemovedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemains()
		n := alone(t, setup{reaper: r})
		n.grant(t, "x", ttl)
		r.with(func() { r.takes = 10 * time.Millisecond })
		if _, err := n.Revoke(t.Context(), "x", ""); err != nil {
			t.Fatal(err)
		}
		n.gates.FailWrites(1)
		time.Sleep(time.Second)
		if got := n.stored(); len(got) != 0 || r.called("x") != 2 {
			t.Errorf("stored %v after %d calls; want none after 2", got, r.called("x"))
		}
	})
}

func TestTheNextKeeperReapsWhatTheOneBeforeHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		ra, rb := newRemains(), newRemains()
		a := start(t, store, "a", setup{reaper: ra})
		b := start(t, store, "b", setup{reaper: rb})
		for _, r := range []*remains{ra, rb} {
			r.set("x", 1)
			r.set("long forgotten", 1)
		}
		ra.with(func() { ra.fails = 1000 })
		a.grant(t, "x", ttl)
		if _, err := a.Revoke(t.Context(), "x", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if rb.called("x") != 0 || ra.called("x") < 3 {
			t.Errorf("%d calls of a, %d of b; want the keeper's only", ra.called("x"), rb.called("x"))
		}
		a.stop()
		until(t, "keeper", b.door.isOpen)
		time.Sleep(time.Second)
		want := []string{"long forgotten", "x"}
		var reaped []string
		rb.with(func() { reaped = slices.Sorted(maps.Keys(rb.calls)) })
		if diff := cmp.Diff(want, reaped); diff != "" || len(b.stored()) != 0 {
			t.Errorf("stored %v, reaped (-want +got):\n%s", b.stored(), diff)
		}
	})
}

func TestWhatTurnsUpLateOfAnEndedLeaseIsTakenOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemains()
		n := alone(t, setup{reaper: r})
		n.grant(t, "x", ttl)
		r.with(func() { r.takes = 100 * time.Millisecond })
		if _, err := n.Revoke(t.Context(), "x", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		r.turnUp("x") // while it is being reaped
		time.Sleep(time.Second)
		r.turnUp("x") // when its record is gone
		time.Sleep(time.Second)
		if r.Owned("x") != 0 || r.called("x") != 3 {
			t.Errorf("%d left after %d calls; want none after 3", r.Owned("x"), r.called("x"))
		}
	})
}

func TestManyEndingsAreReapedAFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemains()
		n := alone(t, setup{reaper: r, cfg: func(c *clock.Config) { c.HoldShare = 1 }})
		n.grants(t, 500, ttl)
		r.with(func() { r.takes = 10 * time.Millisecond })
		time.Sleep(ttl + 2*time.Second)
		if got := n.stored(); len(got) != 0 || r.busiest() < 8 || r.busiest() > 16 {
			t.Errorf("%d stored, %d at a time; want none, and at most 16", len(got), r.busiest())
		}
	})
}

func TestNothingIsReapedWhileManyLeasesEndOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemains()
		alone(t, setup{reaper: r})
		end := func(owner string) {
			r.mu.Lock()
			r.left[owner] = 1
			r.mu.Unlock()
			r.void(backend.Ending{Owner: owner, Reason: backend.ReasonExpired})
		}
		r.with(func() { r.takes = 20 * time.Millisecond })
		for i := range 40 { // of the first of which a few are under way before there are many
			end(fmt.Sprint("first-", i))
		}
		time.Sleep(30 * time.Millisecond)
		before := len(r.Remains())
		const later = 15 // 600 ms
		for i := range later {
			time.Sleep(40 * time.Millisecond)
			end(fmt.Sprint("later-", i))
		}
		if n := len(r.Remains()); before < 24 || n != before+later {
			t.Errorf("%d and %d later ones are left of %d; want all that were not under way at first", n-later, later, before)
		}
		time.Sleep(time.Second)
		if n := len(r.Remains()); n != 0 {
			t.Errorf("%d are left a second after the last ending; want none", n)
		}
	})
}

var _ backend.Reaper = (*remains)(nil)
