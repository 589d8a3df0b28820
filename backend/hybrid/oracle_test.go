package hybrid_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/backendtest"
	"github.com/roostbus/roost/backend/memory"
	"github.com/roostbus/roost/kvstore/memkv"
)

// pair is the backend under test, on a store, and the memory backend that says what is right.
type pair struct {
	tested, oracle backend.Backend
	leases         [2]*backendtest.Leases

	// revisions maps what the tested one calls a revision to what the oracle calls it.
	revisions map[backend.Revision]backend.Revision
}

// said is what of an answer both must agree on: everything but revisions and times.
type said struct {
	Content  string
	Removed  bool
	Sentinel error
	Revision backend.Revision // as the oracle counts
}

var sentinels = []error{
	backend.ErrInvalid, backend.ErrNotOwner, backend.ErrNotFound, backend.ErrExists, backend.ErrLeaseExpired,
	backend.ErrConflict, backend.ErrTooLarge, backend.ErrUnknownOutcome, backend.ErrUnavailable,
}

func sentinel(err error) error {
	for _, s := range sentinels {
		if errors.Is(err, s) {
			return s
		}
	}
	return err
}

func content(r *backend.Registration) string {
	return fmt.Sprintf("%s %v %s %d %s %q", r.Key, r.Endpoints, r.Metadata, r.Weight, r.Status, r.Owner)
}

func (p *pair) both(t *rapid.T, what string, do func(b backend.Backend, of func(backend.Revision) backend.Revision) (backend.Result, error)) {
	oracleOf := func(r backend.Revision) backend.Revision { return p.revisions[r] }
	same := func(r backend.Revision) backend.Revision { return r }
	ours, errOurs := do(p.tested, same)
	theirs, errTheirs := do(p.oracle, oracleOf)
	if errOurs == nil && errTheirs == nil && ours.Revision() != 0 {
		p.revisions[ours.Revision()] = theirs.Revision()
	}
	got := said{content(&ours.Registration), ours.Removal.Removed, sentinel(errOurs), p.revisions[ours.Revision()]}
	want := said{content(&theirs.Registration), theirs.Removal.Removed, sentinel(errTheirs), theirs.Revision()}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" { //nolint:errorlint // sentinels
		t.Fatalf("%s: it differs from memory (-memory +it):\n%s\nit: %v\nmemory: %v", what, diff, errOurs, errTheirs)
	}
}

var (
	keys      = rapid.SampledFrom([]backend.Key{key("a", "1"), key("a", "2"), key("a-b", "1"), key("b", ""), key("b", "x y")})
	owners    = rapid.SampledFrom([]string{"", "", "o1", "o2"})
	metadatas = rapid.SampledFrom([]backend.Metadata{"", `{"zone":"a"}`, `{"zone":"b","tags":["x","y"]}`, `{"limits":{"rps":200}}`, `{"limits":{"rps":2e2}}`})
	weights   = rapid.Uint16Range(0, 3)
	statuses  = rapid.SampledFrom([]backend.Status{backend.Up, backend.Draining, backend.Down})
)

func key(service, instance string) backend.Key {
	return backend.Key{Namespace: "default", Service: service, Instance: instance}
}

// TestRandomOperationsGiveWhatMemoryGives shows R9 beyond the clauses of the contract.
func TestRandomOperationsGiveWhatMemoryGives(t *testing.T) {
	t.Parallel()
	likeMemory(t, func(n *node) backend.Backend { return n })
}

// TestRandomOperationsGiveWhatMemoryGivesWithoutAView shows the same for durable, which
// differs from hybrid in where reads come from.
func TestRandomOperationsGiveWhatMemoryGivesWithoutAView(t *testing.T) {
	t.Parallel()
	likeMemory(t, func(n *node) backend.Backend { return n.durable })
}

func likeMemory(t *testing.T, tested func(n *node) backend.Backend) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		p := &pair{revisions: map[backend.Revision]backend.Revision{0: 0}}
		for i := range p.leases {
			p.leases[i] = backendtest.NewLeases()
			p.leases[i].Grant("o1")
			p.leases[i].Grant("o2")
		}
		n := start(t, memkv.New(), p.leases[0])
		defer n.stop()
		if err := n.Ready(t.Context()); err != nil {
			rt.Fatal(err)
		}
		p.tested, p.oracle = tested(n), memory.New(p.leases[1])
		rt.Repeat(map[string]func(*rapid.T){
			"register":   func(rt *rapid.T) { p.register(t, rt) },
			"update":     func(rt *rapid.T) { p.update(t, rt) },
			"unregister": func(rt *rapid.T) { p.unregister(t, rt) },
			"end": func(rt *rapid.T) {
				owner := owners.Filter(func(o string) bool { return o != "" }).Draw(rt, "owner")
				p.leases[0].End(owner, backend.ReasonExpired)
				p.leases[1].End(owner, backend.ReasonExpired)
			},
			"": func(rt *rapid.T) { p.compare(t, rt) },
		})
	})
}

