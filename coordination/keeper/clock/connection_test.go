package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/keeper/clock"
)

// after is how long after the grace a lease may end. L4.
const after = 100 * time.Millisecond

const grace = 2 * time.Second // what the tests' leases have

func conn(client uint64) clock.Connection { return clock.Connection{Server: "s", Client: client} }

// TestALeaseWhoseConnectionIsClosedEndsAfterItsGrace is L4.
func TestALeaseWhoseConnectionIsClosedEndsAfterItsGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grantOn(t, "x", ttl, conn(1))
		n.grantOn(t, "y", ttl, conn(1)) // they share one
		n.grantOn(t, "z", ttl, conn(2))
		time.Sleep(time.Second)
		n.Disconnected(conn(1))
		if h := n.Health(); h != (clock.Health{Leases: 3, Suspects: 2}) {
			t.Errorf("Health() = %+v; want 2 suspects", h)
		}
		if status, err := n.Get(t.Context(), "x"); err != nil || status.State != clock.Suspect || status.Remaining != grace {
			t.Errorf("Get() = %+v, %v; want it suspect, with its grace", status, err)
		}
		n.endsIn(t, "x", backend.ReasonClosed, grace, grace+after)
		if e, ok := n.end("y"); !ok || e.reason != backend.ReasonClosed {
			t.Errorf("y ended: %t as %q; want it with x", ok, e.reason)
		}
		if _, ok := n.end("z"); ok {
			t.Error("z has ended, whose connection is open")
		}
		if h := n.Health(); h != (clock.Health{Leases: 1}) {
			t.Errorf("Health() afterwards = %+v; want one lease", h)
		}
	})
}

// TestALeaseWithoutGraceEndsAtOnceWithItsConnection is L4.
func TestALeaseWithoutGraceEndsAtOnceWithItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		if _, err := n.Grant(t.Context(), clock.Request{Owner: "x", TTL: ttl, Connection: conn(1)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1234 * time.Millisecond)
		n.Disconnected(conn(1))
		time.Sleep(10 * time.Millisecond)
		if e, ok := n.end("x"); !ok || e.reason != backend.ReasonClosed {
			t.Errorf("ended: %t as %q; want it closed at once", ok, e.reason)
		}
	})
}

// TestAKeepaliveRestoresASuspect is L1.
func TestAKeepaliveRestoresASuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grantOn(t, "x", ttl, conn(1))
		n.Disconnected(conn(1))
		time.Sleep(grace - time.Millisecond)
		n.beatOn(t, "x", conn(2))
		if h := n.Health(); h.Suspects != 0 {
			t.Errorf("Health() = %+v; want no suspects", h)
		}
		n.Disconnected(conn(1)) // once more, and late
		n.endsIn(t, "x", backend.ReasonExpired, ttl, ttl+late)
	})
}

// TestAKeepaliveOfManyIsHeardOfThoseThatLive is L1: one that is unknown leaves the answer
// to Keepalive, and keeps nobody out.
func TestAKeepaliveOfManyIsHeardOfThoseThatLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grantOn(t, "x", ttl, conn(1))
		n.grantOn(t, "y", ttl, conn(1))
		time.Sleep(ttl / 2)
		if _, all := n.TouchAll(namesOf([]string{"x", "unknown", "y"}), conn(2)); all {
			t.Error("an unknown lease was counted")
		}
		if beat, all := n.TouchAll(namesOf([]string{"x", "y"}), conn(2)); !all || beat.TTL != ttl || beat.Grace != grace {
			t.Errorf("TouchAll() = %+v, %t; want the answer of a lease", beat, all)
		}
		n.Disconnected(conn(1))
		if h := n.Health(); h.Suspects != 0 {
			t.Errorf("Health() = %+v; want both on their new connection", h)
		}
		n.endsIn(t, "x", backend.ReasonExpired, ttl, ttl+late)
		if _, ok := n.end("y"); !ok {
			t.Error("y lives longer than x")
		}
	})
}

// TestAStaleConnectionThatIsClosedChangesNothing is L1: only the newest one told counts.
func TestAStaleConnectionThatIsClosedChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grantOn(t, "x", ttl, conn(1))
		n.beatOn(t, "x", conn(2))
		n.Disconnected(conn(1))
		n.Disconnected(clock.Connection{Server: "another", Client: 2})
		n.Disconnected(clock.Connection{})
		n.Disconnected(conn(99))
		n.endsIn(t, "x", backend.ReasonExpired, ttl, ttl+late)
	})
}

// TestAKeepaliveThatTellsNoConnectionLeavesTheKnownOne is L4.
func TestAKeepaliveThatTellsNoConnectionLeavesTheKnownOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grantOn(t, "x", ttl, conn(1))
		n.beat(t, "x")
		n.Disconnected(conn(1))
		n.endsIn(t, "x", backend.ReasonClosed, grace, grace+after)
	})
}

// TestAConnectionThatIsToldAfterItWasClosedMakesASuspect is L4: the event has overtaken the
// grant.
func TestAConnectionThatIsToldAfterItWasClosedMakesASuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.Disconnected(conn(1))
		n.grantOn(t, "x", ttl, conn(1))
		n.grantOn(t, "y", ttl, conn(2))
		n.Disconnected(conn(3))
		n.beatOn(t, "y", conn(3))
		n.endsIn(t, "x", backend.ReasonClosed, grace, grace+after)
		if e, ok := n.end("y"); !ok || e.reason != backend.ReasonClosed {
			t.Errorf("y ended: %t as %q; want it closed", ok, e.reason)
		}
	})
}

// TestAGraceThatIsLongerThanWhatIsLeftOfTheTTLChangesNothing is L2.
func TestAGraceThatIsLongerThanWhatIsLeftOfTheTTLChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grantOn(t, "x", ttl, conn(1))
		time.Sleep(ttl - time.Second)
		n.Disconnected(conn(1))
		n.endsIn(t, "x", backend.ReasonExpired, time.Second, time.Second+late)
	})
}

// TestAClosedConnectionIsForgottenInTime keeps what is remembered of them small.
func TestAClosedConnectionIsForgottenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		for i := range uint64(100) {
			n.Disconnected(conn(i + 1))
			time.Sleep(2 * time.Second)
		}
		if got := n.ClosedConnections(); got > 50 {
			t.Errorf("%d closed connections are remembered; want the latest", got)
		}
	})
}
