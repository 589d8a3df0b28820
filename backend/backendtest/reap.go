package backendtest

import (
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/roostbus/roost/backend"
)

// These clauses are about backends that can reap. Of one that cannot they ask what it owes
// then: that backend.ReaperOf has nothing to do.
var reapClauses = []clause{
	{name: "WhatAnEndedLeaseHasLeftIsTakenOutAndNothingElse", check: reapsItsOwn, owners: true},
	{name: "TakingOutIsToldOnceAsTheEndOfTheLease", check: reapIsQuiet, owners: true},
	{name: "TakingOutAgainChangesNothing", check: reapTwice, owners: true},
	{name: "ALivingOwnersRegistrationsAreNotTakenOut", check: reapRefusesTheLiving, owners: true},
	{name: "AnotherWhoTookTheNameIsNotTakenOut", check: reapSparesSuccessors, owners: true},
	{name: "TakingOutRacesWithThoseWhoTakeTheNames", check: reapRaces, owners: true},
	{name: "ManyRegistrationsOfOneLeaseAreTakenOut", check: reapsMany, owners: true},
	{name: "AfterTakingOutANameIsFree", check: reapedIsFree, owners: true},
}

// reap takes out what is left of an owner that has ended.
func (s subject) reap(t *testing.T, owner, reason string) {
	t.Helper()
	left, err := backend.ReaperOf(s.Backend).Reap(patient(t), backend.Ending{Owner: owner, Reason: reason})
	if err != nil || left != 0 {
		t.Fatalf("Reap(%s) = %d left, %v; want nothing left", owner, left, err)
	}
	s.holds(t, owner, 0)
}

// holds checks how many registrations are stored for owner.
func (s subject) holds(t *testing.T, owner string, want int) {
	t.Helper()
	r := backend.ReaperOf(s.Backend)
	if n := r.Owned(owner); n != want {
		t.Errorf("Owned(%s) = %d; want %d", owner, n, want)
	}
	if want == 0 && slices.ContainsFunc(r.Remains(), func(e backend.Ending) bool { return e.Owner == owner }) {
		t.Errorf("something remains of %s; want nothing", owner)
	}
}

// settled has s come to where everything acknowledged has been seen.
func (s subject) settled(t *testing.T) { t.Helper(); s.list(t, backend.Query{Read: linearizable}) }

// R3.
func reapsItsOwn(t *testing.T, s subject) {
	s.owns(t, "a", instance("payments", "1"))
	s.owns(t, "a", instance("orders", "1"))
	other, _ := s.owns(t, "b", instance("payments", "2"))
	permanent, _ := s.register(t, instance("payments", "3"), backend.Write{})
	s.settled(t)
	if _, can := s.Backend.(backend.Reaper); can {
		s.holds(t, "a", 2)
		s.holds(t, "b", 1)
		s.holds(t, "", 0)
	}
	s.leases.End("a", backend.ReasonClosed)
	s.reap(t, "a", backend.ReasonClosed)
	s.selects(t, backend.Query{Read: linearizable}, "2", "3")
	same(t, s.lookup(t, other.Key, linearizable), other)
	same(t, s.lookup(t, permanent.Key, linearizable), permanent)
}

// R3, R7.
func reapIsQuiet(t *testing.T, s subject) {
	r, stamp := s.owns(t, "a", instance("payments", "1"))
	w := s.watch(t, backend.Query{Scope: scope("payments")}, stamp.Revision)
	s.leases.End("a", backend.ReasonClosed)
	e := w.next(t)
	if e.Kind != backend.Expired || e.Reason != backend.ReasonClosed || e.Previous != r.Revision || e.Revision <= r.Revision {
		t.Errorf("event %s; want expired %q after %d", show(e), backend.ReasonClosed, r.Revision)
	}
	s.reap(t, "a", backend.ReasonClosed)
	s.quiet(t, w)
	since := func(from backend.Revision) []backend.Removed {
		t.Helper()
		page, _, err := s.List(patient(t), backend.Query{
			Scope: scope("payments"), Since: &from, Read: backend.Read{Consistency: backend.Linearizable, Epoch: stamp.Epoch},
		})
		if err != nil {
			t.Fatalf("List since %d = %v; want nil", from, err)
		}
		return slices.DeleteFunc(page.Removed, func(n backend.Removed) bool { return n.Key != r.Key })
	}
	if got := since(stamp.Revision); len(got) != 1 || got[0].Reason != backend.ReasonClosed || got[0].Revision < e.Revision {
		t.Errorf("since %d there is %+v; want it removed once, because of %q", stamp.Revision, got, backend.ReasonClosed)
	}
	if got, _, err := s.Lookup(patient(t), r.Key, seen(backend.Stamp{Revision: e.Revision, Epoch: stamp.Epoch})); err == nil {
		t.Errorf("Lookup at the end of the lease = %s; want ErrNotFound", text(got))
	}
}

