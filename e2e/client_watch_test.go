package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// mirror is the state that the events of a watch lead to.
type mirror struct {
	state  map[string]client.Revision // by instance
	newest client.Revision
	gaps   int
}

// take applies e and fails if it leads back or removes what is not there.
func (m *mirror) take(t *testing.T, e client.Event) {
	t.Helper()
	if e.Kind == client.Gap {
		m.gaps++
		return
	}
	name := e.Registration.Instance
	before, was := m.state[name]
	if e.Revision <= before {
		t.Errorf("%s goes back from revision %d to %d", name, before, e.Revision)
	}
	m.newest = max(m.newest, e.Revision)
	if e.Kind.Removes() {
		if !was && m.gaps == 0 {
			t.Errorf("%s is removed and was not there", name)
		}
		delete(m.state, name)
		return
	}
	m.state[name] = e.Revision
}

// truth returns what the registry has.
func truth(t *testing.T, c *client.Client) map[string]client.Revision {
	t.Helper()
	state := map[string]client.Revision{}
	q := client.Query{Scope: client.Scope{Namespace: "default", Service: "payments"}}
	q.Consistency = client.Linearizable
	for r, err := range c.All(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		state[r.Instance] = r.Revision
	}
	return state
}

// follow applies the events of a watch until the registration called last is there.
func follow(t *testing.T, m *mirror, changes func(func(client.Event, error) bool), last string, each func()) {
	t.Helper()
	for e, err := range changes {
		if err != nil {
			t.Fatal(err)
		}
		m.take(t, e)
		if _, done := m.state[last]; done {
			return
		}
		if each != nil {
			each()
		}
	}
	t.Fatal("the watch ended")
}

func watchPayments(ctx context.Context, c *client.Client) func(func(client.Event, error) bool) {
	return c.Watch(ctx, client.Query{Scope: client.Scope{Namespace: "default", Service: "payments"}}, 0)
}

// R7, for the client's Watch: NATS goes away, the registry changes, and the watch ends
// with exactly its state.
func TestAWatchSurvivesRestartsOfNATSAndEndsExact(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	prefix := startRegistry(t, srv, "").prefix
	watching := connectClient(t, srv, prefix)
	writing := connectClient(t, srv, prefix)
	m := &mirror{state: map[string]client.Revision{}}
	changes := watchPayments(t.Context(), watching)

	wrote := make(chan error, 1)
	go func() {
		wrote <- func() error {
			for round := range 3 {
				for i := range 100 {
					name := fmt.Sprintf("i-%d", i%30)
					r := client.Registration{Key: paymentsKey(name), Weight: uint16(round*1000 + i)}
					if _, _, err := writing.Register(t.Context(), r, client.Write{}); err != nil && !errors.Is(err, client.ErrUnknownOutcome) {
						return err
					}
					if i%3 == 0 {
						if _, _, err := writing.Unregister(t.Context(), r.Key, client.Write{}); err != nil && !errors.Is(err, client.ErrUnknownOutcome) {
							return err
						}
					}
				}
				srv.Stop()
				srv.Restart(t)
			}
			_, _, err := writing.Register(t.Context(), payments("last"), client.Write{})
			return err
		}()
	}()
	follow(t, m, changes, "last", nil)
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(truth(t, writing), m.state); diff != "" {
		t.Error(diff)
	}
	if m.gaps == 0 {
		t.Error("no gap was told although the connection was lost")
	}
}

func TestAWatchSlowerThanTheChangesIsToldOfTheGapAndEndsExact(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes eleven thousand registrations")
	}
	t.Parallel()
	srv := natstest.Start(t)
	prefix := startRegistry(t, srv, "").prefix
	watching := connectClient(t, srv, prefix)
	writing := connectClient(t, srv, prefix)
	m := &mirror{state: map[string]client.Revision{}}
	changes := watchPayments(t.Context(), watching)
	if _, _, err := writing.Register(t.Context(), payments("first"), client.Write{}); err != nil {
		t.Fatal(err)
	}

	stalled, ended := false, false
	follow(t, m, changes, "end", func() {
		if _, repaired := m.state["last"]; repaired && !ended {
			ended = true // the rest of the repair comes before this
			if _, _, err := writing.Register(t.Context(), payments("end"), client.Write{}); err != nil {
				t.Fatal(err)
			}
		}
		if stalled {
			return
		}
		stalled = true // the consumer is busy while more happens than is kept for it
		for round := range 11 {
			operations := make([]client.Operation, 1000)
			for i := range operations {
				r := payments(fmt.Sprintf("i-%d", i))
				r.Weight = uint16(round)
				operations[i] = client.Operation{Kind: client.OpRegister, Registration: r}
			}
			if _, _, err := writing.Batch(t.Context(), operations, false); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := writing.Unregister(t.Context(), paymentsKey("first"), client.Write{}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := writing.Register(t.Context(), payments("last"), client.Write{}); err != nil {
			t.Fatal(err)
		}
	})
	want := truth(t, writing)
	if diff := cmp.Diff(want, maps.Clone(m.state)); diff != "" {
		t.Error(diff)
	}
	if m.gaps == 0 {
		t.Error("no gap was told although events were dropped")
	}
}

func TestAWatchIsRangedOverTwiceOrNotAtAllWithoutHarm(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	c, err := client.New(nc, client.WithPrefix(startRegistry(t, srv, "").prefix))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	watchPayments(ctx, c) // never ranged over
	changes := watchPayments(ctx, c)
	if _, _, err := c.Register(t.Context(), payments("i-1"), client.Write{}); err != nil {
		t.Fatal(err)
	}
	for e, err := range changes {
		if err != nil || e.Registration.Instance != "i-1" {
			t.Errorf("got %v, %v; want i-1", e, err)
		}
		break
	}
	for e, err := range changes { // what was told is in the past now, and told again
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == client.Gap {
			continue
		}
		if e.Registration.Instance != "i-1" {
			t.Errorf("the second range yields %v; want i-1", e)
		}
		break
	}
	cancel()
	natstest.Await(t, "end of all subscriptions but that for replies", func() bool { return nc.NumSubscriptions() <= 1 })
}
