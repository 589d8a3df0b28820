package backendtest

import (
	"errors"
	"slices"
	"testing"

	"github.com/roostbus/roost/backend"
)

var listClauses = []clause{
	{name: "AListOfNothingIsEmpty", check: listNothing},
	{name: "AListIsOrderedByTheBytesOfItsKeys", check: listOrder},
	{name: "AListKeepsToItsScope", check: listScope},
	{name: "AListSelectsByStatus", check: listStatus},
	{name: "AnInvalidQueryIsRefusedByField", check: listInvalid},
	{name: "WalkingAListCanStopEarly", check: listStopsEarly},
	{name: "ManyReadersAgree", check: manyReaders},
}

// foundation: "list of an empty namespace is empty".
func listNothing(t *testing.T, s subject) {
	check := func(scopes ...backend.Scope) {
		t.Helper()
		for _, in := range scopes {
			page, stamp, err := s.List(patient(t), backend.Query{Scope: in, Read: linearizable})
			if err != nil || page == nil || len(page.Registrations) != 0 || page.Next != "" {
				t.Errorf("List(%s) = %+v, %v; want an empty last page", in, page, err)
			}
			if stamp.Epoch == 0 {
				t.Errorf("List(%s) says no epoch", in)
			}
			s.selects(t, backend.Query{Scope: in, Read: linearizable})
		}
	}
	check(backend.Scope{}, backend.Scope{Namespace: "default"}, scope("payments"))
	s.register(t, instance("payments", "i-1"), backend.Write{})
	check(backend.Scope{Namespace: "other"}, scope("orders"))
	s.unregister(t, instance("payments", "i-1").Key, backend.Write{})
	check(backend.Scope{}, backend.Scope{Namespace: "default"}, scope("payments"))
}

func listOrder(t *testing.T, s subject) {
	var stamp backend.Stamp
	var want []string
	for _, service := range []string{"b", "a", "a-b", "a.b", "A", "é", "a_"} {
		for _, name := range []string{"", "10.0.0.7:8080", "i-10", "i-2", "Z", "~", "ü"} {
			r := instance(service, name)
			_, stamp = s.register(t, r, backend.Write{})
			want = append(want, r.String())
		}
	}
	slices.Sort(want)
	var got []string
	for _, r := range s.list(t, backend.Query{Read: seen(stamp)}) {
		got = append(got, r.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("List = %q; want %q", got, want)
	}
}

func listScope(t *testing.T, s subject) {
	var stamp backend.Stamp
	for _, r := range []backend.Registration{
		instance("payments", "a"), instance("payments", "b"), instance("pay", "c"), instance("payments2", "d"), instance("orders", "e"),
	} {
		s.register(t, r, backend.Write{})
		r.Namespace, r.Instance = "default2", r.Instance+"2"
		_, stamp = s.register(t, r, backend.Write{})
	}
	read := seen(stamp)
	s.selects(t, backend.Query{Scope: scope("payments"), Read: read}, "a", "b")
	s.selects(t, backend.Query{Scope: scope("pay"), Read: read}, "c")
	s.selects(t, backend.Query{Scope: backend.Scope{Namespace: "default"}, Read: read}, "e", "c", "a", "b", "d")
	s.selects(t, backend.Query{Scope: backend.Scope{Namespace: "default2", Service: "orders"}, Read: read}, "e2")
	s.selects(t, backend.Query{Read: read}, "e", "c", "a", "b", "d", "e2", "c2", "a2", "b2", "d2")
}

func listStatus(t *testing.T, s subject) {
	var stamp backend.Stamp
	for name, status := range map[string]backend.Status{"a": backend.Up, "b": backend.Draining, "c": backend.Down, "d": 0} {
		r := instance("payments", name)
		r.Status = status
		_, stamp = s.register(t, r, backend.Write{})
	}
	q := backend.Query{Scope: scope("payments"), Read: seen(stamp)}
	for _, c := range []struct {
		status []backend.Status
		want   []string
	}{
		{nil, []string{"a", "b", "c", "d"}},
		{[]backend.Status{backend.Up}, []string{"a", "d"}},
		{[]backend.Status{backend.Down, backend.Draining}, []string{"b", "c"}},
		{[]backend.Status{backend.Up, backend.Draining, backend.Down, backend.Up}, []string{"a", "b", "c", "d"}},
	} {
		q.Status = c.status
		s.selects(t, q, c.want...)
	}
	_, stamp = s.update(t, instance("payments", "a").Key, backend.Change{Status: address(backend.Down)}, backend.Write{})
	q.Read, q.Status = seen(stamp), []backend.Status{backend.Up}
	s.selects(t, q, "d")
	q.Status = []backend.Status{backend.Down}
	s.selects(t, q, "a", "c")
}

func listInvalid(t *testing.T, s subject) {
	for _, c := range []struct {
		field string
		query backend.Query
	}{
		{"limit", backend.Query{Limit: -1}},
		{"limit", backend.Query{Limit: backend.DefaultListLimit + 1}},
		{"after", backend.Query{After: "not a cursor"}},
		{"after", backend.Query{After: "MSAy"}},
		{"status", backend.Query{Status: []backend.Status{9}}},
		{"service", backend.Query{Scope: backend.Scope{Service: "payments"}}},
		{"namespace", backend.Query{Scope: backend.Scope{Namespace: "_roost"}}},
	} {
		_, _, err := s.List(patient(t), c.query)
		invalid(t, "List", err, c.field)
	}
	_, _, err := backend.Count(patient(t), s.Backend, backend.Query{Scope: backend.Scope{Namespace: "_roost"}})
	invalid(t, "Count", err, "namespace")
	_, _, err = backend.Services(patient(t), s.Backend, backend.Query{Limit: -1})
	invalid(t, "Services", err, "limit")
	_, _, err = backend.Services(patient(t), s.Backend, backend.Query{Scope: scope("payments")})
	invalid(t, "Services of a service", err, "services")
	w := s.watch(t, backend.Query{Scope: backend.Scope{Service: "payments"}}, 0)
	invalid(t, "Watch", w.wait(t), "service")
}

func listStopsEarly(t *testing.T, s subject) {
	var stamp backend.Stamp
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		_, stamp = s.register(t, instance("payments", name), backend.Write{})
	}
	var got []string
	for r, err := range backend.All(patient(t), s.Backend, backend.Query{Scope: scope("payments"), Limit: 2, Read: seen(stamp)}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, r.Instance); len(got) == 3 {
			break
		}
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("walked %q; want %q", got, want)
	}
	for _, err := range backend.All(patient(t), s.Backend, backend.Query{After: "not a cursor"}) {
		if !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("walking from a bad cursor: %v; want ErrInvalid", err)
		}
	}
}

// foundation: "10 to 50 concurrent look-ups agree".
func manyReaders(t *testing.T, s subject) {
	want, stamp := s.register(t, described("payments", "i-1", `{"a":[1,2,3]}`), backend.Write{})
	results, errs := contend(50, func(i int) (backend.Registration, error) {
		if i%2 == 0 {
			got, _, err := s.Lookup(patient(t), want.Key, seen(stamp))
			return got, err
		}
		page, _, err := s.List(patient(t), backend.Query{Scope: scope("payments"), Read: seen(stamp)})
		if err != nil || len(page.Registrations) != 1 {
			return backend.Registration{}, err
		}
		return *page.Registrations[0], nil
	})
	for i, got := range results {
		fails(t, "read", errs[i], nil)
		same(t, got, want)
	}
}
