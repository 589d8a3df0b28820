package e2e_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/memory"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/e2e/natstest"
)

// rising is a registry whose epoch a test raises.
type rising struct {
	backend.Backend
	epoch atomic.Uint32
}

// Health is what a node finds out by how far it has come.
func (r *rising) Health(ctx context.Context) (backend.Health, error) {
	h, err := r.Backend.Health(ctx)
	h.Stamp.Epoch = backend.Epoch(r.epoch.Load())
	return h, err
}

// The revision of an end is not of an epoch that has begun before it was answered: a client
// that took it for one would take whatever it has sent for new, however long that has been on
// its way. R1.
func TestTheRevisionOfAnEndIsOfNoLaterEpoch(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	b := &rising{Backend: memory.New(backend.Nobody)}
	t.Cleanup(func() { b.Close() })
	b.epoch.Store(5)
	leases, err := server.NewLeases(srv.Connect(t), b, server.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	w := &leaseWire{wireWorld: &wireWorld{nc: srv.Connect(t)}, clockwork: newClockwork(), leases: leases}
	if err := leases.OpenTo(t.Context(), w.clockwork); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leases.Close)
	w.clockwork.grantTo(secretOf(1))
	w.clockwork.hold(func() {
		w.clockwork.revoke = func(context.Context) error {
			b.epoch.Store(6)
			w.grantOf(t, secretOf(2), time.Minute) // after which this node has seen it
			return nil
		}
	})
	reply := w.ask(t, "lease.revoke", `{"lease":"`+secretOf(1)+`"}`)
	revision, err := strconv.Atoi(reply.Header.Get(bus.HeaderRevision))
	if epoch := reply.Header.Get(bus.HeaderEpoch); err != nil || revision != 99 || epoch != "5" {
		t.Errorf("the end is at %d of epoch %s, %v; want 99 of 5", revision, epoch, err)
	}
}
