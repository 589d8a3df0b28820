package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/keeper/clock"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
)

const ttl = 10 * time.Second

// late is how late an ending may be. L2.
const late = 250 * time.Millisecond

// TestASilentLeaseEndsAtItsTTLAndNoEarlier is L1 and L2.
func TestASilentLeaseEndsAtItsTTLAndNoEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		n.endsIn(t, "x", backend.ReasonExpired, ttl, ttl+late)
	})
}

// TestAKeepaliveStartsTheTTLAnew is L1 and L2.
func TestAKeepaliveStartsTheTTLAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		for range 5 {
			n.livesFor(t, "x", ttl-time.Millisecond)
			if beat, ok := n.Touch("x", clock.Connection{}); !ok || beat != (clock.Beat{TTL: ttl, Grace: 2 * time.Second, Term: 1}) {
				t.Fatalf("Touch() = %v, %t", beat, ok)
			}
		}
		n.livesFor(t, "x", ttl-time.Millisecond)
		n.beat(t, "x")
		n.endsIn(t, "x", backend.ReasonExpired, ttl, ttl+late)
	})
}

// TestTenThousandLeasesEndTogetherInTime is L2 with a store of which a batch takes 5 ms.
func TestTenThousandLeasesEndTogetherInTime(t *testing.T) {
	everything := func(c *clock.Config) { c.HoldShare = 1 }
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{cfg: everything})
		owners := n.grants(t, 10_000, ttl)
		n.gates.delay(2500 * time.Microsecond) // each way
		time.Sleep(ttl - 1)
		if got := n.endings(); got != 0 {
			t.Fatalf("%d ended before their TTL", got)
		}
		time.Sleep(late + 1)
		if got := n.endings(); got != len(owners) {
			t.Errorf("%d of %d have ended after TTL + %v", got, len(owners), late)
		}
		if got := n.logs.of("INFO leases ended"); len(got) == 0 || len(got) > 11 {
			t.Errorf("%d summaries in the log; want one a batch: %v", len(got), got)
		}
		if got := len(n.logs.of("DEBUG lease ended")) + len(n.logs.of("INFO lease ended")); got != len(owners) {
			t.Errorf("%d endings in the log; want each once", got)
		}
	})
}

func TestAnEndingIsLoggedOnceWithWhatItIsOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		if _, err := n.Grant(t.Context(), clock.Request{Owner: "x", Name: "payments", TTL: ttl}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(ttl + late)
		got := n.logs.of("INFO lease ended")
		want := "INFO lease ended owner=x name=payments reason=expired revision="
		if len(got) != 1 || got[0][:len(want)] != want || got[0][len(got[0])-len(" term=1"):] != " term=1" {
			t.Errorf("logged %q; want one %q…", got, want)
		}
	})
}

// TestWhatHadArrivedCountsBeforeAnEndingIsDecided is L1: a keepalive lay in a queue while
// its lease came due.
func TestWhatHadArrivedCountsBeforeAnEndingIsDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		n.door.change(func(d *door) {
			d.settle = func() {
				if _, ok := n.Touch("x", clock.Connection{}); !ok {
					t.Error("Touch() = false while the Door settles")
				}
				d.settle = nil
			}
		})
		n.endsIn(t, "x", backend.ReasonExpired, 2*ttl, 2*ttl+2*late)
	})
}

// TestADoorThatCannotSettleEndsNobody is L1: what had arrived may not have counted.
func TestADoorThatCannotSettleEndsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		n.door.change(func(d *door) { d.fails = 20 })
		n.livesFor(t, "x", ttl+500*time.Millisecond)
		n.door.change(func(d *door) { d.fails = 0 })
		n.beat(t, "x")
		n.endsIn(t, "x", backend.ReasonExpired, ttl, ttl+late)
	})
}

