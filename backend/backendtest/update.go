package backendtest

import (
	"testing"

	"github.com/roostbus/roost/backend"
)

var updateClauses = []clause{
	{name: "UpdateReplacesWhatItNamesAndKeepsTheRest", check: updateReplaces},
	{name: "UpdateReplacesMetadataAndDoesNotMerge", check: updateMetadata},
	{name: "UpdateMergesAPatchAsRFC7396Says", check: updateMerges},
	{name: "UpdateOfAnAbsentNameIsErrNotFound", check: updateAbsent},
	{name: "UpdateThatChangesNothingKeepsItsRevision", check: updateNothing},
	{name: "UpdateAtARevisionNeedsThatRevision", check: updateAtRevision},
}

func updateReplaces(t *testing.T, s subject) {
	want, _ := s.register(t, described("payments", "i-1", `{"a":1}`), backend.Write{})
	for _, step := range []struct {
		change backend.Change
		apply  func(*backend.Registration)
	}{
		{
			backend.Change{Endpoints: &backend.Endpoints{{Name: "z", URI: "1"}, {Name: "b", URI: "2"}}},
			func(r *backend.Registration) {
				r.Endpoints = backend.EndpointsOf(map[string]string{"z": "1", "b": "2"})
			},
		},
		{backend.Change{Metadata: address(backend.Metadata(`{"b":2}`))}, func(r *backend.Registration) { r.Metadata = `{"b":2}` }},
		{backend.Change{Weight: address[uint16](0)}, func(r *backend.Registration) { r.Weight = 0 }},
		{backend.Change{Status: address(backend.Draining)}, func(r *backend.Registration) { r.Status = backend.Draining }},
		{backend.Change{Endpoints: &backend.Endpoints{}}, func(r *backend.Registration) { r.Endpoints = nil }},
		{
			backend.Change{Weight: address[uint16](9), Status: address(backend.Down), Metadata: address(backend.Metadata("{}"))},
			func(r *backend.Registration) { r.Weight, r.Status, r.Metadata = 9, backend.Down, "" },
		},
	} {
		got, stamp := s.update(t, want.Key, step.change, backend.Write{})
		if got.Revision <= want.Revision || stamp.Revision != got.Revision || got.UpdatedAt.Before(want.UpdatedAt) {
			t.Errorf("revision %d after %d, stamp %d", got.Revision, want.Revision, stamp.Revision)
		}
		step.apply(&want)
		want.Revision, want.UpdatedAt = got.Revision, got.UpdatedAt
		same(t, got, want)
		same(t, s.lookup(t, want.Key, seen(stamp)), want)
	}
}

// foundation: "update replaces, it does not merge".
func updateMetadata(t *testing.T, s subject) {
	r, _ := s.register(t, described("payments", "i-1", `{"a":1,"b":2}`), backend.Write{})
	got, _ := s.update(t, r.Key, backend.Change{Metadata: address(backend.Metadata(`{"b":3}`))}, backend.Write{})
	if got.Metadata != `{"b":3}` {
		t.Errorf("metadata %s; want {\"b\":3}", got.Metadata)
	}
}

func updateMerges(t *testing.T, s subject) {
	r, _ := s.register(t, described("payments", "i-1", `{"a":1,"n":9007199254740993,"o":{"x":1,"y":2},"l":[1,2]}`), backend.Write{})
	patch := backend.Metadata(`{"a":null,"o":{"y":null,"z":3},"l":[3],"new":{"gone":null,"here":1},"never":null}`)
	got, stamp := s.update(t, r.Key, backend.Change{Merge: &patch}, backend.Write{})
	if want := backend.Metadata(`{"n":9007199254740993,"o":{"x":1,"z":3},"l":[3],"new":{"here":1}}`); got.Metadata != want {
		t.Errorf("metadata %s; want %s", got.Metadata, want)
	}
	same(t, s.lookup(t, r.Key, seen(stamp)), got)
	same(t, got, func() backend.Registration {
		again, _ := s.update(t, r.Key, backend.Change{Merge: address(backend.Metadata(`{"never":null}`))}, backend.Write{})
		return again
	}())
}

func updateAbsent(t *testing.T, s subject) {
	r := instance("payments", "i-1")
	c := backend.Change{Weight: address[uint16](7)}
	_, _, err := s.Update(patient(t), r.Key, c, backend.Write{})
	fails(t, "Update of what never was", err, backend.ErrNotFound)
	s.register(t, r, backend.Write{})
	s.unregister(t, r.Key, backend.Write{})
	for _, condition := range []backend.Condition{{}, backend.IfAbsent(), backend.IfRevision(1)} {
		_, _, err = s.Update(patient(t), r.Key, c, backend.Write{If: condition})
		fails(t, "Update of what was removed", err, backend.ErrNotFound)
	}
	s.absent(t, r.Key, linearizable)
}

func updateNothing(t *testing.T, s subject) {
	r, _ := s.register(t, described("payments", "i-1", `{"a":1}`), backend.Write{})
	for _, c := range []backend.Change{
		{},
		{Weight: &r.Weight, Status: &r.Status, Endpoints: &r.Endpoints, Metadata: &r.Metadata},
		{Merge: &r.Metadata},
		{Merge: address(backend.Metadata("{}"))},
	} {
		got, _ := s.update(t, r.Key, c, backend.Write{Reason: s.reason("another reason")})
		same(t, got, r)
	}
	same(t, s.lookup(t, r.Key, linearizable), r)
}

func updateAtRevision(t *testing.T, s subject) {
	first, _ := s.register(t, instance("payments", "i-1"), backend.Write{})
	second, stamp := s.update(t, first.Key, backend.Change{Weight: address[uint16](7)}, backend.Write{If: backend.IfRevision(first.Revision)})
	for _, condition := range []backend.Condition{backend.IfRevision(first.Revision), backend.IfAbsent()} {
		_, _, err := s.Update(patient(t), first.Key, backend.Change{Weight: address[uint16](8)}, backend.Write{If: condition})
		conflicts(t, "Update", err, second.Revision)
	}
	same(t, s.lookup(t, first.Key, linearizable), second)
	s.update(t, first.Key, backend.Change{Weight: address[uint16](8)}, backend.Write{If: backend.IfRevision(second.Revision), Epoch: stamp.Epoch})
}
