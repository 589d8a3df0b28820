package backendtest

import (
	"testing"

	"github.com/roostbus/roost/backend"
)

var ownerClauses = []clause{
	{name: "RegisterOnAnotherOwnersLiveNameIsErrExistsWithTheHolder", check: registerOnLiveName, owners: true},
	{name: "RegisterOnAPermanentNameByAnOwnerIsErrExists", check: registerOnPermanent, owners: true},
	{name: "RegisterByTheSameOwnerReplaces", check: registerBySameOwner, owners: true},
	{name: "UpdateKeepsTheOwner", check: updateKeepsOwner, owners: true},
	{name: "UpdateByAnotherIsErrNotOwnerWithTheOwner", check: updateByAnother, owners: true},
	{name: "UnregisterByAnotherIsErrNotOwnerWithTheOwner", check: unregisterByAnother, owners: true},
	{name: "APermanentOneIsChangedAndRemovedByAnybodyAndStaysPermanent", check: permanentIsEverybodys, owners: true},
	{name: "AnUnknownOwnerIsErrLeaseExpired", check: unknownOwner, owners: true},
	{name: "ChecksComeInTheOrderOfTheContract", check: orderOfChecks, owners: true},
	{name: "AForcedUnregisterSkipsTheOwnerRules", check: forceUnregister, owners: true},
	{name: "AForcedChangeSkipsTheOwnerRulesAndKeepsTheOwner", check: forceChange, owners: true},
}

// owns registers r for owner, which is granted first.
func (s subject) owns(t *testing.T, owner string, r backend.Registration) (backend.Registration, backend.Stamp) {
	t.Helper()
	s.leases.Grant(owner)
	return s.register(t, r, backend.Write{Owner: owner})
}

// R1. foundation: "conflict returns the holder".
func registerOnLiveName(t *testing.T, s subject) {
	first, _ := s.owns(t, "a", instance("payments", "i-1"))
	if first.Owner != "a" {
		t.Errorf("the owner is %q; want a", first.Owner)
	}
	s.leases.Grant("b")
	for _, owner := range []string{"b", ""} {
		_, _, err := s.Register(patient(t), instance("payments", "i-1"), backend.Write{Owner: owner})
		held(t, "Register by "+owner, err, first)
	}
	same(t, s.lookup(t, first.Key, linearizable), first)
}

func registerOnPermanent(t *testing.T, s subject) {
	first, _ := s.register(t, instance("payments", "i-1"), backend.Write{})
	s.leases.Grant("a")
	_, _, err := s.Register(patient(t), instance("payments", "i-1"), backend.Write{Owner: "a"})
	held(t, "Register", err, first)
}

func registerBySameOwner(t *testing.T, s subject) {
	first, _ := s.owns(t, "a", described("payments", "i-1", `{"a":1}`))
	again, _ := s.owns(t, "a", described("payments", "i-1", `{"a":1}`))
	same(t, again, first)
	next, stamp := s.owns(t, "a", described("payments", "i-1", `{"a":2}`))
	if next.Revision <= first.Revision || next.CreatedRevision != first.CreatedRevision || next.Metadata != `{"a":2}` || next.Owner != "a" {
		t.Errorf("Register again = %s", text(next))
	}
	same(t, s.lookup(t, first.Key, seen(stamp)), next)
}

func updateKeepsOwner(t *testing.T, s subject) {
	first, _ := s.owns(t, "a", instance("payments", "i-1"))
	got, stamp := s.update(t, first.Key, backend.Change{Weight: address[uint16](7)}, backend.Write{Owner: "a"})
	if got.Owner != "a" || got.Weight != 7 {
		t.Errorf("Update = %s; want weight 7 and owner a", text(got))
	}
	same(t, s.lookup(t, first.Key, seen(stamp)), got)
}

func updateByAnother(t *testing.T, s subject) {
	first, _ := s.owns(t, "a", instance("payments", "i-1"))
	s.leases.Grant("b")
	for _, owner := range []string{"b", ""} {
		_, _, err := s.Update(patient(t), first.Key, backend.Change{Weight: address[uint16](7)}, backend.Write{Owner: owner})
		owned(t, "Update by "+owner, err, "a")
	}
	same(t, s.lookup(t, first.Key, linearizable), first)
}

func unregisterByAnother(t *testing.T, s subject) {
	first, _ := s.owns(t, "a", instance("payments", "i-1"))
	s.leases.Grant("b")
	for _, owner := range []string{"b", ""} {
		_, _, err := s.Unregister(patient(t), first.Key, backend.Write{Owner: owner})
		owned(t, "Unregister by "+owner, err, "a")
	}
	same(t, s.lookup(t, first.Key, linearizable), first)
	_, stamp := s.unregister(t, first.Key, backend.Write{Owner: "a"})
	s.absent(t, first.Key, seen(stamp))
}

func permanentIsEverybodys(t *testing.T, s subject) {
	first, _ := s.register(t, instance("payments", "i-1"), backend.Write{})
	s.leases.Grant("a")
	got, _ := s.update(t, first.Key, backend.Change{Weight: address[uint16](7)}, backend.Write{Owner: "a"})
	if got.Owner != "" {
		t.Errorf("an update by a made it %q's; want it permanent", got.Owner)
	}
	s.leases.End("a", backend.ReasonExpired)
	same(t, s.lookup(t, first.Key, linearizable), got)
	s.leases.Grant("b")
	_, stamp := s.unregister(t, first.Key, backend.Write{Owner: "b"})
	s.absent(t, first.Key, seen(stamp))
}

