package backendtest

import (
	"strconv"
	"sync"
	"testing"

	"github.com/roostbus/roost/backend"
)

var leaseClauses = []clause{
	{name: "FromTheEndOfALeaseNothingOfItIsThere", check: nothingDead, owners: true},
	{name: "TheEndOfALeaseIsToldWithItsReason", check: endIsTold, owners: true},
	{name: "ANameLeftByAnEndedOwnerIsTakenAfresh", check: takenAfresh, owners: true},
	{name: "ConditionsDoNotCountWhatHasEnded", check: conditionsOnEnded, owners: true},
	{name: "AnEndedOwnerCanDoNothing", check: endedOwner, owners: true},
	{name: "WhatIsWrittenAsALeaseEndsIsNotThereAfterwards", check: writtenAsItEnds, owners: true},
	{name: "OfManyThatReplaceAnEndedOwnerExactlyOneWins", check: oneReplaces, owners: true},
	{name: "ManyLeasesEndWithoutTouchingOthers", check: manyEnd, owners: true},
}

// R3. foundation: "look-up is empty after the owner's exit", "dead processes are not
// returned by list, index or count", "clean-up of a namespace".
func nothingDead(t *testing.T, s subject) {
	dead, _ := s.owns(t, "a", described("payments", "dead", `{"v":1}`))
	other, _ := s.owns(t, "a", described("orders", "dead", `{"v":1}`))
	live, _ := s.owns(t, "b", described("payments", "live", `{"v":1}`))
	permanent, _ := s.register(t, described("payments", "permanent", `{"v":1}`), backend.Write{})
	s.leases.End("a", backend.ReasonExpired)

	s.absent(t, dead.Key, linearizable)
	s.absent(t, other.Key, linearizable)
	same(t, s.lookup(t, live.Key, linearizable), live)
	same(t, s.lookup(t, permanent.Key, linearizable), permanent)
	for _, q := range []backend.Query{
		{},
		{Scope: backend.Scope{Namespace: "default"}},
		{Scope: scope("payments")},
		{Where: conditions{"v": "1"}},
		{Filter: "metadata.v == 1"},
		{Status: []backend.Status{backend.Up}},
		{Scope: scope("payments"), Where: conditions{"v": "1"}, Filter: "weight > 0"},
	} {
		q.Read = linearizable
		s.selects(t, q, "live", "permanent")
	}
	s.selects(t, backend.Query{Scope: scope("orders"), Read: linearizable})
	services, _, err := backend.Services(patient(t), s.Backend, backend.Query{Read: linearizable})
	if err != nil || len(services.Services) != 1 || services.Services[0].Instances != 2 || services.Services[0].Up != 2 {
		t.Errorf("Services = %+v, %v; want payments with 2 instances", services, err)
	}
	h, err := s.Health(patient(t))
	if err != nil || h.Registrations != 2 || h.Services != 1 {
		t.Errorf("Health = %+v, %v; want 2 registrations of 1 service", h, err)
	}
}

func endIsTold(t *testing.T, s subject) {
	for _, reason := range []string{backend.ReasonExpired, backend.ReasonClosed, backend.ReasonRevoked} {
		owner := "owner-" + reason
		r, stamp := s.owns(t, owner, instance("payments", reason))
		w := s.watch(t, backend.Query{Scope: scope("payments")}, stamp.Revision)
		s.leases.End(owner, reason)
		e := w.next(t)
		if e.Kind != backend.Expired || e.Reason != reason || e.Registration == nil || e.Previous != r.Revision {
			t.Errorf("event %s; want expired %q after %d", show(e), reason, r.Revision)
			continue
		}
		same(t, *e.Registration, r)
		marker, _ := s.register(t, instance("payments", "marker-"+reason), backend.Write{})
		if next := w.next(t); next.Registration == nil || next.Registration.Key != marker.Key {
			t.Errorf("event %s; want none between the end and the marker", show(next))
		}
	}
}

// R1. foundation: "a dead owner is replaced", "dead clean-up, then register again".
func takenAfresh(t *testing.T, s subject) {
	first, stamp := s.owns(t, "a", described("payments", "i-1", `{"v":1}`))
	w := s.watch(t, backend.Query{Scope: scope("payments")}, stamp.Revision)
	s.quiet(t, w)
	s.leases.End("a", backend.ReasonExpired)
	second, _ := s.owns(t, "b", described("payments", "i-1", `{"v":1}`))
	if second.Owner != "b" || second.Revision <= first.Revision || second.CreatedRevision != second.Revision || second.CreatedAt.Before(first.CreatedAt) {
		t.Errorf("registered after %s as %s; want it created afresh", text(first), text(second))
	}
	same(t, s.lookup(t, first.Key, linearizable), second)

	ended := false
	for {
		e := w.next(t)
		if !ended && (e.Kind == backend.Expired || e.Kind == backend.Gap) {
			ended = true
			continue
		}
		// Where the end was not told first, the new registration says it.
		if e.Kind != backend.Registered || e.Revision != second.Revision || e.Registration.Owner != "b" || !ended && e.Reason != backend.ReasonReplaced {
			t.Errorf("event %s; want registered at %d, %q unless the end came first", show(e), second.Revision, backend.ReasonReplaced)
		}
		break
	}
	s.leases.End("b", backend.ReasonRevoked)
	third, _ := s.register(t, instance("payments", "i-1"), backend.Write{If: backend.IfAbsent()})
	if third.Owner != "" {
		t.Errorf("registered without a lease as %s; want it permanent", text(third))
	}
}

