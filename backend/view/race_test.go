package view_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
)

// copier follows a view by the rules of Watch and ends when it has seen revision last.
type copier struct {
	held map[string]backend.Revision
	gaps int
}

func (c *copier) run(ctx context.Context, v *view.View, last backend.Revision, slow func()) error {
	for e, err := range v.Watch(ctx, backend.Query{}, nil, 1) {
		if err != nil {
			return err
		}
		slow()
		switch {
		case e.Kind == backend.Gap:
			c.gaps++
			continue
		case e.Kind.Removes():
			delete(c.held, e.Registration.String())
		default:
			c.held[e.Registration.String()] = e.Revision
		}
		if e.Revision == last {
			return nil
		}
	}
	return nil
}

// history makes n changes of few keys, the last of them at revision n+1.
func history(n int) []view.Change {
	random := rand.New(rand.NewPCG(1, 2))
	live := map[backend.Key]bool{}
	var changes []view.Change
	for i := range n {
		revision := backend.Revision(i + 2)
		k := key([]string{"a", "b", "c"}[random.IntN(3)], fmt.Sprint(random.IntN(100)))
		if live[k] && random.IntN(3) == 0 && i < n-1 {
			changes = append(changes, removal(revision, k))
			live[k] = false
			continue
		}
		changes = append(changes, put(revision, k, backend.Metadata(fmt.Sprintf(`{"n":%d,"region":"eu"}`, i%7))))
		live[k] = true
	}
	return changes
}

func TestReadersWritersAndSlowWatchersAgree(t *testing.T) {
	t.Parallel()
	v := view.New(1, view.WithWatchBuffer(16), view.WithSizes(8, 16, 4))
	v.Advance(1)
	changes := history(6000)
	last := changes[len(changes)-1].Revision
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var watching, reading sync.WaitGroup
	copies := make([]*copier, 4)
	for i := range copies {
		copies[i] = &copier{held: map[string]backend.Revision{}}
		watching.Go(func() {
			n := 0
			slow := func() {
				if n++; i > 0 && n%(10*i) == 0 {
					if err := v.Wait(ctx, min(v.Stamp().Revision+50, last)); err != nil {
						t.Error(err)
					}
				}
			}
			if err := copies[i].run(ctx, v, last, slow); err != nil {
				t.Errorf("watch: %v", err)
			}
		})
	}
	done := make(chan struct{})
	for range 2 {
		reading.Go(func() { read(t, v, done) })
	}
	for i, c := range changes {
		v.Apply(c.Revision, c)
		if i%2000 == 1000 {
			again(v, changes[:i+1])
		}
	}
	watching.Wait()
	close(done)
	reading.Wait()
	page, _, err := v.List(t.Context(), backend.Query{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := keysOf(page.Registrations)
	gaps := 0
	for i, c := range copies {
		gaps += c.gaps
		if len(c.held) != len(want) {
			t.Errorf("watcher %d ends with %d registrations; want %d", i, len(c.held), len(want))
		}
		for _, r := range page.Registrations {
			if c.held[r.String()] != r.Revision {
				t.Errorf("watcher %d has %s at %d; want %d", i, r.Key, c.held[r.String()], r.Revision)
			}
		}
	}
	if gaps == 0 {
		t.Error("no watcher was slow enough to miss anything")
	}
	if n := v.Watchers(); n != 0 {
		t.Errorf("%d watchers are left", n)
	}
}

// again rebuilds v from what the changes come to.
func again(v *view.View, changes []view.Change) {
	b := v.Rebuild()
	b.Apply(changes...)
	at := changes[len(changes)-1].Revision
	b.Commit(view.Snapshot{Epoch: 1, Revision: at, Floor: 1})
}

// read checks what must hold at any moment.
func read(t *testing.T, v *view.View, done chan struct{}) {
	t.Helper()
	service := backend.Query{Scope: backend.Scope{Namespace: "default", Service: "a"}}
	where := backend.Query{Where: map[string]backend.Scalar{"n": "3", "region": `"eu"`}, Limit: 10}
	var newest backend.Revision
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
		}
		k := key("a", fmt.Sprint(i%100))
		if r, stamp := v.Lookup(k); stamp.Revision < newest || r != nil && r.Key != k {
			t.Errorf("Lookup(%s) = %v at %d after %d", k, r, stamp.Revision, newest)
		} else {
			newest = stamp.Revision
		}
		for _, q := range []backend.Query{service, where, {Where: where.Where, Scope: service.Scope}} {
			page, stamp, err := v.List(t.Context(), q, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if stamp.Revision < newest {
				t.Errorf("List at %d after %d", stamp.Revision, newest)
			}
			if keys := keysOf(page.Registrations); !slices.IsSorted(keys) || len(slices.Compact(keys)) != len(page.Registrations) {
				t.Errorf("List is not in order or has a key twice: %v", keys)
			}
			for _, r := range page.Registrations {
				if !q.MatchesPlain(r) {
					t.Errorf("%s does not match %v", r.Key, q)
				}
			}
		}
		if _, _, err := v.List(t.Context(), after(service, newest), nil); err != nil {
			t.Error(err)
		}
	}
}
