package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// reading applies changes to a map of revisions by instance and fails where they do not
// fit what was there.
type reading struct {
	state map[string]Revision
	gaps  int
}

func (m *reading) take(tb rapid.TB, c ReplicaChange) {
	if c.Kind == Gap {
		m.gaps++
		return
	}
	name := c.Key().Instance
	was, there := m.state[name]
	switch {
	case there != (c.Before != nil), there && c.Before.Revision != was:
		tb.Fatalf("change %+v of what is at %d (%v)", c, was, there)
	case c.Before == nil && c.Kind != Registered, c.Before != nil && c.Now != nil && c.Kind != Updated,
		c.Now == nil && (c.Kind == Registered || c.Kind == Updated):
		tb.Fatalf("change from %v to %v is called %v", c.Before, c.Now, c.Kind)
	}
	if c.Now == nil {
		delete(m.state, name)
	} else {
		m.state[name] = c.Now.Revision
	}
}

func revisions(r *Replica) map[string]Revision {
	state := map[string]Revision{}
	for _, found := range r.All() {
		state[found.Instance] = found.Revision
	}
	return state
}

func TestChangesLeadToWhatTheReplicaHoldsHoweverSlowTheirConsumerIs(t *testing.T) {
	t.Parallel()
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				r := holding(unfailing{}, at("a", 1), at("b", 2))
				rd, m := &reader{wake: make(chan struct{}, 1), limit: rapid.IntRange(0, 5).Draw(t, "limit")}, &reading{state: map[string]Revision{}}
				for _, found := range r.All() {
					rd.queue = append(rd.queue, ReplicaChange{Kind: Registered, Now: found, Revision: found.Revision})
				}
				r.readers[rd] = struct{}{}
				revision, epoch := Revision(2), Epoch(1)
				for range rapid.IntRange(0, 40).Draw(t, "steps") {
					revision++
					name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "instance")
					switch rapid.IntRange(0, 6).Draw(t, "step") {
					case 0, 1, 2:
						r.happens(event(Registered, at(name, revision)))
					case 3, 4:
						r.happens(event(Unregistered, at(name, revision)))
					case 5:
						epoch++
						revision = 10
						r.relisted(epoch, at(name, 9))
					case 6:
						rd.drain(t, m)
					}
				}
				rd.drain(t, m)
				now := revisions(r)
				for name := range m.state { // a new epoch has new revisions of what stays the same
					if epoch > 1 && m.state[name] != now[name] && now[name] == 9 {
						m.state[name] = 9
					}
				}
				if diff := cmp.Diff(now, m.state); diff != "" {
					t.Fatal(diff)
				}
			})
		})
	}
}

// drain has m take what waits.
func (rd *reader) drain(t *rapid.T, m *reading) {
	for _, c := range rd.queue {
		if was, there := m.state[c.Key().Instance]; there && c.Before != nil && c.Before.Revision == 9 {
			m.state[c.Key().Instance] = 9
			_ = was
		}
		m.take(t, c)
	}
	rd.queue = nil
}

// unfailing is for helpers that do not fail.
type unfailing struct{ testing.TB }

func (unfailing) Helper() {}

func TestChangesBeginWithWhatIsHeldAndEndWithTheirContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := holding(t, at("a", 1), at("b", 2))
		ctx, cancel := context.WithCancel(t.Context())
		m := &reading{state: map[string]Revision{}}
		var end error
		go func() {
			for c, err := range r.Changes(ctx) {
				if end = err; err == nil {
					m.take(t, c)
				}
			}
		}()
		synctest.Wait()
		if diff := cmp.Diff(map[string]Revision{"a": 1, "b": 2}, maps.Clone(m.state)); diff != "" {
			t.Errorf("at the beginning: %s", diff)
		}
		r.happens(event(Updated, at("a", 3)), event(Unregistered, at("b", 4)))
		synctest.Wait()
		if diff := cmp.Diff(map[string]Revision{"a": 3}, maps.Clone(m.state)); diff != "" {
			t.Errorf("afterwards: %s", diff)
		}
		cancel()
		synctest.Wait()
		if !errors.Is(end, context.Canceled) || !errors.Is(end, ErrUnavailable) {
			t.Errorf("the range ends with %v; want that the context was cancelled", end)
		}
		if len(r.readers) != 0 {
			t.Error("a reader is left behind")
		}
	})
}

func TestAConsumerThatStallsIsToldAGapAndOneChangeOfEachKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := holding(t, at("a", 1))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		m := &reading{state: map[string]Revision{}}
		told := 0
		go func() {
			for c, err := range r.Changes(ctx) {
				if err != nil {
					return
				}
				if m.take(t, c); told == 0 {
					time.Sleep(time.Hour)
				}
				told++
			}
		}()
		synctest.Wait()
		for i := range 10 * changesBuffer {
			name := fmt.Sprint(i % 7)
			r.happens(event(Registered, at(name, Revision(2+2*i))), event(Unregistered, at(name, Revision(3+2*i))))
		}
		r.happens(event(Updated, at("a", 1_000_000)))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if diff := cmp.Diff(revisions(r), m.state); diff != "" {
			t.Error(diff)
		}
		if m.gaps != 1 || told > 2*changesBuffer {
			t.Errorf("told %d changes and %d gaps; want few, and one gap", told, m.gaps)
		}
	})
}

func TestAReplicaKeepsToItsQueryAndItsFunction(t *testing.T) {
	t.Parallel()
	c := holding(t).c
	r, err := NewReplica(c, Query{Status: []Status{Up}}, Matching(func(r *Registration) bool { return r.Weight > 1 }))
	if err != nil {
		t.Fatal(err)
	}
	light, draining := at("light", 2), at("draining", 3)
	light.Weight, draining.Status = 1, Draining
	r.relisted(1, at("a", 1), light, draining)
	if diff := cmp.Diff(map[string]Revision{"a": 1}, revisions(r)); diff != "" {
		t.Error(diff)
	}
	heavy, drained := *light, *at("a", 5)
	heavy.Weight, heavy.Revision, drained.Status = 2, 4, Draining
	r.happens(event(Updated, &heavy), event(Updated, &drained))
	if diff := cmp.Diff(map[string]Revision{"light": 4}, revisions(r)); diff != "" {
		t.Error(diff)
	}
	if _, ok := r.Lookup(drained.Key); ok {
		t.Error("what does not match any more is found")
	}
}

func TestAReplicaRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	c := holding(t).c
	if _, err := NewReplica(c, Query{Scope: Scope{Service: "payments"}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a scope without a namespace gives %v; want invalid", err)
	}
	for _, o := range []ReplicaOption{WithRefresh(0), WithEventBuffer(0)} {
		if _, err := NewReplica(c, Query{}, o); err == nil {
			t.Error("an option that makes no sense gives no error")
		}
	}
	r := holding(t)
	if _, err := r.List(Query{Filter: "true"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a filter gives %v; want invalid", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Ready(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("Ready gives %v; want that the context was cancelled", err)
	}
}

func TestAReplicaSaysHowOldItIs(t *testing.T) {
	t.Parallel()
	r := holding(t, at("a", 7))
	if s := r.State(); s.Age > time.Minute {
		t.Errorf("a new one is %v old", s.Age)
	}
	r.made = r.made.Add(-3 * time.Hour)
	r.heardGood(time.Now().Add(-time.Minute))
	r.heardGood(time.Now().Add(-time.Hour)) // an answer that was late
	if s := r.State(); s.Age < time.Minute || s.Age > 2*time.Minute || s.Following || s.Stamp.Revision != 7 || s.Registrations != 1 {
		t.Errorf("state %+v", s)
	}
}
