package clock_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/keeper/clock"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// TestAClockOfAnEarlierKeeperStartsAfreshAndRunsLonger is L3.
func TestAClockOfAnEarlierKeeperStartsAfreshAndRunsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, setup{})
		a.grant(t, "x", ttl)
		time.Sleep(ttl - time.Millisecond)
		a.stop()
		until(t, "keeper", b.door.isOpen)
		b.endsIn(t, "x", backend.ReasonExpired, ttl+keeper.Validity-2*time.Millisecond, ttl+keeper.Validity+late)
	})
}

// TestAfterATakeOverTheFirstKeepaliveStartsAnOrdinaryClock is L2 across keepers.
func TestAfterATakeOverTheFirstKeepaliveStartsAnOrdinaryClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, setup{})
		a.grant(t, "x", ttl)
		a.stop()
		until(t, "keeper", b.door.isOpen)
		if beat, ok := b.Touch("x", clock.Connection{}); !ok || beat.Term != 2 {
			t.Fatalf("Touch() = %v, %t; want it counted in term 2", beat, ok)
		}
		b.endsIn(t, "x", backend.ReasonExpired, ttl, ttl+late)
	})
}

// lateGrant has a grant of an earlier keeper turn up.
func lateGrant(t *testing.T, n *node, owner string) {
	t.Helper()
	record, err := lease.NewRecord("", ttl, 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w, err := (&lease.Lease{Owner: owner}).Write(record, "late")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.gates.Store.Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// TestALateGrantOfAnEarlierKeeperRunsLonger is L3: the earlier keeper may have acknowledged
// keepalives of it until it lapsed.
func TestALateGrantOfAnEarlierKeeperRunsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		lateGrant(t, n, "x")
		n.endsIn(t, "x", backend.ReasonExpired, ttl+keeper.Validity, ttl+keeper.Validity+late)
	})
}

func TestOnlyTheKeeperOpensItsDoorAndAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, setup{})
		a.grant(t, "x", ttl)
		if !a.door.isOpen() || b.door.isOpen() {
			t.Errorf("doors open: %t, %t; want that of the keeper", a.door.isOpen(), b.door.isOpen())
		}
		isNotKeeper(t, b)
		a.gates.stop()
		until(t, "keeper", b.door.isOpen)
		a.gates.cont()
		synctest.Wait()
		if a.door.isOpen() {
			t.Error("the door of one who was replaced is open")
		}
		isNotKeeper(t, a)
	})
}

// isNotKeeper checks that n says nothing about leases, whatever it is asked.
func isNotKeeper(t *testing.T, n *node) {
	t.Helper()
	if _, ok := n.Touch("x", clock.Connection{}); ok {
		t.Error("Touch() = true")
	}
	_, _, kept := n.Keepalive(t.Context(), []string{"x", "unknown"}, clock.Connection{})
	_, granted := n.Grant(t.Context(), clock.Request{Owner: "y", TTL: ttl})
	_, revoked := n.Revoke(t.Context(), "x", "")
	_, got := n.Get(t.Context(), "x")
	_, listed := n.List(t.Context(), "", 0)
	for _, err := range []error{kept, granted, revoked, got, listed} {
		if !errors.Is(err, clock.ErrNotKeeper) {
			t.Errorf("error %v; want ErrNotKeeper", err)
		}
	}
}

// stopped has a decide the end of x and stops it before the batch is sent, until b is the
// keeper and x was kept alive there. It returns how that batch ended.
func stopped(t *testing.T, a, b *node) {
	t.Helper()
	a.grant(t, "x", ttl)
	time.Sleep(ttl - time.Millisecond)
	a.door.change(func(d *door) { d.settle = a.gates.stop }) // decided next
	until(t, "keeper", b.door.isOpen)
	b.beat(t, "x")
	a.door.change(func(d *door) { d.settle = nil })
	a.gates.cont()
	synctest.Wait()
}

// TestAKeeperThatWasStoppedAndWakesEndsNoLiveLease is L3.
func TestAKeeperThatWasStoppedAndWakesEndsNoLiveLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, setup{})
		stopped(t, a, b)
		b.endsIn(t, "x", backend.ReasonExpired, ttl, ttl+late)
		if len(a.logs.of("INFO lease ended")) != 0 {
			t.Errorf("a keeper that was replaced has ended a lease: %q", a.logs.of("INFO lease ended"))
		}
	})
}

// TestWithoutTheFenceAKeeperThatWasStoppedAndWakesEndsALiveLease shows what the fence is for.
func TestWithoutTheFenceAKeeperThatWasStoppedAndWakesEndsALiveLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, setup{unfenced: true})
		stopped(t, a, b)
		if _, ok := b.end("x"); !ok {
			t.Error("x lives, fence or not")
		}
	})
}