func condition(rt *rapid.T, p *pair) func(of func(backend.Revision) backend.Revision) backend.Condition {
	switch rapid.IntRange(0, 3).Draw(rt, "condition") {
	case 0:
		return func(func(backend.Revision) backend.Revision) backend.Condition { return backend.IfAbsent() }
	case 1:
		at := rapid.SampledFrom(slices.Sorted(maps.Keys(p.revisions))).Draw(rt, "at")
		return func(of func(backend.Revision) backend.Revision) backend.Condition {
			return backend.IfRevision(of(at))
		}
	}
	return func(func(backend.Revision) backend.Revision) backend.Condition { return backend.Condition{} }
}

func (p *pair) register(t *testing.T, rt *rapid.T) {
	t.Helper()
	r := backend.Registration{
		Key: keys.Draw(rt, "key"), Metadata: metadatas.Draw(rt, "metadata"), Weight: weights.Draw(rt, "weight"),
		Status: statuses.Draw(rt, "status"),
	}
	owner, at := owners.Draw(rt, "owner"), condition(rt, p)
	p.both(rt, "register", func(b backend.Backend, of func(backend.Revision) backend.Revision) (backend.Result, error) {
		got, _, err := b.Register(t.Context(), r, backend.Write{Owner: owner, If: at(of)})
		return backend.Result{Registration: got}, err
	})
}

func (p *pair) update(t *testing.T, rt *rapid.T) {
	t.Helper()
	k, owner, at := keys.Draw(rt, "key"), owners.Draw(rt, "owner"), condition(rt, p)
	var change backend.Change
	if rapid.Bool().Draw(rt, "merges") {
		m := metadatas.Draw(rt, "merge")
		change.Merge = &m
	}
	if rapid.Bool().Draw(rt, "weighs") {
		w := weights.Draw(rt, "weight")
		change.Weight = &w
	}
	p.both(rt, "update", func(b backend.Backend, of func(backend.Revision) backend.Revision) (backend.Result, error) {
		got, _, err := b.Update(t.Context(), k, change, backend.Write{Owner: owner, If: at(of)})
		return backend.Result{Registration: got}, err
	})
}

func (p *pair) unregister(t *testing.T, rt *rapid.T) {
	t.Helper()
	k, owner, at := keys.Draw(rt, "key"), owners.Draw(rt, "owner"), condition(rt, p)
	p.both(rt, "unregister", func(b backend.Backend, of func(backend.Revision) backend.Revision) (backend.Result, error) {
		removal, _, err := b.Unregister(t.Context(), k, backend.Write{Owner: owner, If: at(of)})
		return backend.Result{Removal: removal}, err
	})
}

// compare asks both for everything and for parts.
func (p *pair) compare(t *testing.T, rt *rapid.T) {
	t.Helper()
	for _, q := range []backend.Query{
		{},
		{Scope: backend.Scope{Namespace: "default", Service: "a"}},
		{Where: map[string]backend.Scalar{"zone": `"b"`}},
		{Where: map[string]backend.Scalar{"limits.rps": "2e2"}},
		{Scope: backend.Scope{Namespace: "default"}, Filter: `"x" in metadata.tags && weight > 0`},
		{Status: []backend.Status{backend.Draining, backend.Down}, Limit: 1},
	} {
		q.Consistency = backend.Linearizable
		got, want := p.list(t, rt, p.tested, q), p.list(t, rt, p.oracle, q)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("list %+v: it differs from memory (-memory +it):\n%s", q, diff)
		}
		n, _, err := backend.Count(t.Context(), p.tested, q)
		if err != nil || n != len(want) {
			rt.Fatalf("count %+v = %d, %v; want %d", q, n, err, len(want))
		}
	}
}

func (p *pair) list(t *testing.T, rt *rapid.T, b backend.Backend, q backend.Query) []string {
	t.Helper()
	all := []string{}
	for r, err := range backend.All(t.Context(), b, q) {
		if err != nil {
			rt.Fatal(err)
		}
		revision := r.Revision
		if b == p.tested {
			revision = p.revisions[revision]
		}
		all = append(all, fmt.Sprint(content(r), revision))
	}
	return all
}
