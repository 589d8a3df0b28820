package clock_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/keeper/clock"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
)

func TestASecondGrantOfALiveLeaseIsAKeepalive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		time.Sleep(ttl / 2)
		beat, err := n.Grant(t.Context(), clock.Request{Owner: "x", TTL: time.Minute, Grace: time.Minute})
		if want := (clock.Beat{TTL: ttl, Grace: grace, Term: 1}); err != nil || beat != want {
			t.Errorf("Grant() = %v, %v; want the first TTL and grace", beat, err)
		}
		n.endsIn(t, "x", backend.ReasonExpired, ttl, ttl+late)
	})
}

func TestAGrantSaysTheRevisionThatItMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		beat, err := n.Grant(t.Context(), clock.Request{Owner: "x", TTL: ttl})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.table.Wait(t.Context(), beat.Revision); err != nil {
			t.Fatal(err)
		}
		if l, ok := n.table.Get("x"); !ok || l.Revision != beat.Revision {
			t.Errorf("granted at %d, and the table has %+v, %v", beat.Revision, l, ok)
		}
	})
}

// TestAnEndedLeaseIsNotGrantedAgain also after its record was removed, while the store
// remembers it.
func TestAnEndedLeaseIsNotGrantedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		if _, err := n.Revoke(t.Context(), "x", ""); err != nil {
			t.Fatal(err)
		}
		again := func() error {
			_, err := n.Grant(t.Context(), clock.Request{Owner: "x", TTL: ttl})
			return err
		}
		if err := again(); !errors.Is(err, backend.ErrLeaseExpired) {
			t.Errorf("Grant() of an ended lease = %v; want ErrLeaseExpired", err)
		}
		l, _ := n.table.Get("x")
		w := kvstore.Write{Key: lease.Key("x"), Expect: l.Revision, Remove: true, Keep: lease.Remembered}
		if _, err := n.gates.Store.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if err := again(); !errors.Is(err, backend.ErrLeaseExpired) {
			t.Errorf("Grant() of a remembered lease = %v; want ErrLeaseExpired", err)
		}
	})
}

func TestAGrantWhoseAcknowledgementIsLostMayBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.gates.LoseAcknowledgements(1)
		if _, err := n.Grant(t.Context(), clock.Request{Owner: "x", TTL: ttl}); !errors.Is(err, backend.ErrUnknownOutcome) {
			t.Errorf("Grant() = %v; want ErrUnknownOutcome", err)
		}
		n.grant(t, "x", time.Minute)
		n.endsIn(t, "x", backend.ReasonExpired, ttl, ttl+late) // it was the first that counted
	})
}

func TestAGrantThatCannotBeWrittenIsUnavailableAndLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.gates.FailWrites(1)
		if _, err := n.Grant(t.Context(), clock.Request{Owner: "x", TTL: ttl}); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("Grant() = %v; want ErrUnavailable", err)
		}
		if _, err := n.Get(t.Context(), "x"); !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("Get() = %v; want ErrNotFound", err)
		}
	})
}

func TestWhatIsAskedForOutOfBoundsIsInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		for _, r := range []clock.Request{
			{Owner: "x", TTL: 999 * time.Millisecond},
			{Owner: "x", TTL: 25 * time.Hour},
			{Owner: "x", TTL: ttl, Grace: -1},
			{Owner: "x", TTL: ttl, Grace: 25 * time.Hour},
			{Owner: "x", TTL: ttl, Name: "_x"},
			{Owner: "", TTL: ttl},
		} {
			if _, err := n.Grant(t.Context(), r); !errors.Is(err, backend.ErrInvalid) {
				t.Errorf("Grant(%+v) = %v; want ErrInvalid", r, err)
			}
		}
	})
}

func TestOfTwentyGrantsAtOnceAsManySucceedAsMayLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{cfg: func(c *clock.Config) { c.MaxLeases = 10 }})
		n.gates.delay(5 * time.Millisecond)
		var granted, refused atomic.Int32
		var tasks sync.WaitGroup
		for i := range 20 {
			tasks.Go(func() {
				_, err := n.Grant(t.Context(), clock.Request{Owner: fmt.Sprint("o", i), TTL: ttl})
				if limit, ok := errors.AsType[*backend.LimitError](err); ok && *limit == (backend.LimitError{Quota: "leases", Limit: 10}) {
					refused.Add(1)
				} else if err == nil {
					granted.Add(1)
				}
			})
		}
		tasks.Wait()
		if granted.Load() != 10 || refused.Load() != 10 {
			t.Errorf("%d granted, %d refused; want 10 each", granted.Load(), refused.Load())
		}
		time.Sleep(2*ttl + late)
		n.grant(t, "later", ttl)
	})
}

func TestTwentyGrantsOfOneLeaseAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.gates.delay(5 * time.Millisecond)
		var tasks sync.WaitGroup
		for range 20 {
			tasks.Go(func() { n.grant(t, "x", ttl) })
		}
		tasks.Wait()
		if n.table.Len() != 1 || n.Health().Leases != 1 {
			t.Errorf("%d leases; want one", n.table.Len())
		}
		n.endsIn(t, "x", backend.ReasonExpired, ttl-time.Second, ttl+late)
	})
}

func TestRevokeReturnsWhenTheEndWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		n.gates.delay(20 * time.Millisecond)
		revision, err := n.Revoke(t.Context(), "x", backend.ReasonAdmin)
		if err != nil {
			t.Fatal(err)
		}
		if l, ok := n.table.Get("x"); !ok || l.Ended != backend.ReasonAdmin || l.Revision != revision {
			t.Errorf("the table has %+v; want it ended by an admin at %d", l, revision)
		}
		for name, call := range map[string]func() error{
			"Revoke": func() error { _, err := n.Revoke(t.Context(), "x", ""); return err },
			"Grant":  func() error { _, err := n.Grant(t.Context(), clock.Request{Owner: "x", TTL: ttl}); return err },
		} {
			if err := call(); !errors.Is(err, backend.ErrLeaseExpired) {
				t.Errorf("%s() afterwards = %v; want ErrLeaseExpired", name, err)
			}
		}
		if _, expired, err := n.Keepalive(t.Context(), []string{"x"}, clock.Connection{}); err != nil || len(expired) != 1 {
			t.Errorf("Keepalive() afterwards = %v, %v; want it expired", expired, err)
		}
		if _, err := n.Revoke(t.Context(), "unknown", ""); !errors.Is(err, backend.ErrLeaseExpired) {
			t.Errorf("Revoke() of an unknown lease = %v; want ErrLeaseExpired", err)
		}
	})
}

func TestAHundredRevocationsAtOnceShareBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		owners := n.grants(t, 100, ttl)
		n.gates.delay(10 * time.Millisecond)
		begin := time.Now()
		var tasks sync.WaitGroup
		for _, owner := range owners {
			tasks.Go(func() {
				if _, err := n.Revoke(t.Context(), owner, ""); err != nil {
					t.Errorf("Revoke() = %v", err)
				}
			})
		}
		tasks.Wait()
		if took := time.Since(begin); took > 100*time.Millisecond {
			t.Errorf("took %v; want a few batches of 20ms", took)
		}
	})
}

func TestARevocationThatIsNotDoneIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		synctest.Wait()
		n.gates.FailWrites(1)
		if _, err := n.Revoke(t.Context(), "x", ""); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("Revoke() = %v; want ErrUnavailable", err)
		}
		n.endsIn(t, "x", backend.ReasonExpired, ttl, ttl+late)
	})
}

func TestARevocationThatNobodyWaitsForAnyMoreIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		n.grant(t, "x", ttl)
		n.gates.delay(100 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := n.Revoke(ctx, "x", ""); !errors.Is(err, backend.ErrUnknownOutcome) {
			t.Errorf("Revoke() = %v; want ErrUnknownOutcome", err)
		}
		time.Sleep(time.Second)
		if _, ok := n.end("x"); !ok {
			t.Error("x lives although it was being revoked")
		}
	})
}

func TestGetAndListSayHowLeasesAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{})
		granted := time.Now().UTC().Truncate(time.Millisecond)
		for i := range 10 {
			r := clock.Request{Owner: fmt.Sprint("o", 9-i), Name: "payments", TTL: ttl, Grace: grace}
			if _, err := n.Grant(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		want := clock.Status{
			Owner: "o3", Name: "payments", TTL: ttl, Remaining: ttl - time.Second, State: clock.Live, GrantedAt: granted,
		}
		got, err := n.Get(t.Context(), "o3")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Get() = %v (-want +got):\n%s", err, diff)
		}
		if _, err := n.Get(t.Context(), "unknown"); !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("Get() of an unknown lease = %v; want ErrNotFound", err)
		}
		if _, err := n.Revoke(t.Context(), "o4", ""); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			after string
			limit int
			want  []string
		}{
			{"", 0, []string{"o0", "o1", "o2", "o3", "o5", "o6", "o7", "o8", "o9"}},
			{"", 2, []string{"o0", "o1"}},
			{"o1", 3, []string{"o2", "o3", "o5"}},
			{"o7", 3, []string{"o8", "o9"}},
			{"o9", 3, nil},
		} {
			all, err := n.List(t.Context(), c.after, c.limit)
			var owners []string
			for _, status := range all {
				owners = append(owners, status.Owner)
			}
			if diff := cmp.Diff(c.want, owners); err != nil || diff != "" {
				t.Errorf("List(%q, %d) = %v (-want +got):\n%s", c.after, c.limit, err, diff)
			}
		}
		n.gates.FailWrites(1)
		if _, err := n.List(t.Context(), "", 0); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("List() = %v when the look failed; want ErrUnavailable", err)
		}
	})
}

func TestAnUnusableConfigIsRefused(t *testing.T) {
	for _, c := range []clock.Config{{}, {HoldShare: 1.1, HoldMinimum: 1, MaxLeases: 1}, {HoldShare: -1, HoldMinimum: 1, MaxLeases: 1}} {
		if _, err := clock.New(nil, nil, nil, nil, c); err == nil {
			t.Errorf("New(%+v) = nil; want an error", c)
		}
	}
}
