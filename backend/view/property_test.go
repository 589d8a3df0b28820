package view_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
)

var (
	someSpaces    = []string{"a", "a-b", "a.b"}
	someServices  = []string{"s", "s-1", "s0"}
	someInstances = []string{"", "1", "10", "1-0", "é", "z"}
	someOwners    = []string{"", "", "o1", "o2", "o3"}
	someMetadata  = []backend.Metadata{
		"", `{"region":"eu"}`, `{"region":"us","n":1}`, `{"region":["eu","us"],"n":1.0}`,
		`{"limits":{"rps":200}}`, `{"limits":{"rps":2e2},"region":"eu"}`,
	}
	someWhere = []map[string]backend.Scalar{
		nil, {"region": `"eu"`}, {"region": `"eu"`, "n": "1"}, {"limits.rps": "2e2"}, {"nothing": "null"},
	}
)

// machine drives a view and its oracle alike.
type machine struct {
	v     *view.View
	o     *oracle
	epoch backend.Epoch

	// stored is what the store has: the newest entry of each key, markers included.
	stored  map[backend.Key]view.Change
	endings []backend.Ending

	watches []*follower
}

func drawKey(t *rapid.T) backend.Key {
	return backend.Key{
		Namespace: rapid.SampledFrom(someSpaces).Draw(t, "namespace"),
		Service:   rapid.SampledFrom(someServices).Draw(t, "service"),
		Instance:  rapid.SampledFrom(someInstances).Draw(t, "instance"),
	}
}

func drawQuery(t *rapid.T) backend.Query {
	q := backend.Query{Where: rapid.SampledFrom(someWhere).Draw(t, "where")}
	if rapid.Bool().Draw(t, "in a namespace") {
		q.Namespace = rapid.SampledFrom(someSpaces).Draw(t, "namespace")
		if rapid.Bool().Draw(t, "in a service") {
			q.Service = rapid.SampledFrom(someServices).Draw(t, "service")
		}
	}
	if rapid.IntRange(0, 4).Draw(t, "by status") == 0 {
		q.Status = []backend.Status{backend.Draining}
	}
	return q
}

func (m *machine) draw(t *rapid.T) view.Change {
	m.o.head += backend.Revision(rapid.IntRange(1, 3).Draw(t, "step"))
	k := drawKey(t)
	c := put(m.o.head, k, rapid.SampledFrom(someMetadata).Draw(t, "metadata"))
	c.Registration.Owner = rapid.SampledFrom(someOwners).Draw(t, "owner")
	c.Registration.Status = rapid.SampledFrom([]backend.Status{backend.Up, backend.Draining}).Draw(t, "status")
	if held, ok := m.stored[k]; ok && !held.Removed && rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
		c = removal(m.o.head, k)
	}
	m.stored[k] = c
	return c
}

// Change applies what the store said, one or several at once, and sometimes again.
func (m *machine) Change(t *rapid.T) {
	var changes []view.Change
	for range rapid.IntRange(1, 4).Draw(t, "changes") {
		c := m.draw(t)
		m.o.apply(c)
		changes = append(changes, c)
	}
	m.v.Apply(m.o.head, changes...)
	if rapid.Bool().Draw(t, "again") {
		m.v.Apply(m.o.head, changes...)
	}
}

// End ends an owner.
func (m *machine) End(t *rapid.T) {
	m.o.head++
	e := backend.Ending{
		Owner: rapid.SampledFrom(someOwners[2:]).Draw(t, "owner"), Revision: m.o.head, Reason: backend.ReasonExpired,
	}
	if _, ended := m.o.ended[e.Owner]; !ended {
		m.endings = append(m.endings, e)
	}
	m.o.end(e)
	m.v.End(e)
	m.v.Advance(m.o.head)
}

// Rebuild collects a snapshot after changes that the feed has not shown.
func (m *machine) Rebuild(t *rapid.T) {
	before := m.o.head
	for range rapid.IntRange(0, 4).Draw(t, "missed") {
		m.draw(t)
	}
	for _, k := range slices.SortedFunc(maps.Keys(m.stored), func(a, b backend.Key) int {
		return cmpStrings(a.String(), b.String())
	}) {
		if m.stored[k].Removed && rapid.Bool().Draw(t, "marker forgotten") {
			delete(m.stored, k)
		}
	}
	m.o.head++
	b := m.v.Rebuild()
	for _, e := range m.endings {
		if rapid.Bool().Draw(t, "ending first") {
			b.End(e)
		}
	}
	for _, c := range m.stored {
		b.Apply(c)
	}
	for _, e := range m.endings {
		b.End(e)
	}
	m.v.Advance(before) // the old one goes on
	m.o.replace(m.stored, m.o.head)
	b.Commit(view.Snapshot{Epoch: m.epoch, Revision: m.o.head, Floor: 1})
}

// Follow begins a watch at a revision and checks its ending where one ran.
func (m *machine) Follow(t *rapid.T) {
	if len(m.watches) > 3 {
		m.watches[0].stop()
		m.watches = m.watches[1:]
	}
	q := drawQuery(t)
	since := backend.Revision(rapid.Uint64Range(1, uint64(m.o.head)+1).Draw(t, "since"))
	m.watches = append(m.watches, m.follow(q, min(since, m.o.head)))
}