func conditionsOnEnded(t *testing.T, s subject) {
	r, _ := s.owns(t, "a", instance("payments", "i-1"))
	s.leases.End("a", backend.ReasonExpired)
	at := backend.Write{If: backend.IfRevision(r.Revision)}
	_, _, err := s.Register(patient(t), instance("payments", "i-1"), at)
	conflicts(t, "Register", err, 0)
	_, _, err = s.Update(patient(t), r.Key, backend.Change{}, at)
	fails(t, "Update", err, backend.ErrNotFound)
	_, _, err = s.Unregister(patient(t), r.Key, at)
	conflicts(t, "Unregister", err, 0)
	removal, _, err := s.Unregister(patient(t), r.Key, backend.Write{})
	if err != nil || removal.Removed {
		t.Errorf("Unregister = %+v, %v; want nothing to remove", removal, err)
	}
	s.leases.Grant("b")
	if _, _, err = s.Register(patient(t), instance("payments", "i-1"), backend.Write{Owner: "b", If: backend.IfAbsent()}); err != nil {
		t.Errorf("Register if absent = %v; want nil", err)
	}
}

func endedOwner(t *testing.T, s subject) {
	r, _ := s.owns(t, "a", instance("payments", "i-1"))
	s.leases.End("a", backend.ReasonExpired)
	w := backend.Write{Owner: "a"}
	_, _, err := s.Register(patient(t), instance("payments", "i-1"), w)
	fails(t, "Register", err, backend.ErrLeaseExpired)
	_, _, err = s.Update(patient(t), r.Key, backend.Change{Weight: address[uint16](7)}, w)
	fails(t, "Update", err, backend.ErrLeaseExpired)
	_, _, err = s.Unregister(patient(t), r.Key, w)
	fails(t, "Unregister", err, backend.ErrLeaseExpired)
	s.absent(t, r.Key, linearizable)
}

// R3. Writes race with the end of their lease; whoever wins, nothing of it stays.
func writtenAsItEnds(t *testing.T, s subject) {
	for round := range 20 {
		owner := "owner-" + strconv.Itoa(round)
		s.leases.Grant(owner)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				<-start
				r := instance("payments", owner+"-"+strconv.Itoa(i))
				// It may come too late or in time.
				_, _, _ = s.Register(t.Context(), r, backend.Write{Owner: owner})
			})
		}
		wg.Go(func() {
			<-start
			s.leases.End(owner, backend.ReasonExpired)
		})
		close(start)
		wg.Wait()
		if left := s.list(t, backend.Query{Read: linearizable}); len(left) != 0 {
			t.Fatalf("after the end of %s there is %s", owner, text(*left[0]))
		}
	}
}

// R1.
func oneReplaces(t *testing.T, s subject) {
	s.owns(t, "a", instance("payments", ""))
	s.leases.End("a", backend.ReasonClosed)
	results, errs := contend(30, func(i int) (backend.Registration, error) {
		owner := "owner-" + strconv.Itoa(i)
		s.leases.Grant(owner)
		got, _, err := s.Register(patient(t), instance("payments", ""), backend.Write{Owner: owner})
		return got, err
	})
	won := winner(t, errs)
	for i, err := range errs {
		if i != won {
			held(t, "Register by contender "+strconv.Itoa(i), err, results[won])
		}
	}
	same(t, s.lookup(t, results[won].Key, linearizable), results[won])
}

func manyEnd(t *testing.T, s subject) {
	var want []string
	for i := range 30 {
		name := "i-" + strconv.Itoa(10+i)
		s.owns(t, "owner-"+strconv.Itoa(i%3), instance("payments", name))
		if i%3 == 2 {
			want = append(want, name)
		}
	}
	var wg sync.WaitGroup
	for _, owner := range []string{"owner-0", "owner-1"} {
		wg.Go(func() { s.leases.End(owner, backend.ReasonExpired) })
	}
	wg.Wait()
	s.selects(t, backend.Query{Scope: scope("payments"), Read: linearizable}, want...)
}
