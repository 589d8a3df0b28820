package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// R2 on one node, and R6: NATS is stopped and started again and again while clients
// register, update, unregister and list.
func TestARestartOfNATSUnderLoadLosesNoAcknowledgedWriteAndShowsNoEmptyList(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	prefix := startRegistry(t, srv, "").prefix
	c := connectClient(t, srv, prefix)
	if _, _, err := c.Register(t.Context(), payments("always"), client.Write{}); err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	writers := make([]*faultWriter, 4)
	var acknowledged atomic.Int64
	for i := range writers {
		writers[i] = &faultWriter{c: connectClient(t, srv, prefix), name: fmt.Sprint("w-", i), done: &acknowledged}
		load.Go(func() { writers[i].run(ctx, t) })
	}
	for range 2 {
		reader := connectClient(t, srv, prefix)
		load.Go(func() { readAlways(ctx, t, reader) })
	}
	for range 3 {
		before := acknowledged.Load()
		natstest.Await(t, "progress of the writers", func() bool { return acknowledged.Load() > before+200 })
		srv.Stop()
		srv.Restart(t)
	}
	before := acknowledged.Load()
	natstest.Await(t, "progress after the last restart", func() bool { return acknowledged.Load() > before+50 })
	stop()
	load.Wait()

	unknown := 0
	for _, w := range writers {
		w.check(t, c)
		unknown += w.unknown
	}
	t.Logf("%d writes acknowledged, %d of unknown outcome", acknowledged.Load(), unknown)
}

// faultWriter writes to keys of its own and remembers what each must be.
type faultWriter struct {
	c       *client.Client
	name    string
	done    *atomic.Int64
	unknown int

	// possible are the states that each key may be in; 0 is absent. One unless the
	// outcome of its last write is not known.
	possible map[client.Key][]uint16
}

func (w *faultWriter) run(ctx context.Context, t *testing.T) {
	t.Helper()
	w.possible = map[client.Key][]uint16{}
	for i := 0; ctx.Err() == nil; i++ {
		key := paymentsKey(fmt.Sprintf("%s-%d", w.name, i%20))
		weight := uint16(1 + i%60_000)
		next, err := weight, error(nil)
		if i%5 == 4 {
			next = 0
			_, _, err = w.c.Unregister(ctx, key, client.Write{})
		} else {
			_, _, err = w.c.Register(ctx, client.Registration{Key: key, Weight: weight}, client.Write{})
		}
		switch {
		case err == nil:
			w.possible[key] = []uint16{next}
			w.done.Add(1)
		case errors.Is(err, client.ErrUnknownOutcome):
			w.unknown++
			if w.possible[key] == nil {
				w.possible[key] = []uint16{0}
			}
			w.possible[key] = append(w.possible[key], next)
		case !errors.Is(err, client.ErrUnavailable):
			t.Errorf("%s: %v; want unavailable or an unknown outcome", key, err)
		}
	}
}

func (w *faultWriter) check(t *testing.T, c *client.Client) {
	t.Helper()
	for key, possible := range w.possible {
		r, _, err := c.Lookup(t.Context(), key, client.Read{Consistency: client.Linearizable})
		weight := r.Weight
		if errors.Is(err, client.ErrNotFound) {
			weight, err = 0, nil
		}
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		found := false
		for _, p := range possible {
			found = found || p == weight
		}
		if !found {
			t.Errorf("%s has weight %d; the writes to it allow %v", key, weight, possible)
		}
	}
}

// readAlways lists for as long as ctx lasts; what is always there must be in every list.
func readAlways(ctx context.Context, t *testing.T, c *client.Client) {
	t.Helper()
	for ctx.Err() == nil {
		page, _, err := c.List(ctx, client.Query{Scope: client.Scope{Namespace: "default", Service: "payments"}})
		if err != nil {
			if !errors.Is(err, client.ErrUnavailable) {
				t.Errorf("list: %v; want unavailable", err)
			}
			continue
		}
		if len(page.Registrations) == 0 || page.Registrations[0].Instance != "always" {
			t.Errorf("a list of %d lacks what is always there", len(page.Registrations))
		}
	}
}

func TestAClientThatIsThereFirstWaitsForTheRegistry(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	c := connectClient(t, srv, "roost.later")
	registered := make(chan error, 1)
	go func() {
		_, _, err := c.Register(t.Context(), payments("i-1"), client.Write{})
		registered <- err
	}()
	startRegistry(t, srv, "roost.later")
	if err := <-registered; err != nil {
		t.Errorf("register: %v", err)
	}
}

func TestAClientWithoutARegistrySaysSo(t *testing.T) {
	t.Parallel()
	c := connectClient(t, natstest.Start(t), "roost.nobody", client.WithReadTimeout(200*time.Millisecond))
	page, _, err := c.List(t.Context(), client.Query{})
	if page != nil || !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("got %v, %v; want unavailable", page, err)
	}
}

func TestCloseOfABorrowedConnectionLeavesItOpen(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	c, err := client.New(nc, client.WithPrefix(startRegistry(t, srv, "").prefix))
	if err != nil {
		t.Fatal(err)
	}
	changes := c.Watch(t.Context(), client.Query{}, 0)
	subscribed := nc.NumSubscriptions()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, err := range changes {
		if !errors.Is(err, client.ErrClosed) {
			t.Errorf("the watch yields %v; want closed", err)
		}
	}
	natstest.Await(t, "end of the watch's subscription", func() bool { return nc.NumSubscriptions() < subscribed })
	if !nc.IsConnected() {
		t.Error("the connection is closed")
	}
}