// TestAKeepaliveOfALeaseThatIsEndingWaitsAndIsToldTheOutcome is L1.
func TestAKeepaliveOfALeaseThatIsEndingWaitsAndIsToldTheOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		time.Sleep(ttl - time.Millisecond)
		n.gates.delay(200 * time.Millisecond) // each way
		time.Sleep(100 * time.Millisecond)
		if _, ok := n.Touch("x", clock.Connection{}); ok {
			t.Error("Touch() = true while the ending is under way")
		}
		begin := time.Now()
		_, expired, err := n.Keepalive(t.Context(), []string{"x"}, clock.Connection{})
		if err != nil || len(expired) != 1 || time.Since(begin) < 200*time.Millisecond {
			t.Errorf("Keepalive() = %v, %v after %v; want it to wait and be expired", expired, err, time.Since(begin))
		}
		if _, ok := n.end("x"); !ok {
			t.Error("expired was said of a lease that had not ended")
		}
	})
}

// TestARecordThatSomebodyHasSpoiltKeepsNoOtherFromEnding is L2.
func TestARecordThatSomebodyHasSpoiltKeepsNoOtherFromEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		for _, owner := range []string{"v", "w", "x", "y", "z"} {
			n.grant(t, owner, ttl)
		}
		synctest.Wait()
		l, _ := n.table.Get("x")
		if _, err := n.gates.Store.Write(t.Context(), kvstore.Write{Key: lease.Key("x"), Value: []byte("spoilt"), Expect: l.Revision}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(ttl + late)
		for _, owner := range []string{"v", "w", "y", "z"} {
			if _, ok := n.end(owner); !ok {
				t.Errorf("%s has not ended", owner)
			}
		}
	})
}

// TestALeaseWhoseEndingFailsLives is L1: the batch was not done, and a keepalive that waited
// for it is acknowledged.
func TestALeaseWhoseEndingFailsLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		time.Sleep(ttl - time.Millisecond)
		n.gates.FailWrites(8)
		time.Sleep(5 * time.Millisecond)
		n.beat(t, "x")
		n.endsIn(t, "x", backend.ReasonExpired, ttl-10*time.Millisecond, ttl+late)
	})
}

// TestAnEndingWhoseAcknowledgementIsLostIsSettled is L3: what the feed shows says what came
// of it.
func TestAnEndingWhoseAcknowledgementIsLostIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		time.Sleep(ttl - time.Millisecond)
		n.gates.LoseAcknowledgements(1)
		time.Sleep(late)
		if _, ok := n.end("x"); !ok {
			t.Fatal("x has not ended")
		}
		if _, expired, err := n.Keepalive(t.Context(), []string{"x"}, clock.Connection{}); err != nil || len(expired) != 1 {
			t.Errorf("Keepalive() = %v, %v; want it expired", expired, err)
		}
		if got := n.logs.of("INFO lease ended"); len(got) != 1 {
			t.Errorf("logged %q; want the ending once", got)
		}
		if tenure, ok := n.keeper.Tenure(); !ok || tenure.Term != 1 {
			t.Errorf("Tenure() = %v, %t; want term 1 still", tenure, ok)
		}
	})
}

// TestALeaseThatNobodyKnowsIsExpiredOnlyAfterALook is L3 and L1.
func TestALeaseThatNobodyKnowsIsExpiredOnlyAfterALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		beat, expired, err := n.Keepalive(t.Context(), []string{"y", "x", "z"}, clock.Connection{})
		if err != nil || len(expired) != 2 || expired[0] != 0 || expired[1] != 2 || beat.TTL != ttl {
			t.Errorf("Keepalive() = %v, %v, %v; want the first and third expired", beat, expired, err)
		}
		if _, ok := n.Touch("y", clock.Connection{}); ok {
			t.Error("Touch() of one that nobody knows = true")
		}
		n.gates.FailWrites(1) // of the barrier
		if _, _, err := n.Keepalive(t.Context(), []string{"y"}, clock.Connection{}); err == nil {
			t.Error("Keepalive() = nil although the look failed")
		}
		synctest.Wait()
	})
}