// Check compares what readers see with what they should.
func (m *machine) Check(t *rapid.T) {
	q := drawQuery(t)
	same(t, fmt.Sprintf("List(%v)", q), m.o.live(&q), m.all(t, q))
	n, stamp, err := m.v.Count(t.Context(), q, nil)
	if err != nil || n != len(m.o.live(&q)) || stamp.Revision != m.o.head {
		t.Fatalf("Count = %d at %v, %v; want %d at %d", n, stamp, err, len(m.o.live(&q)), m.o.head)
	}
	since := backend.Revision(rapid.Uint64Range(1, uint64(m.o.head)+1).Draw(t, "since"))
	since = min(since, m.o.head)
	there, gone := m.o.since(&q, since)
	gotThere, gotGone := m.changes(t, q, since)
	same(t, fmt.Sprintf("Since(%d).Registrations", since), there, gotThere)
	same(t, fmt.Sprintf("Since(%d).Removed", since), gone, gotGone)
	for k, n := range m.o.rows {
		row := m.v.Row(k)
		if row.Present == n.removed || row.Alive == n.gone || row.Revision != n.stored {
			t.Fatalf("Row(%s) = present %v, alive %v, at %d; want %+v", k, row.Present, row.Alive, row.Revision, n)
		}
		if r, _ := m.v.Lookup(k); (r == nil) != n.gone || r != nil && !r.SameContent(&n.r) {
			t.Fatalf("Lookup(%s) = %+v; want %+v", k, r, n)
		}
	}
	for _, f := range m.watches {
		f.check(t, m)
	}
	m.services(t)
}

func (m *machine) services(t *rapid.T) {
	want := map[string]int{}
	for _, n := range m.o.rows {
		if !n.gone {
			want[n.r.Namespace+"/"+n.r.Service]++
		}
	}
	got := map[string]int{}
	q := backend.Query{Limit: rapid.IntRange(1, 4).Draw(t, "limit")}
	for more := true; more; more = q.After != "" {
		page, _, err := m.v.Services(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Services {
			got[s.Namespace+"/"+s.Service] = s.Instances
		}
		q.After = page.Next
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("Services (-want +got):\n%s", diff)
	}
}

func (m *machine) all(t *rapid.T, q backend.Query) []string {
	q.Limit = rapid.IntRange(0, 5).Draw(t, "limit")
	q.MaxBytes = rapid.SampledFrom([]int{0, 100, 700}).Draw(t, "max bytes")
	got := []string{}
	for more := true; more; more = q.After != "" {
		page, _, err := m.v.List(t.Context(), q, nil)
		if err != nil {
			t.Fatal(err)
		}
		if q.Limit > 0 && len(page.Registrations) > q.Limit {
			t.Fatalf("%d entries; want at most %d", len(page.Registrations), q.Limit)
		}
		got = append(got, keysOf(page.Registrations)...)
		q.After = page.Next
	}
	return got
}

func (m *machine) changes(t *rapid.T, q backend.Query, since backend.Revision) (there, gone []string) {
	q.Limit = rapid.IntRange(0, 5).Draw(t, "limit")
	there, gone = []string{}, []string{}
	for more := true; more; more = q.After != "" {
		page, _, err := m.v.List(t.Context(), after(q, since), nil)
		if err != nil {
			t.Fatal(err)
		}
		there = append(there, keysOf(page.Registrations)...)
		for _, r := range page.Removed {
			gone = append(gone, r.String())
		}
		q.After = page.Next
	}
	return there, gone
}

func same(t *rapid.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func cmpStrings(a, b string) int { return slices.Compare([]byte(a), []byte(b)) }

// follower keeps a copy of what a query selects by watching alone.
type follower struct {
	q    backend.Query
	held map[string]backend.Revision
	next func() (backend.Event, error, bool)
	stop func()
	gap  bool
	seen map[string]backend.Revision // the newest change of each key
}

// follow begins with what a list at since would have shown: everything that has not
// changed after it.
func (m *machine) follow(q backend.Query, since backend.Revision) *follower {
	f := &follower{q: q, held: map[string]backend.Revision{}, seen: map[string]backend.Revision{}}
	for k, n := range m.o.rows {
		if !n.gone && n.shown <= since && q.MatchesPlain(&n.r) {
			f.held[k.String()] = n.shown
		}
	}
	f.next, f.stop = iter.Pull2(m.v.Watch(context.Background(), q, nil, since))
	return f
}

// check takes in events until the copy is what it should be.
func (f *follower) check(t *rapid.T, m *machine) {
	due := map[string]backend.Revision{}
	for k, n := range m.o.rows {
		if f.q.Contains(k) {
			due[k.String()] = n.shown
		}
	}
	want := m.o.live(&f.q)
	for !slices.Equal(want, slices.Sorted(maps.Keys(f.held))) {
		e, err, ok := f.next()
		if err != nil || !ok {
			t.Fatalf("Watch ended with %v", err)
		}
		if f.gap = f.gap || e.Kind == backend.Gap; e.Kind == backend.Gap {
			continue
		}
		k := e.Registration.String()
		if e.Revision > due[k] || e.Revision < f.seen[k] {
			t.Fatalf("event of %s at %d after %d; its newest change is at %d", k, e.Revision, f.seen[k], due[k])
		}
		f.seen[k] = e.Revision
		if e.Kind.Removes() || e.Kind == backend.Unmatched {
			delete(f.held, k)
		} else {
			f.held[k] = e.Revision
		}
	}
}

func TestViewIsWhatTheOracleSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{
			v: view.New(1, view.WithWatchBuffer(2), view.WithSizes(1, 2, 3)), o: newOracle(), epoch: 1, stored: map[backend.Key]view.Change{},
		}
		m.o.head = 1
		m.v.Advance(1)
		t.Cleanup(func() {
			for _, f := range m.watches {
				f.stop()
			}
		})
		t.Repeat(map[string]func(*rapid.T){
			"change":  m.Change,
			"end":     m.End,
			"rebuild": m.Rebuild,
			"follow":  m.Follow,
			"":        m.Check,
		})
	})
}