// TestASingleNodeThatWasStoppedForTwiceTheTTLEndsNobody is L3 and R4: nobody took over, so
// that no fence stands in its way.
func TestASingleNodeThatWasStoppedForTwiceTheTTLEndsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		time.Sleep(ttl / 2)
		n.gates.stop()
		time.Sleep(2 * ttl)
		n.gates.cont()
		synctest.Wait()
		until(t, "keeper", n.door.isOpen)
		n.endsIn(t, "x", backend.ReasonExpired, ttl+keeper.Validity-10*time.Millisecond, ttl+keeper.Validity+late)
		if tenure, _ := n.keeper.Tenure(); tenure.Term != 2 {
			t.Errorf("term %d; want it to have begun anew", tenure.Term)
		}
	})
}

// TestAnOutageOfTheStoreEndsNobody is L3 and R4, for whatever length.
func TestAnOutageOfTheStoreEndsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		n.gates.cut(true)
		n.livesFor(t, "x", 10*ttl)
		if n.door.isOpen() {
			t.Error("the door is open although the tenure has lapsed")
		}
		n.gates.cut(false)
		until(t, "keeper", n.door.isOpen)
		n.livesFor(t, "x", ttl)
		n.beat(t, "x")
		n.endsIn(t, "x", backend.ReasonExpired, ttl, ttl+late)
	})
}

// TestAKeeperThatIsCutOffAcknowledgesNothingOnceItsTenureHasLapsed is L3: the clients reach
// it, and the store does not.
func TestAKeeperThatIsCutOffAcknowledgesNothingOnceItsTenureHasLapsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, setup{})
		a.grant(t, "x", 2*time.Second)
		time.Sleep(1600 * time.Millisecond)
		a.gates.cut(true)
		var last time.Time // that was acknowledged
		for begin := time.Now(); time.Since(begin) < keeper.Validity; time.Sleep(10 * time.Millisecond) {
			if _, ok := a.Touch("x", clock.Connection{}); ok {
				last = time.Now()
			}
		}
		if _, ok := a.Touch("x", clock.Connection{}); ok || last.IsZero() {
			t.Errorf("acknowledges at the end: %t, last acknowledged %v", ok, last)
		}
		until(t, "keeper", b.door.isOpen)
		if left := time.Until(last.Add(2 * time.Second)); left > 0 {
			b.livesFor(t, "x", left)
		}
		b.beat(t, "x")
		a.gates.cut(false)
		b.endsIn(t, "x", backend.ReasonExpired, 2*time.Second, 2*time.Second+late)
	})
}

// TestAnEndingThatWasInDoubtWhenTheTenureLapsedIsDropped is L3.
func TestAnEndingThatWasInDoubtWhenTheTenureLapsedIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		n.door.change(func(d *door) { d.settle = func() { n.gates.losing(true) } })
		waiting := make(chan error, 1)
		time.Sleep(ttl + 10*time.Millisecond)
		go func() {
			_, _, err := n.Keepalive(t.Context(), []string{"x"}, clock.Connection{})
			waiting <- err
		}()
		time.Sleep(2 * keeper.Validity)
		if err := <-waiting; err == nil {
			t.Error("Keepalive() = nil in an outage; want it to say nothing")
		}
		n.door.change(func(d *door) { d.settle = nil })
		n.gates.losing(false)
		until(t, "keeper", n.door.isOpen)
		n.livesFor(t, "x", ttl)
	})
}

// TestAStoppedClockStandsStill is R4: a process that was stopped for less than a tenure may
// have keepalives unread in the sockets of its NATS server.
func TestAStoppedClockStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		time.Sleep(ttl - 2*time.Second)
		until(t, "renewal", func() bool {
			tenure, _ := n.keeper.Tenure()
			return time.Until(tenure.Until) > keeper.Validity-200*time.Millisecond
		})
		passed := ttl - n.remaining(t, "x")
		n.gates.stop()
		time.Sleep(2 * time.Second)
		n.gates.cont()
		synctest.Wait()
		n.endsIn(t, "x", backend.ReasonExpired, ttl-passed, ttl-passed+2*late)
		if tenure, _ := n.keeper.Tenure(); tenure.Term != 1 || len(n.logs.of("WARN the lease clock was stopped")) != 1 {
			t.Errorf("term %d, logged %q; want the first still, and one warning", tenure.Term, n.logs.of("WARN"))
		}
	})
}