func reapTwice(t *testing.T, s subject) {
	s.owns(t, "a", instance("payments", "1"))
	s.leases.End("a", backend.ReasonExpired)
	s.settled(t)
	errs := make([]error, 8)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			_, errs[i] = backend.ReaperOf(s.Backend).Reap(patient(t), backend.Ending{Owner: "a", Reason: backend.ReasonExpired})
		})
	}
	all.Wait()
	for i, err := range errs {
		fails(t, "reaper "+strconv.Itoa(i), err, nil)
	}
	_, stamp := s.register(t, instance("payments", "2"), backend.Write{})
	w := s.watch(t, backend.Query{}, stamp.Revision)
	s.reap(t, "a", backend.ReasonExpired)
	s.reap(t, "nobody", backend.ReasonExpired)
	s.quiet(t, w)
}

// R4.
func reapRefusesTheLiving(t *testing.T, s subject) {
	r, _ := s.owns(t, "a", instance("payments", "1"))
	permanent, _ := s.register(t, instance("payments", "2"), backend.Write{})
	s.settled(t)
	if reaper, can := s.Backend.(backend.Reaper); can {
		for _, owner := range []string{"a", ""} {
			_, err := reaper.Reap(patient(t), backend.Ending{Owner: owner, Reason: backend.ReasonExpired})
			invalid(t, "Reap of "+strconv.Quote(owner), err, "owner")
		}
	}
	same(t, s.lookup(t, r.Key, linearizable), r)
	same(t, s.lookup(t, permanent.Key, linearizable), permanent)
}

// R4.
func reapSparesSuccessors(t *testing.T, s subject) {
	s.owns(t, "a", instance("payments", "1"))
	s.owns(t, "a", instance("payments", "2"))
	s.owns(t, "a", instance("payments", "3"))
	s.leases.End("a", backend.ReasonExpired)
	next, _ := s.owns(t, "b", instance("payments", "1"))
	forever, _ := s.register(t, instance("payments", "2"), backend.Write{})
	s.reap(t, "a", backend.ReasonExpired)
	same(t, s.lookup(t, next.Key, linearizable), next)
	same(t, s.lookup(t, forever.Key, linearizable), forever)
	s.selects(t, backend.Query{Read: linearizable}, "1", "2")
}

// R4.
func reapRaces(t *testing.T, s subject) {
	const names = 40
	var want []string
	for i := range names {
		s.owns(t, "a", instance("payments", strconv.Itoa(100+i)))
		want = append(want, strconv.Itoa(100+i))
	}
	s.leases.End("a", backend.ReasonExpired)
	s.leases.Grant("b")
	errs := make([]error, names)
	var all sync.WaitGroup
	for i := range names {
		all.Go(func() {
			_, _, errs[i] = s.Register(patient(t), instance("payments", strconv.Itoa(100+i)), backend.Write{Owner: "b"})
		})
	}
	for range 3 {
		all.Go(func() {
			if _, err := backend.ReaperOf(s.Backend).Reap(patient(t), backend.Ending{Owner: "a"}); err != nil {
				t.Errorf("Reap = %v; want nil", err)
			}
		})
	}
	all.Wait()
	for i, err := range errs {
		fails(t, "Register "+strconv.Itoa(100+i), err, nil)
	}
	s.settled(t)
	s.reap(t, "a", backend.ReasonExpired)
	s.selects(t, backend.Query{Read: linearizable}, want...)
}

func reapsMany(t *testing.T, s subject) {
	const many = 1200
	s.leases.Grant("a")
	for from := 0; from < many; from += 600 {
		operations := make([]backend.Operation, 600)
		for i := range operations {
			operations[i] = registering(instance("payments", strconv.Itoa(from+i)), backend.Write{Owner: "a"})
		}
		s.batch(t, operations, false)
	}
	s.settled(t)
	s.leases.End("a", backend.ReasonRevoked)
	s.reap(t, "a", backend.ReasonRevoked)
	s.selects(t, backend.Query{Read: linearizable})
}

// R1.
func reapedIsFree(t *testing.T, s subject) {
	first, _ := s.owns(t, "a", instance("payments", "1"))
	s.leases.End("a", backend.ReasonExpired)
	s.reap(t, "a", backend.ReasonExpired)
	_, _, err := s.Update(patient(t), first.Key, backend.Change{Weight: address[uint16](7)}, backend.Write{})
	fails(t, "Update of what was taken out", err, backend.ErrNotFound)
	s.leases.Grant("b")
	second, _ := s.register(t, instance("payments", "1"), backend.Write{Owner: "b", If: backend.IfAbsent()})
	if second.Owner != "b" || second.CreatedRevision != second.Revision {
		t.Errorf("registered as %s; want it created afresh for b", text(second))
	}
}