// foundation: "a process that is not alive cannot be registered".
func unknownOwner(t *testing.T, s subject) {
	r := instance("payments", "i-1")
	s.leases.Grant("gone")
	s.leases.End("gone", backend.ReasonRevoked)
	for _, owner := range []string{"never", "gone"} {
		w := backend.Write{Owner: owner}
		_, _, err := s.Register(patient(t), r, w)
		fails(t, "Register by "+owner, err, backend.ErrLeaseExpired)
		_, _, err = s.Update(patient(t), r.Key, backend.Change{}, w)
		fails(t, "Update by "+owner, err, backend.ErrLeaseExpired)
		_, _, err = s.Unregister(patient(t), r.Key, w)
		fails(t, "Unregister by "+owner, err, backend.ErrLeaseExpired)
	}
	s.absent(t, r.Key, linearizable)
}

func orderOfChecks(t *testing.T, s subject) {
	taken, _ := s.owns(t, "a", instance("payments", "i-1"))
	s.leases.Grant("b")
	wrong := backend.IfRevision(taken.Revision + 1000)

	bad := taken
	bad.Status = 9
	_, _, err := s.Register(patient(t), bad, backend.Write{Owner: "never", If: wrong})
	fails(t, "an invalid register by an unknown owner", err, backend.ErrInvalid)
	_, _, err = s.Register(patient(t), filled("fill", backend.MaxBody+1), backend.Write{Owner: "never", If: wrong})
	fails(t, "a large register by an unknown owner", err, backend.ErrTooLarge)
	_, _, err = s.Register(patient(t), taken, backend.Write{Owner: "never", If: wrong})
	fails(t, "a register of a taken name by an unknown owner", err, backend.ErrLeaseExpired)
	_, _, err = s.Register(patient(t), taken, backend.Write{Owner: "b", If: wrong})
	fails(t, "a register of a taken name at a wrong revision", err, backend.ErrExists)

	free := instance("payments", "free").Key
	_, _, err = s.Update(patient(t), free, backend.Change{Status: address(backend.Status(9))}, backend.Write{Owner: "never", If: wrong})
	fails(t, "an invalid update by an unknown owner", err, backend.ErrInvalid)
	_, _, err = s.Update(patient(t), free, backend.Change{}, backend.Write{Owner: "never", If: wrong})
	fails(t, "an update of nothing by an unknown owner", err, backend.ErrLeaseExpired)
	_, _, err = s.Update(patient(t), free, backend.Change{}, backend.Write{Owner: "b", If: wrong})
	fails(t, "an update of nothing at a wrong revision", err, backend.ErrNotFound)
	_, _, err = s.Update(patient(t), taken.Key, backend.Change{}, backend.Write{Owner: "b", If: wrong})
	fails(t, "an update of another's at a wrong revision", err, backend.ErrNotOwner)
	_, _, err = s.Update(patient(t), taken.Key, backend.Change{}, backend.Write{Owner: "a", If: wrong})
	conflicts(t, "an update at a wrong revision", err, taken.Revision)

	_, _, err = s.Unregister(patient(t), taken.Key, backend.Write{Owner: "never", If: wrong})
	fails(t, "an unregister by an unknown owner", err, backend.ErrLeaseExpired)
	_, _, err = s.Unregister(patient(t), taken.Key, backend.Write{Owner: "b", If: wrong})
	fails(t, "an unregister of another's at a wrong revision", err, backend.ErrNotOwner)
	_, _, err = s.Unregister(patient(t), taken.Key, backend.Write{Owner: "a", If: wrong})
	conflicts(t, "an unregister at a wrong revision", err, taken.Revision)
	same(t, s.lookup(t, taken.Key, linearizable), taken)
}

func forceUnregister(t *testing.T, s subject) {
	first, stamp := s.owns(t, "a", instance("payments", "i-1"))
	w := s.watch(t, backend.Query{Scope: scope("payments")}, stamp.Revision)
	removal, stamp := s.unregister(t, first.Key, backend.Write{Force: true})
	s.absent(t, first.Key, seen(stamp))
	e := w.next(t)
	if e.Kind != backend.Unregistered || e.Reason != backend.ReasonAdmin || e.Revision != removal.Revision {
		t.Errorf("event %s %q at %d; want unregistered %q at %d", e.Kind, e.Reason, e.Revision, backend.ReasonAdmin, removal.Revision)
	}
}

func forceChange(t *testing.T, s subject) {
	first, _ := s.owns(t, "a", instance("payments", "i-1"))
	second, _ := s.register(t, described("payments", "i-1", `{"by":"operator"}`), backend.Write{Force: true})
	third, stamp := s.update(t, first.Key, backend.Change{Status: address(backend.Down)}, backend.Write{Force: true})
	if second.Owner != "a" || third.Owner != "a" || third.CreatedRevision != first.CreatedRevision {
		t.Errorf("after an operator's changes: %s, then %s; want both still a's", text(second), text(third))
	}
	same(t, s.lookup(t, first.Key, seen(stamp)), third)
	s.leases.End("a", backend.ReasonExpired)
	s.absent(t, first.Key, linearizable)
}