// TestAClockThatIsRunAgainInItsTenureStartsAfresh is L3: what it had begun and does not know
// the outcome of cannot happen any more.
func TestAClockThatIsRunAgainInItsTenureStartsAfresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		time.Sleep(ttl - time.Millisecond)
		n.gates.delay(300 * time.Millisecond)
		time.Sleep(10 * time.Millisecond) // the ending is on its way
		n.gates.delay(0)
		n.rerun()
		until(t, "open door", n.door.isOpen)
		n.beat(t, "x")
		n.livesFor(t, "x", ttl/2)
		n.grant(t, "y", ttl)
		n.rerun()
		n.endsIn(t, "y", backend.ReasonExpired, ttl+keeper.Validity, ttl+keeper.Validity+late)
		if tenure, _ := n.keeper.Tenure(); tenure.Term != 1 {
			t.Errorf("term %d; want the first", tenure.Term)
		}
	})
}

// TestAClockOfAnEarlierKeeperRunsLongerInRealTimeToo is L3: time passes while the clocks start.
func TestAClockOfAnEarlierKeeperRunsLongerInRealTimeToo(t *testing.T) {
	t.Parallel()
	store := memkv.New()
	first, owners, stop := serving(t, store, 1000)
	if _, ok := first.Touch(owners[0], clock.Connection{}); !ok {
		t.Fatal("Touch() = false")
	}
	stop()
	second, _, _ := serving(t, store, 0)
	all, err := second.List(t.Context(), "", 0)
	if err != nil || len(all) != len(owners) {
		t.Fatalf("List() = %d leases, %v; want %d", len(all), err, len(owners))
	}
	for _, status := range all {
		if least := status.TTL + keeper.Validity - 2*time.Second; status.Remaining < least {
			t.Fatalf("%s has %v left; want at least %v", status.Owner, status.Remaining, least)
		}
	}
}

// remaining returns how long owner's lease has.
func (n *node) remaining(t *testing.T, owner string) time.Duration {
	t.Helper()
	status, err := n.Get(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	return status.Remaining
}

// TestADoorThatDoesNotOpenKeepsAllClocksStill is R4: nobody can be heard.
func TestADoorThatDoesNotOpenKeepsAllClocksStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, setup{})
		a.grant(t, "x", ttl)
		b.door.change(func(d *door) { d.fails = 1000 })
		a.stop()
		time.Sleep(30 * time.Second)
		if _, ok := b.end("x"); ok || b.door.isOpen() {
			t.Fatalf("ended: %t, open: %t", ok, b.door.isOpen())
		}
		b.door.change(func(d *door) { d.fails = 0 })
		until(t, "open door", b.door.isOpen)
		b.endsIn(t, "x", backend.ReasonExpired, ttl+keeper.Validity-10*time.Millisecond, ttl+keeper.Validity+late)
	})
}

// TestALateGrantWhileTheDoorOpensRunsLongerToo is L3.
func TestALateGrantWhileTheDoorOpensRunsLongerToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, memkv.New(), "a", setup{door: &door{opened: 2 * time.Second}})
		time.Sleep(time.Second)
		lateGrant(t, n, "x")
		n.endsIn(t, "x", backend.ReasonExpired, ttl+keeper.Validity, ttl+keeper.Validity+late)
	})
}

// TestAStoreMadeAnewHasNoLeasesOfTheOldOne goes with the epochs.
func TestAStoreMadeAnewHasNoLeasesOfTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		n.gates.Reset()
		until(t, "new tenure", func() bool { _, err := n.Get(t.Context(), "x"); return errors.Is(err, backend.ErrNotFound) })
		if _, expired, err := n.Keepalive(t.Context(), []string{"x"}, clock.Connection{}); err != nil || len(expired) != 1 {
			t.Errorf("Keepalive() = %v, %v; want it expired", expired, err)
		}
		n.grant(t, "x", ttl)
		n.endsIn(t, "x", backend.ReasonExpired, ttl, ttl+late)
	})
}

// TestALeaseThatIsRemovedByHandHasNoClockAnyMore keeps the clock by the table.
func TestALeaseThatIsRemovedByHandHasNoClockAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		synctest.Wait()
		l, _ := n.table.Get("x")
		if _, err := n.gates.Store.Write(t.Context(), kvstore.Write{Key: lease.Key("x"), Expect: l.Revision, Remove: true}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, ok := n.Touch("x", clock.Connection{}); ok {
			t.Error("Touch() = true after the removal")
		}
		if got := n.logs.of("INFO lease was ended elsewhere owner=x"); len(got) != 1 {
			t.Errorf("logged %q; want the ending once", got)
		}
	})
}
