package backendtest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/roostbus/roost/backend"
)

var summaryClauses = []clause{
	{name: "CountCountsWhatAListHas", check: countCounts},
	{name: "ServicesAreSummedUpInTheOrderOfTheirKeys", check: servicesSumUp},
	{name: "ServicesComeInPages", check: servicesInPages},
	{name: "AServiceWithoutInstancesIsGone", check: servicesVanish},
}

// foundation: "count 0, 5, decreases".
func countCounts(t *testing.T, s subject) {
	count := func(q backend.Query, want int) {
		t.Helper()
		if n, stamp, err := backend.Count(patient(t), s.Backend, q); err != nil || n != want || stamp.Revision < q.MinRevision {
			t.Errorf("Count(%s) = %d, %+v, %v; want %d", q.Scope, n, stamp, err, want)
		}
	}
	count(backend.Query{Read: linearizable}, 0)
	all, stamp := s.fill(t, 5)
	read := seen(stamp)
	count(backend.Query{Read: read}, 5)
	count(backend.Query{Scope: scope("payments"), Limit: 2, MaxBytes: 1, Read: read}, 5)
	count(backend.Query{Scope: scope("payments"), Where: conditions{"odd": "true"}, Read: read}, 2)
	count(backend.Query{Scope: scope("orders"), Read: read}, 0)
	_, stamp = s.unregister(t, instance("payments", all[0]).Key, backend.Write{})
	count(backend.Query{Read: seen(stamp)}, 4)
}

// services returns all pages of q in words.
func (s subject) services(t *testing.T, q backend.Query) (list []string) {
	t.Helper()
	for range 100 {
		page, _, err := backend.Services(patient(t), s.Backend, q)
		if err != nil {
			t.Fatalf("Services(%s) = %v", q.Scope, err)
		}
		if q.Limit > 0 && len(page.Services) > q.Limit {
			t.Errorf("a page of %d has %d services", q.Limit, len(page.Services))
		}
		for _, i := range page.Services {
			list = append(list, fmt.Sprintf("%s/%s %d of %d up at %d", i.Namespace, i.Service, i.Up, i.Instances, i.Revision))
		}
		if page.Next == "" {
			return list
		}
		q.After = page.Next
	}
	t.Fatal("the pages of services have no end")
	return nil
}

func servicesSumUp(t *testing.T, s subject) {
	a, _ := s.register(t, instance("payments", "a"), backend.Write{})
	down := instance("payments", "b")
	down.Status = backend.Down
	b, _ := s.register(t, down, backend.Write{})
	one, _ := s.register(t, instance("pay", ""), backend.Write{})
	other := instance("payments", "a")
	other.Namespace = "other"
	c, stamp := s.register(t, other, backend.Write{})

	want := []string{
		fmt.Sprintf("default/pay 1 of 1 up at %d", one.Revision),
		fmt.Sprintf("default/payments 1 of 2 up at %d", b.Revision),
		fmt.Sprintf("other/payments 1 of 1 up at %d", c.Revision),
	}
	if got := s.services(t, backend.Query{Read: seen(stamp)}); !slices.Equal(got, want) {
		t.Errorf("Services = %q; want %q", got, want)
	}
	if got := s.services(t, backend.Query{Scope: backend.Scope{Namespace: "other"}, Read: seen(stamp)}); !slices.Equal(got, want[2:]) {
		t.Errorf("Services of other = %q; want %q", got, want[2:])
	}

	a, stamp = s.update(t, a.Key, backend.Change{Status: address(backend.Draining)}, backend.Write{})
	want[1] = fmt.Sprintf("default/payments 0 of 2 up at %d", a.Revision)
	if got := s.services(t, backend.Query{Read: seen(stamp)}); !slices.Equal(got, want) {
		t.Errorf("Services after an update = %q; want %q", got, want)
	}
}

func servicesInPages(t *testing.T, s subject) {
	var want []string
	var stamp backend.Stamp
	for _, service := range []string{"a-b", "a", "a_", "aa", "b"} { // the order of their keys
		s.register(t, instance(service, "i-1"), backend.Write{})
		var r backend.Registration
		r, stamp = s.register(t, instance(service, "i-2"), backend.Write{})
		want = append(want, fmt.Sprintf("default/%s 2 of 2 up at %d", service, r.Revision))
	}
	for _, limit := range []int{1, 2, 4, 5, 6, 0} {
		if got := s.services(t, backend.Query{Limit: limit, Read: seen(stamp)}); !slices.Equal(got, want) {
			t.Errorf("Services in pages of %d = %q; want %q", limit, got, want)
		}
	}
}

func servicesVanish(t *testing.T, s subject) {
	if got := s.services(t, backend.Query{Read: linearizable}); len(got) != 0 {
		t.Errorf("Services of nothing = %q", got)
	}
	s.register(t, instance("payments", "a"), backend.Write{})
	s.unregister(t, instance("payments", "a").Key, backend.Write{})
	if got := s.services(t, backend.Query{Read: linearizable}); len(got) != 0 {
		t.Errorf("Services after the last removal = %q; want none", got)
	}
}
