package backendtest

import (
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
)

var registerClauses = []clause{
	{name: "RegisterOfAFreeNameCreatesIt", check: registerCreates},
	{name: "RegisterIgnoresWhatTheBackendSets", check: registerIgnores},
	{name: "RegisterAgainReplacesWhatTheCallerSays", check: registerReplaces},
	{name: "RegisterThatChangesNothingKeepsItsRevision", check: registerNothing},
	{name: "RegisterOrdersEndpointsAndSaysTheStatus", check: registerNormalizes},
	{name: "TheEmptyInstanceIsAHolderOfItsOwn", check: emptyInstance},
	{name: "NamesOfTenScriptsComeBack", check: scripts},
	{name: "WhatACallerDoesToItsEndpointsLaterChangesNothing", check: endpointsAreCopied},
}

func registerCreates(t *testing.T, s subject) {
	r := instance("payments", "i-1")
	r.Metadata, r.Weight, r.Status = `{"region":"eu"}`, 0, backend.Draining
	before := time.Now().Add(-time.Minute)
	got, stamp := s.register(t, r, backend.Write{})
	if got.Revision == 0 || got.CreatedRevision != got.Revision || stamp.Revision != got.Revision {
		t.Errorf("revision %d, created at %d, stamp %d; want one number above 0", got.Revision, got.CreatedRevision, stamp.Revision)
	}
	if stamp.Epoch == 0 {
		t.Error("the stamp says no epoch")
	}
	if got.CreatedAt.Before(before) || !got.CreatedAt.Equal(got.UpdatedAt) || got.CreatedAt.Nanosecond()%1_000_000 != 0 {
		t.Errorf("created at %v, updated at %v; want one recent instant in whole milliseconds", got.CreatedAt, got.UpdatedAt)
	}
	want := r
	want.Revision, want.CreatedRevision, want.CreatedAt, want.UpdatedAt = got.Revision, got.Revision, got.CreatedAt, got.CreatedAt
	same(t, got, want)
	same(t, s.lookup(t, r.Key, seen(stamp)), want)
}

func registerIgnores(t *testing.T, s subject) {
	r := instance("payments", "i-1")
	r.Owner, r.Revision, r.CreatedRevision = "someone", 1<<40, 1<<39
	r.CreatedAt, r.UpdatedAt = time.Unix(1, 0), time.Unix(2, 0)
	got, stamp := s.register(t, r, backend.Write{})
	if got.Owner != "" || got.Revision >= 1<<39 || got.CreatedRevision != got.Revision || got.CreatedAt.Unix() == 1 || got.UpdatedAt.Unix() == 2 {
		t.Errorf("Register kept what is not the caller's to say: %s", text(got))
	}
	same(t, s.lookup(t, r.Key, seen(stamp)), got)
}

// foundation: "re-register by the same process updates metadata".
func registerReplaces(t *testing.T, s subject) {
	first, _ := s.register(t, described("payments", "i-1", `{"a":1,"b":2}`), backend.Write{})
	next := instance("payments", "i-1")
	next.Endpoints = backend.EndpointsOf(map[string]string{"grpc": "grpc://x"})
	next.Metadata, next.Weight, next.Status = `{"b":3}`, 7, backend.Down
	got, stamp := s.register(t, next, backend.Write{})
	if got.Revision <= first.Revision || stamp.Revision != got.Revision || got.UpdatedAt.Before(first.UpdatedAt) {
		t.Errorf("revision %d after %d, stamp %d, updated at %v after %v", got.Revision, first.Revision, stamp.Revision, got.UpdatedAt, first.UpdatedAt)
	}
	want := next
	want.Revision, want.UpdatedAt = got.Revision, got.UpdatedAt
	want.CreatedRevision, want.CreatedAt = first.CreatedRevision, first.CreatedAt
	same(t, got, want)
	same(t, s.lookup(t, next.Key, seen(stamp)), want)
}

func registerNothing(t *testing.T, s subject) {
	r := described("payments", "i-1", `{"a":1}`)
	first, _ := s.register(t, r, backend.Write{})
	again, stamp := s.register(t, r, backend.Write{Reason: s.reason("another reason")})
	same(t, again, first)
	if stamp.Revision < first.Revision {
		t.Errorf("stamp %d; want at least %d", stamp.Revision, first.Revision)
	}
	same(t, s.lookup(t, r.Key, linearizable), first)
}

func registerNormalizes(t *testing.T, s subject) {
	r := instance("payments", "i-1")
	r.Endpoints = backend.Endpoints{{Name: "z", URI: "1"}, {Name: "a", URI: "2"}}
	r.Metadata, r.Status = "{}", 0
	got, _ := s.register(t, r, backend.Write{})
	if got.Endpoints[0].Name != "a" || got.Status != backend.Up || got.Metadata != "" {
		t.Errorf("Register = %s; want the endpoints ordered, the status up, the metadata empty", text(got))
	}
	if r.Endpoints[0].Name != "z" {
		t.Error("Register reordered the caller's endpoints")
	}
	same(t, s.lookup(t, r.Key, linearizable), got)
}

func emptyInstance(t *testing.T, s subject) {
	one, _ := s.register(t, instance("scheduler", ""), backend.Write{})
	other, stamp := s.register(t, instance("scheduler", "i-1"), backend.Write{})
	same(t, s.lookup(t, one.Key, seen(stamp)), one)
	same(t, s.lookup(t, other.Key, seen(stamp)), other)
	s.selects(t, backend.Query{Scope: scope("scheduler"), Read: seen(stamp)}, "", "i-1")
	_, stamp = s.unregister(t, one.Key, backend.Write{})
	s.absent(t, one.Key, seen(stamp))
	same(t, s.lookup(t, other.Key, seen(stamp)), other)
}

func scripts(t *testing.T, s subject) {
	var stamp backend.Stamp
	names := []string{"latin é", "кириллица", "ελληνικά", "汉字", "ひらがな", "한글", "العربية", "עברית", "देवनागरी", "ไทย", "10.0.0.7:8080", "a*b>c=d e"}
	for _, name := range names {
		r := instance(name, name)
		r.Namespace = name
		_, stamp = s.register(t, r, backend.Write{})
	}
	for _, name := range names {
		key := backend.Key{Namespace: name, Service: name, Instance: name}
		if got := s.lookup(t, key, seen(stamp)); got.Key != key {
			t.Errorf("Lookup(%+v) = %+v", key, got.Key)
		}
		s.selects(t, backend.Query{Scope: backend.Scope{Namespace: name, Service: name}, Read: seen(stamp)}, name)
	}
	if got := len(s.list(t, backend.Query{Read: seen(stamp)})); got != len(names) {
		t.Errorf("the list of everything has %d entries; want %d", got, len(names))
	}
}

func endpointsAreCopied(t *testing.T, s subject) {
	r := instance("payments", "i-1")
	got, stamp := s.register(t, r, backend.Write{})
	want := text(got)
	r.Endpoints[0] = backend.Endpoint{Name: "changed", URI: "changed"}
	if again := text(s.lookup(t, r.Key, seen(stamp))); again != want {
		t.Errorf("after the caller changed its slice: %s; want %s", again, want)
	}
	e := backend.Endpoints{{Name: "a", URI: "1"}}
	got, stamp = s.update(t, r.Key, backend.Change{Endpoints: &e}, backend.Write{})
	want = text(got)
	e[0].URI = "changed"
	if again := text(s.lookup(t, r.Key, seen(stamp))); again != want {
		t.Errorf("after the caller changed its slice: %s; want %s", again, want)
	}
}
