package client

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

func elected(t *testing.T, e *Election, lease *Lease) *Leadership {
	t.Helper()
	l, err := e.Campaign(t.Context(), lease, CampaignOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantOver(ctx context.Context, t *testing.T, l *Leadership, why error) {
	t.Helper()
	synctest.Wait()
	if ctx.Err() == nil {
		t.Error("the context goes on")
	}
	wantErr(t, context.Cause(ctx), why)
	if l.Valid() {
		t.Error("still valid")
	}
}

func TestACandidateLeadsWhenTheLeaderResigns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newOffice(t)
		e := c.Election("default", "db")
		first := elected(t, e, grant(t, c, ttl))
		ctx, cancel := first.Context(t.Context())
		defer cancel()
		next := make(chan *Leadership)
		go func() { next <- elected(t, e, grant(t, c, ttl)) }()
		time.Sleep(10 * time.Minute)
		if !first.Valid() || ctx.Err() != nil {
			t.Error("the leader is not valid although nothing has happened")
		}
		if err := first.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantOver(ctx, t, first, ErrResigned)
		second := <-next
		if second.Term() != first.Term()+1 || !first.Token().Before(second.Token()) || !second.Valid() {
			t.Errorf("term %d with %s after term %d with %s", second.Term(), second.Token(), first.Term(), first.Token())
		}
	})
}

func TestACampaignOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		e, lease := c.Election("default", "db"), grant(t, c, ttl)
		o.keeper.set(func() { o.away = true })
		time.AfterFunc(time.Hour, func() { o.keeper.set(func() { o.away = false }) })
		if l := elected(t, e, lease); l.Term() != 1 {
			t.Errorf("term %d; want 1", l.Term())
		}
	})
}

func TestACampaignThatIsCancelledStaysUntilItIsResigned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newOffice(t)
		e, lease := c.Election("default", "db"), grant(t, c, ttl)
		first := elected(t, e, grant(t, c, ttl))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := e.Campaign(ctx, lease, CampaignOptions{})
		wantErr(t, err, context.DeadlineExceeded)
		r, _, err := e.Get(t.Context(), Read{})
		if err != nil || len(r.Candidates) != 1 || r.Candidates[0].Owner != lease.Owner() {
			t.Errorf("got %+v, %v; want the candidate", r, err)
		}
		if err := e.Resign(t.Context(), lease); err != nil {
			t.Error(err)
		}
		if err := first.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		if r, _, err = e.Get(t.Context(), Read{}); err != nil || r.Leader.Owner != "" || r.Leader.Term != 1 {
			t.Errorf("got %+v, %v; want nobody", r, err)
		}
	})
}

func TestALeadershipEndsWhenItIsNotCertainAnyMore(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		happens func(o *office, l *Leadership) error
		why     error
		done    bool
	}{
		"another term is announced": {func(o *office, l *Leadership) error {
			o.do(func() { o.leave("default.db", l.Owner()) })
			return nil
		}, ErrSuperseded, true},
		"another term is found after a lost announcement": {func(o *office, l *Leadership) error {
			o.do(func() { o.silent = true; o.leave("default.db", l.Owner()) })
			o.beacon("another")
			return nil
		}, ErrSuperseded, true},
		"another term is found after a reconnect": {func(o *office, l *Leadership) error {
			o.do(func() { o.silent = true; o.leave("default.db", l.Owner()) })
			o.become(nats.RECONNECTING)
			o.become(nats.CONNECTED)
			synctest.Wait()
			time.Sleep(2 * time.Second)
			return nil
		}, ErrSuperseded, true},
		"the lease has ended": {func(o *office, l *Leadership) error {
			o.ends(l.lease)
			time.Sleep(ttl)
			return nil
		}, nil, true},
		"the lease is revoked": {func(_ *office, l *Leadership) error {
			return l.lease.Revoke(context.Background())
		}, ErrRevoked, true},
		"the lease is revoked, and no announcement comes": {func(o *office, l *Leadership) error {
			o.do(func() { o.silent = true })
			return l.lease.Revoke(context.Background())
		}, ErrRevoked, true},
		"the keeper is not heard": {func(o *office, _ *Leadership) error {
			o.keeper.set(func() { o.away = true })
			time.Sleep(ttl)
			return nil
		}, ErrUnavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, o := newOffice(t)
				l := elected(t, c.Election("default", "db"), grant(t, c, ttl))
				ctx, cancel := l.Context(t.Context())
				defer cancel()
				synctest.Wait()
				if err := test.happens(o, l); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				why := context.Cause(ctx)
				if why == nil || l.Valid() {
					t.Fatalf("the context ends with %v, valid %v; want an end", why, l.Valid())
				}
				if test.why != nil {
					wantErr(t, why, test.why)
				}
				if got := l.Err() != nil; got != test.done {
					t.Errorf("Err() = %v; want the end of the term: %v", l.Err(), test.done)
				}
			})
		})
	}
}

