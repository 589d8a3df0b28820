package clock_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/keeper/clock"
)

// deafened has n hear nothing for d, which is too short to cost its tenure: NATS is away, or
// with stall stands still and answers afterwards.
func (n *node) deafened(t *testing.T, d time.Duration, stall bool) {
	t.Helper()
	again := make(chan struct{})
	reach := func(ctx context.Context) error {
		if !stall {
			return backend.ErrUnavailable
		}
		select {
		case <-again:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	n.door.change(func(d *door) {
		if stall {
			d.settle = func() { <-again }
		} else {
			d.fails = 1 << 20
		}
	})
	n.door.reach.Store(&reach)
	time.Sleep(d)
	n.door.reach.Store(nil)
	close(again)
	n.door.change(func(d *door) { d.fails, d.settle = 0, nil })
	if tenure, _ := n.keeper.Tenure(); tenure.Term != 1 {
		t.Fatalf("term %d; want the first still", tenure.Term)
	}
}

// TestAnOutageOfNATSThatDoesNotCostTheTenureEndsNobody is L3 and R4: nobody could be heard,
// and the clients are yet to come back.
func TestAnOutageOfNATSThatDoesNotCostTheTenureEndsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		n.livesFor(t, "x", ttl-500*time.Millisecond)
		n.deafened(t, 3*time.Second, false)
		n.endsIn(t, "x", backend.ReasonExpired, ttl+keeper.Validity, ttl+keeper.Validity+2*late)
	})
}

// TestAfterAnOutageTheFirstKeepaliveStartsAnOrdinaryClock is L2.
func TestAfterAnOutageTheFirstKeepaliveStartsAnOrdinaryClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		n.deafened(t, time.Second, false)
		time.Sleep(time.Second)
		n.beat(t, "x")
		n.endsIn(t, "x", backend.ReasonExpired, ttl, ttl+late)
	})
}

// TestWhereNATSStandsStillSoDoTheClocks is L3: what clients have sent lies in its sockets.
func TestWhereNATSStandsStillSoDoTheClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		n.livesFor(t, "x", ttl-time.Second)
		n.deafened(t, 1500*time.Millisecond, true)
		n.endsIn(t, "x", backend.ReasonExpired, 800*time.Millisecond, time.Second+2*late)
	})
}

// TestAnOutageRestoresNoSuspect is L4: a connection that its client has closed before does
// not come back.
func TestAnOutageRestoresNoSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grantOn(t, "x", ttl, clock.Connection{Server: "s", Client: 1})
		n.Disconnected(clock.Connection{Server: "s", Client: 1})
		n.livesFor(t, "x", time.Second)
		n.deafened(t, 3*time.Second, false)
		n.endsIn(t, "x", backend.ReasonClosed, 800*time.Millisecond, time.Second+2*late)
	})
}
