package backendtest

import (
	"testing"

	"github.com/roostbus/roost/backend"
)

var watchQueryClauses = []clause{
	{name: "AWatchWithAWhereTellsWhatNoLongerMatches", check: watchWhere},
	{name: "AWatchWithAFilterTellsWhatNoLongerMatches", check: watchFilter},
	{name: "AWatchWithAStatusTellsWhatNoLongerMatches", check: watchStatus},
}

// unmatches walks one registration into and out of what q selects.
func (s subject) unmatches(t *testing.T, q backend.Query, in, out func(*backend.Registration)) {
	t.Helper()
	_, stamp := s.register(t, instance("payments", "anchor"), backend.Write{})
	q.Scope = scope("payments")
	w := s.watch(t, q, stamp.Revision)
	put := func(change func(*backend.Registration)) backend.Registration {
		t.Helper()
		r := instance("payments", "i-1")
		change(&r)
		got, _ := s.register(t, r, backend.Write{})
		return got
	}
	a := put(out)
	w.gives(t, backend.Event{Kind: backend.Unmatched, Registration: &a, Revision: a.Revision})
	b := put(in)
	w.gives(t, backend.Event{Kind: backend.Updated, Registration: &b, Revision: b.Revision, Previous: a.Revision})
	c := put(out)
	w.gives(t, backend.Event{Kind: backend.Unmatched, Registration: &c, Revision: c.Revision, Previous: b.Revision})
	d := put(in)
	w.gives(t, backend.Event{Kind: backend.Updated, Registration: &d, Revision: d.Revision, Previous: c.Revision})
	removal, _ := s.unregister(t, d.Key, backend.Write{})
	w.gives(t, backend.Event{Kind: backend.Unregistered, Registration: &d, Revision: removal.Revision, Previous: d.Revision})
}

func watchWhere(t *testing.T, s subject) {
	s.unmatches(t, backend.Query{Where: conditions{"region": `"eu"`}},
		func(r *backend.Registration) { r.Metadata = `{"region":["us","eu"]}` },
		func(r *backend.Registration) { r.Metadata = `{"region":"us"}` })
}

func watchFilter(t *testing.T, s subject) {
	s.unmatches(t, backend.Query{Filter: "metadata.n > 3 && weight > 0"},
		func(r *backend.Registration) { r.Metadata = `{"n":4}` },
		func(r *backend.Registration) { r.Metadata, r.Weight = `{"n":4}`, 0 })
}

func watchStatus(t *testing.T, s subject) {
	s.unmatches(t, backend.Query{Status: []backend.Status{backend.Up}},
		func(*backend.Registration) {},
		func(r *backend.Registration) { r.Status = backend.Down })
}