func TestALeadershipThatWasUncertainGoesOnWhenTheRegistryIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		l := elected(t, c.Election("default", "db"), grant(t, c, ttl))
		o.keeper.set(func() { o.away = true })
		time.Sleep(ttl)
		if l.Valid() || l.Err() != nil {
			t.Error("want it to be neither valid nor over")
		}
		o.keeper.set(func() { o.away = false })
		time.Sleep(ttl)
		ctx, cancel := l.Context(t.Context())
		defer cancel()
		synctest.Wait()
		if !l.Valid() || ctx.Err() != nil {
			t.Error("not valid although the registry has said that it lives")
		}
	})
}

func TestALeaderTransfersToACandidateAndIsOneItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newOffice(t)
		e := c.Election("default", "db")
		first := elected(t, e, grant(t, c, ttl))
		wantErr(t, first.Transfer(t.Context(), "nobody"), ErrNotFound)
		if !first.Valid() {
			t.Error("over although it was not transferred")
		}
		lease := grant(t, c, ttl)
		next := make(chan *Leadership)
		go func() { next <- elected(t, e, lease) }()
		synctest.Wait()
		if err := first.Transfer(t.Context(), lease.Owner()); err != nil {
			t.Fatal(err)
		}
		second := <-next
		wantErr(t, first.Err(), ErrSuperseded)
		if err := second.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		again := elected(t, e, first.lease)
		if again.Term() != 3 || again.Owner() != first.Owner() {
			t.Errorf("term %d of %s; want the first leader's in term 3", again.Term(), again.Owner())
		}
	})
}

// observed has everything yielded sent on, until ctx is over, and then closes the channel.
func observed(ctx context.Context, t *testing.T, e *Election) <-chan Leader {
	t.Helper()
	seen := make(chan Leader, 1000)
	go func() {
		defer close(seen)
		var last error
		for leader, err := range e.Observe(ctx) {
			if last = err; err == nil {
				seen <- leader
			}
		}
		wantErr(t, last, context.Canceled)
	}()
	synctest.Wait()
	return seen
}

// TestAnObserverSeesEveryTermInOrderAlthoughAnnouncementsAreLost has a third of them lost, some
// come twice, and the connection go, and an absence of 16 terms. (C3)
func TestAnObserverSeesEveryTermInOrderAlthoughAnnouncementsAreLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		e, lease := c.Election("default", "db"), grant(t, c, ttl)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		seen := observed(ctx, t, e)
		leadership := func() {
			l, err := e.Campaign(t.Context(), lease, CampaignOptions{Value: json.RawMessage(`"here"`)})
			if err != nil {
				t.Fatal(err)
			}
			o.do(func() { o.leave("default.db", l.Owner()) })
			synctest.Wait()
		}
		for i := range 120 {
			o.do(func() { o.silent = i%3 == 0 })
			leadership()
			if i%20 == 0 {
				o.do(func() { // one that comes late
					o.publish(c.subjects.Announcement(bus.KindElection, e.name), bus.ElectionRecord{
						Leader: &bus.ObjectLeader{Owner: "late"}, Term: 1, Token: "00000001-0000000000000001",
					}, 1)
				})
			}
			if i%30 == 0 {
				o.become(nats.RECONNECTING)
				o.become(nats.CONNECTED)
			}
		}
		o.do(func() { o.silent = true })
		for range 16 {
			leadership()
		}
		o.do(func() { o.silent = false })
		o.beacon("another")
		synctest.Wait()
		cancel()
		var terms uint64
		var last Leader
		for leader := range seen {
			if leader.Term < last.Term || leader.Token.Before(last.Token) || leader.Owner == "late" {
				t.Errorf("went back from %+v to %+v", last, leader)
			}
			if leader.Owner != "" && leader.Term == last.Term && last.Owner != leader.Owner {
				t.Errorf("two leaders of term %d: %s and %s", leader.Term, last.Owner, leader.Owner)
			}
			if leader.Owner != "" && leader.Term != last.Term {
				terms++
			}
			last = leader
		}
		if terms != 136 || last.Term != 136 || last.Owner != "" {
			t.Errorf("saw %d terms, at last %+v; want all 316 and then nobody", terms, last)
		}
	})
}

func TestAnObserverBeginsWithWhoLeadsAndSeesAnotherValue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		e := c.Election("default", "db")
		l := elected(t, e, grant(t, c, ttl))
		ctx, cancel := context.WithCancel(t.Context())
		seen := observed(ctx, t, e)
		o.do(func() {
			r := record[bus.ElectionRecord](o, bus.KindElection, "default.db")
			r.Leader = &bus.ObjectLeader{Owner: l.Owner(), Value: json.RawMessage(`"moved"`)}
			o.commit(bus.KindElection, "default.db")
		})
		synctest.Wait()
		cancel()
		first, second := <-seen, <-seen
		if first.Owner != l.Owner() || first.Term != l.Term() || first.Token != l.Token() || string(second.Value) != `"moved"` {
			t.Errorf("saw %+v, then %+v", first, second)
		}
	})
}
