package backendtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostbus/roost/backend"
)

// RunFollowers checks, over random writes, endings and queries, that whoever keeps a copy
// of what a query selects by lists alone, from whatever revision a list has borne, always
// ends with exactly that: R7. It does not suit a backend that cannot be given owners.
func RunFollowers(t *testing.T, open func(t *testing.T, live backend.Liveness) backend.Backend) {
	t.Helper()
	leases := NewLeases()
	b := open(t, leases)
	var worlds atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{Backend: b, leases: leases, name: fmt.Sprintf("w%d", worlds.Add(1))}
		for _, owner := range worldOwners[1:] {
			leases.Grant(w.name + owner)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"write":  func(rt *rapid.T) { w.write(t, rt) },
			"remove": func(rt *rapid.T) { w.remove(t, rt) },
			"end": func(rt *rapid.T) {
				leases.End(w.name+rapid.SampledFrom(worldOwners[1:]).Draw(rt, "owner"), backend.ReasonExpired)
			},
			"follow": func(rt *rapid.T) { w.follow(rt) },
			"resume": func(rt *rapid.T) { w.resume(rt) },
			"page":   func(rt *rapid.T) { w.page(t, rt) },
			"exact":  func(rt *rapid.T) { w.exact(t, rt) },
		})
		w.exact(t, rt)
	})
}

// world is a namespace with its writers and followers.
type world struct {
	backend.Backend
	leases    *Leases
	name      string
	followers []*follower
	past      []*follower // as they were after complete lists
}

var (
	worldOwners   = []string{"", "a", "b"}
	worldServices = []string{"s", "s-1"}
	worldMetadata = []backend.Metadata{"", `{"zone":"a"}`, `{"zone":"b","n":1}`, `{"zone":["a","b"],"n":2}`}
	worldQueries  = []backend.Query{
		{},
		{},
		{Where: conditions{"zone": `"a"`}},
		{Filter: `metadata.n >= 1 && weight > 1`},
		{Status: []backend.Status{backend.Up}},
		{Where: conditions{"zone": `"b"`}, Status: []backend.Status{backend.Up}, Filter: "weight < 3"},
	}
)

func (w *world) key(rt *rapid.T) backend.Key {
	return backend.Key{
		Namespace: w.name, Service: rapid.SampledFrom(worldServices).Draw(rt, "service"),
		Instance: rapid.SampledFrom([]string{"", "1", "2", "10", "é"}).Draw(rt, "instance"),
	}
}

// author draws who writes.
func (w *world) author(rt *rapid.T) string {
	if owner := rapid.SampledFrom(worldOwners).Draw(rt, "owner"); owner != "" {
		return w.name + owner
	}
	return ""
}

// write registers; that may be refused.
func (w *world) write(t *testing.T, rt *rapid.T) {
	r := backend.Registration{
		Key: w.key(rt), Metadata: rapid.SampledFrom(worldMetadata).Draw(rt, "metadata"),
		Weight: rapid.Uint16Range(0, 3).Draw(rt, "weight"),
		Status: rapid.SampledFrom([]backend.Status{backend.Up, backend.Draining}).Draw(rt, "status"),
	}
	_, _, err := w.Register(t.Context(), r, backend.Write{Owner: w.author(rt)})
	refused(rt, "Register", err)
}

func (w *world) remove(t *testing.T, rt *rapid.T) {
	_, _, err := w.Unregister(t.Context(), w.key(rt), backend.Write{Owner: w.author(rt)})
	refused(rt, "Unregister", err)
}

// refused checks that err is nil or says what the caller has done wrong.
func refused(rt *rapid.T, what string, err error) {
	rt.Helper()
	if err == nil {
		return
	}
	for _, allowed := range []error{backend.ErrExists, backend.ErrNotOwner, backend.ErrLeaseExpired} {
		if errors.Is(err, allowed) {
			return
		}
	}
	rt.Fatalf("%s: %v", what, err)
}

// follow begins a follower with nothing.
func (w *world) follow(rt *rapid.T) {
	if len(w.followers) == 5 {
		w.followers = slices.Delete(w.followers, 0, 1)
	}
	q := rapid.SampledFrom(worldQueries).Draw(rt, "query")
	q.Namespace = w.name
	if rapid.Bool().Draw(rt, "in a service") {
		q.Service = rapid.SampledFrom(worldServices).Draw(rt, "service")
	}
	w.followers = append(w.followers, newFollower(q))
}

// resume begins a follower with what another one knew once.
func (w *world) resume(rt *rapid.T) {
	if len(w.past) == 0 {
		rt.Skip("nobody has followed yet")
	}
	w.followers = append(w.followers, rapid.SampledFrom(w.past).Draw(rt, "past").clone())
}

func (f *follower) clone() *follower {
	c := *f
	c.held, c.seen, c.whole = maps.Clone(f.held), maps.Clone(f.seen), nil
	return &c
}

// page has one follower take in one page.
func (w *world) page(t *testing.T, rt *rapid.T) {
	if len(w.followers) == 0 {
		rt.Skip("nobody follows")
	}
	f := rapid.SampledFrom(w.followers).Draw(rt, "follower")
	complete, err := f.step(t.Context(), w.Backend, rapid.IntRange(0, 3).Draw(rt, "limit"), backend.Read{})
	if err != nil {
		rt.Fatalf("List(%s since %d): %v", f.query.Scope, f.at.Revision, err)
	}
	if complete {
		w.past = append(w.past, f.clone())
	}
}

// exact has all followers finish and compares them with what there is.
func (w *world) exact(t *testing.T, rt *rapid.T) {
	for _, f := range w.followers {
		limit := rapid.IntRange(0, 3).Draw(rt, "limit")
		if f.next != "" { // the pages under way may be from before the newest changes
			if err := f.complete(t.Context(), w.Backend, limit, backend.Read{}); err != nil {
				rt.Fatal(err)
			}
		}
		if err := f.complete(t.Context(), w.Backend, limit, linearizable); err != nil {
			rt.Fatal(err)
		}
		diff, err := f.differs(t.Context(), w.Backend)
		if err != nil || diff != "" {
			rt.Fatalf("what a follower of %+v holds, %v (-there +held):\n%s", f.query, err, diff)
		}
	}
}
