package backendtest

import (
	"sync"
	"testing"

	"github.com/roostbus/roost/backend"
)

var stampClauses = []clause{
	{name: "RevisionsOfWritesGrowWithinOneEpoch", check: revisionsGrow},
	{name: "NoTwoWritesShareARevision", check: revisionsAreUnique},
	{name: "AFailedWriteLeavesNoTrace", check: failureLeavesNoTrace},
}

func revisionsGrow(t *testing.T, s subject) {
	r, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	grows := func(what string, next backend.Stamp) {
		t.Helper()
		if next.Revision <= stamp.Revision || next.Epoch != stamp.Epoch {
			t.Errorf("%s is stamped %+v after %+v", what, next, stamp)
		}
		stamp = next
	}
	reaches := func(what string, got backend.Stamp) {
		t.Helper()
		if got.Revision < stamp.Revision || got.Epoch != stamp.Epoch || got.Age < 0 {
			t.Errorf("%s is stamped %+v after %+v", what, got, stamp)
		}
	}
	for i := range 3 {
		_, next := s.update(t, r.Key, backend.Change{Weight: address(uint16(i))}, backend.Write{})
		grows("update", next)
		_, next = s.register(t, instance("orders", "i-1"), backend.Write{})
		grows("register", next)
		_, next = s.unregister(t, instance("orders", "i-1").Key, backend.Write{})
		grows("unregister", next)
		for _, read := range []backend.Read{seen(stamp), linearizable} {
			_, got, err := s.Lookup(patient(t), r.Key, read)
			fails(t, "Lookup", err, nil)
			reaches("lookup", got)
			_, got, err = s.List(patient(t), backend.Query{Read: read})
			fails(t, "List", err, nil)
			reaches("list", got)
			_, got, err = backend.Count(patient(t), s.Backend, backend.Query{Read: read})
			fails(t, "Count", err, nil)
			reaches("count", got)
			_, got, err = backend.Services(patient(t), s.Backend, backend.Query{Read: read})
			fails(t, "Services", err, nil)
			reaches("services", got)
		}
	}
}

func revisionsAreUnique(t *testing.T, s subject) {
	var mu sync.Mutex
	by := map[backend.Revision]string{}
	_, errs := contend(10, func(i int) (backend.Registration, error) {
		r := instance("payments", string(rune('a'+i)))
		for round := range 5 {
			r.Weight = uint16(round)
			got, _, err := s.Register(patient(t), r, backend.Write{})
			if err != nil {
				return got, err
			}
			mu.Lock()
			if other, twice := by[got.Revision]; twice {
				t.Errorf("%s and %s both have revision %d", other, r.Instance, got.Revision)
			}
			by[got.Revision] = r.Instance
			mu.Unlock()
		}
		return backend.Registration{}, nil
	})
	for i, err := range errs {
		if err != nil {
			t.Errorf("writer %d: %v", i, err)
		}
	}
}

func failureLeavesNoTrace(t *testing.T, s subject) {
	first, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	w := s.watch(t, backend.Query{Scope: scope("payments")}, stamp.Revision)
	wrong := backend.Write{If: backend.IfRevision(first.Revision + 1000)}
	_, _, err := s.Register(patient(t), described("payments", "i-1", `{"a":1}`), wrong)
	conflicts(t, "Register", err, first.Revision)
	_, _, err = s.Update(patient(t), first.Key, backend.Change{Weight: address[uint16](7)}, wrong)
	conflicts(t, "Update", err, first.Revision)
	_, _, err = s.Unregister(patient(t), first.Key, wrong)
	conflicts(t, "Unregister", err, first.Revision)
	same(t, s.lookup(t, first.Key, linearizable), first)
	s.selects(t, backend.Query{Scope: scope("payments"), Where: map[string]backend.Scalar{"a": "1"}, Read: linearizable})
	s.quiet(t, w)
}
