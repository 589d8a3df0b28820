package clock_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/keeper/clock"
)

// crowd grants leases on connections of their own, numbered from 1.
func (n *node) crowd(t *testing.T, many int) []string {
	t.Helper()
	owners := make([]string, many)
	for i := range owners {
		owners[i] = fmt.Sprintf("o%03d", i)
		n.grantOn(t, owners[i], ttl, conn(uint64(i+1)))
	}
	return owners
}

// beats sends a keepalive of every lease of owners every third of the TTL, for d.
func (n *node) beats(t *testing.T, owners []string, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); ; time.Sleep(ttl / 3) {
		for _, owner := range owners {
			n.beat(t, owner)
		}
		if !time.Now().Add(ttl / 3).Before(end) {
			time.Sleep(time.Until(end))
			return
		}
	}
}

// TestWhereAllConnectionsAreLostForLessThanTheHoldNobodyEnds is L5.
func TestWhereAllConnectionsAreLostForLessThanTheHoldNobodyEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		owners := n.crowd(t, 200)
		time.Sleep(time.Second)
		for i := range owners {
			n.Disconnected(conn(uint64(i + 1)))
		}
		time.Sleep(grace + ttl - time.Second)
		if got := n.endings(); got != 0 {
			t.Fatalf("%d have ended", got)
		}
		if h := n.Health(); h != (clock.Health{Leases: 200, Suspects: 200, Held: 200}) {
			t.Errorf("Health() = %+v; want all held", h)
		}
		if status, err := n.Get(t.Context(), owners[7]); err != nil || status.State != clock.Held {
			t.Errorf("Get() = %+v, %v; want it held", status, err)
		}
		for i, owner := range owners {
			n.beatOn(t, owner, conn(uint64(1000+i)))
		}
		if h := n.Health(); h != (clock.Health{Leases: 200}) {
			t.Errorf("Health() after keepalives = %+v; want none held", h)
		}
		n.beats(t, owners, 3*ttl)
		if got := n.endings(); got != 0 {
			t.Errorf("%d have ended afterwards", got)
		}
		if got := n.logs.of("WARN too many leases would end"); len(got) != 1 {
			t.Errorf("logged %q; want one warning", got)
		}
	})
}

// TestAHoldIsOnceAndForOneTTL is L5: those who really died end.
func TestAHoldIsOnceAndForOneTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.crowd(t, 100)
		time.Sleep(2*ttl - time.Nanosecond)
		if got := n.endings(); got != 0 {
			t.Fatalf("%d ended before the hold was over", got)
		}
		time.Sleep(late)
		if got := n.endings(); got != 100 {
			t.Errorf("%d of 100 ended after the hold", got)
		}
		if h := n.Health(); h != (clock.Health{}) {
			t.Errorf("Health() = %+v; want nothing", h)
		}
		if got := n.logs.of("WARN too many leases would end"); len(got) != 1 {
			t.Errorf("logged %q; want one warning", got)
		}
	})
}

// TestAllThatAreSilentForHalfTheirTTLAreHeldTogether is L5: their phases differ.
func TestAllThatAreSilentForHalfTheirTTLAreHeldTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		for i := range 100 {
			n.grant(t, fmt.Sprint("o", i), ttl)
			time.Sleep(30 * time.Millisecond) // the last is 3 s younger than the first
		}
		time.Sleep(ttl - 3*time.Second + late)
		if h := n.Health(); h.Held != 100 || n.endings() != 0 {
			t.Errorf("Health() = %+v, %d ended; want all held", h, n.endings())
		}
		n.endsIn(t, "o0", backend.ReasonExpired, ttl-late, ttl+late)
		n.endsIn(t, "o99", backend.ReasonExpired, 0, 3*time.Second)
	})
}

// TestThreeOfTwentyEndWithinTheirGrace is L5: they were interrupted by hand.
func TestThreeOfTwentyEndWithinTheirGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.crowd(t, 20)
		time.Sleep(time.Second)
		for i := range uint64(3) {
			n.Disconnected(conn(i + 1))
		}
		n.endsIn(t, "o000", backend.ReasonClosed, grace, grace+after)
		if got := n.endings(); got != 3 {
			t.Errorf("%d ended; want 3", got)
		}
	})
}

// TestFewAreNotHeldWhateverTheirShare is L5's minimum.
func TestFewAreNotHeldWhateverTheirShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.crowd(t, 9)
		time.Sleep(ttl + late)
		if got := n.endings(); got != 9 {
			t.Errorf("%d of 9 ended; want all", got)
		}
	})
}

// TestAShareThatIsNotExceededIsNotHeld is L5's share, to one lease.
func TestAShareThatIsNotExceededIsNotHeld(t *testing.T) {
	for silent, held := range map[int]bool{30: false, 31: true} {
		t.Run(fmt.Sprint(silent), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := alone(t, setup{})
				owners := n.crowd(t, 100)
				n.beats(t, owners[silent:], ttl+late)
				if got := n.endings(); (got == 0) != held || !held && got != silent {
					t.Errorf("%d ended; want them held: %t", got, held)
				}
			})
		})
	}
}

// TestOneWhoWasHeldAndCameBackIsHeldAgain is L5: a keepalive clears it.
func TestOneWhoWasHeldAndCameBackIsHeldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		owners := n.crowd(t, 50)
		for range 3 {
			time.Sleep(2*ttl - time.Second)
			if h := n.Health(); h.Held != 50 || n.endings() != 0 {
				t.Fatalf("Health() = %+v, %d ended; want all held", h, n.endings())
			}
			for _, owner := range owners {
				n.beat(t, owner)
			}
		}
		if got := n.logs.of("WARN too many leases would end"); len(got) != 3 {
			t.Errorf("%d warnings; want one each time", len(got))
		}
	})
}

// TestAConnectionThatIsClosedWhileItsLeaseIsHeldDoesNotCutTheHold is L5.
func TestAConnectionThatIsClosedWhileItsLeaseIsHeldDoesNotCutTheHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.crowd(t, 20)
		time.Sleep(ttl + late)
		for i := range uint64(20) {
			n.Disconnected(conn(i + 1))
		}
		time.Sleep(ttl - late - time.Nanosecond)
		if h := n.Health(); n.endings() != 0 || h.Held != 20 || h.Suspects != 20 {
			t.Errorf("%d ended, Health() = %+v; want all held and suspect", n.endings(), h)
		}
	})
}

// TestARevocationIsNotHeldBack is L5: it is no silence.
func TestARevocationIsNotHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.crowd(t, 20)
		time.Sleep(ttl + late)
		if _, err := n.Revoke(t.Context(), "o003", ""); err != nil {
			t.Errorf("Revoke() = %v", err)
		}
		if e, ok := n.end("o003"); !ok || e.reason != backend.ReasonRevoked || n.Health().Held != 19 {
			t.Errorf("ended: %t as %q, %+v; want it revoked, and the others held", ok, e.reason, n.Health())
		}
	})
}
