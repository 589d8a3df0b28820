package backendtest

import (
	"testing"

	"github.com/roostbus/roost/backend"
)

var unregisterClauses = []clause{
	{name: "UnregisterRemoves", check: unregisterRemoves},
	{name: "UnregisterOfAnAbsentNameIsNoError", check: unregisterAbsent},
	{name: "UnregisterAtARevisionNeedsThatRevision", check: unregisterAtRevision},
	{name: "ARemovedNameCanBeRegisteredAfresh", check: registerAfterRemoval},
}

// foundation: "unregister removes", "count decreases".
func unregisterRemoves(t *testing.T, s subject) {
	r, _ := s.register(t, instance("payments", "i-1"), backend.Write{})
	other, _ := s.register(t, instance("payments", "i-2"), backend.Write{})
	removal, stamp := s.unregister(t, r.Key, backend.Write{})
	if removal.Revision <= other.Revision || stamp.Revision != removal.Revision {
		t.Errorf("removed at revision %d after %d, stamp %d", removal.Revision, other.Revision, stamp.Revision)
	}
	for _, read := range []backend.Read{seen(stamp), linearizable} {
		s.absent(t, r.Key, read)
		s.selects(t, backend.Query{Scope: scope("payments"), Read: read}, "i-2")
		s.selects(t, backend.Query{Read: read}, "i-2")
	}
}

// foundation: "unregister is fine if absent, and when repeated".
func unregisterAbsent(t *testing.T, s subject) {
	r := instance("payments", "i-1")
	gone := func() {
		t.Helper()
		for _, w := range []backend.Write{{}, {If: backend.IfAbsent()}, {Reason: "tidy"}} {
			removal, _, err := s.Unregister(patient(t), r.Key, w)
			if err != nil || removal != (backend.Removal{}) {
				t.Errorf("Unregister = %+v, %v; want nothing removed and no error", removal, err)
			}
		}
	}
	gone()
	s.register(t, r, backend.Write{})
	s.unregister(t, r.Key, backend.Write{})
	gone()
}

func unregisterAtRevision(t *testing.T, s subject) {
	r := instance("payments", "i-1")
	_, _, err := s.Unregister(patient(t), r.Key, backend.Write{If: backend.IfRevision(1)})
	conflicts(t, "Unregister of nothing at revision 1", err, 0)

	first, _ := s.register(t, r, backend.Write{})
	second, stamp := s.update(t, r.Key, backend.Change{Weight: address[uint16](7)}, backend.Write{})
	for _, condition := range []backend.Condition{backend.IfRevision(first.Revision), backend.IfAbsent()} {
		_, _, err = s.Unregister(patient(t), r.Key, backend.Write{If: condition})
		conflicts(t, "Unregister", err, second.Revision)
	}
	same(t, s.lookup(t, r.Key, linearizable), second)

	s.unregister(t, r.Key, backend.Write{If: backend.IfRevision(second.Revision), Epoch: stamp.Epoch})
	_, _, err = s.Unregister(patient(t), r.Key, backend.Write{If: backend.IfRevision(second.Revision)})
	conflicts(t, "Unregister of what was removed", err, 0)
}

func registerAfterRemoval(t *testing.T, s subject) {
	first, _ := s.register(t, instance("payments", "i-1"), backend.Write{})
	removal, _ := s.unregister(t, first.Key, backend.Write{})
	again, stamp := s.register(t, instance("payments", "i-1"), backend.Write{If: backend.IfAbsent()})
	if again.Revision <= removal.Revision || again.CreatedRevision != again.Revision || again.CreatedAt.Before(first.CreatedAt) {
		t.Errorf("registered afresh as %s after removal at %d", text(again), removal.Revision)
	}
	same(t, s.lookup(t, first.Key, seen(stamp)), again)
}
