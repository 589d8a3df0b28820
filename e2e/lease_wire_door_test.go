package e2e_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/e2e/natstest"
)

func (w *leaseWire) answers(subject string) error {
	_, err := w.nc.Request(bus.DefaultPrefix+"."+subject, []byte(`{"lease":"`+secretOf(1)+`"}`), 5*time.Second)
	return err
}

func TestRequestsOfLeasesHaveAResponderOnlyWhileItIsOpen(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, nil)
	w.clockwork.grantTo(secretOf(1))
	subjects := []string{
		"lease.keepalive", "lease.grant", "lease.revoke", "lease.list", "lease.get." + bus.Owner(secretOf(1)),
		"admin.revoke." + bus.Owner(secretOf(1)),
	}
	for range 2 {
		for _, s := range subjects {
			if err := w.answers(s); err != nil {
				t.Errorf("%s while it is open: %v", s, err)
			}
		}
		w.leases.Close()
		w.leases.Close()
		for _, s := range subjects {
			if err := w.answers(s); !errors.Is(err, nats.ErrNoResponders) {
				t.Errorf("%s while it is closed: %v; want no responders", s, err)
			}
		}
		if err := w.leases.Settle(t.Context()); err == nil {
			t.Error("settled while it is closed")
		}
		if err := w.leases.OpenTo(t.Context(), w.clockwork); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.answers("lease.unheard-of"); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a subject that is none: %v; want no responders", err)
	}
}

func TestASettledDoorHasGivenEverythingThatHadComeToTheClock(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, nil)
	const n = 200
	g := newGate()
	t.Cleanup(g.Open)
	w.clockwork.hold(func() { w.clockwork.touch = g.pass })
	for i := range n {
		// Half of them are grants of leases that live already, which are keepalives.
		subject := "roost.v1.lease.keepalive"
		if i%2 == 0 {
			subject = "roost.v1.lease.grant"
		}
		w.clockwork.grantTo(secretOf(i))
		if err := w.nc.Publish(subject, []byte(`{"lease":"`+secretOf(i)+`"}`)); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, w.nc) // NATS has them all
	receive(t, "the first", g.entered)
	settled := make(chan int, 1)
	go func() {
		if err := w.leases.Settle(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("Settle: %v", err)
		}
		settled <- w.heard()
	}()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.leases.Settle(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with all but one unheard: %v; want DeadlineExceeded", err)
	}
	select {
	case heard := <-settled:
		t.Errorf("settled with %d of %d heard", heard, n)
	default:
	}
	g.Open()
	if heard := receive(t, "the settling", settled); heard != n {
		t.Errorf("settled with %d of %d heard", heard, n)
	}
}

// One that cannot be asked for a PONG cannot say that nothing is under way.
func TestADoorThatIsCutOffDoesNotSettle(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, nil)
	if err := w.leases.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.ns.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := w.leases.Settle(ctx); err == nil {
		t.Error("settled without NATS")
	}
	w.ns.Restart(t)
	natstest.Await(t, "settling again", func() bool { return w.leases.Settle(t.Context()) == nil })
	w.nc = w.ns.Connect(t) // it listens elsewhere
	if err := w.answers("lease.list"); err != nil {
		t.Errorf("after the reconnect: %v", err)
	}
}

func TestWhatIsInHandIsAnsweredAlthoughTheDoorCloses(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, nil)
	g := newGate()
	t.Cleanup(g.Open)
	w.clockwork.hold(func() { w.clockwork.grant = g.pass })
	reply := w.later(t, "lease.grant", `{"lease":"`+secretOf(1)+`"}`)
	receive(t, "the grant", g.entered)
	var closed sync.WaitGroup
	closed.Go(w.leases.Close)
	natstest.Await(t, "the closing", func() bool { return errors.Is(w.answers("lease.list"), nats.ErrNoResponders) })
	g.Open()
	if m := receive(t, "the reply", reply); m.Header.Get(bus.HeaderErrorCode) != "" {
		t.Errorf("got %v %s", m.Header, m.Data)
	}
	closed.Wait()
}

// A request that does not end holds up the closing for a moment only.
func TestADoorClosesAlthoughARequestHangs(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, nil)
	g := newGate()
	t.Cleanup(g.Open)
	w.clockwork.hold(func() { w.clockwork.grant = g.pass }) // ends when it is cancelled
	reply := w.later(t, "lease.grant", `{"lease":"`+secretOf(1)+`"}`)
	receive(t, "the grant", g.entered)
	w.leases.Close()
	wantFailure(t, bus.CodeUnavailable, receive(t, "the reply", reply))
}

func TestQueriesKeepNoKeepaliveOut(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, func(c *server.Config) { c.MaxInFlight, c.MaxKeepalives = 2, 3 })
	w.clockwork.grantTo(secretOf(1), secretOf(2))
	w.doubt(secretOf(2))
	queries, keepalives := newGate(), newGate()
	t.Cleanup(queries.Open)
	t.Cleanup(keepalives.Open)
	w.clockwork.hold(func() { w.clockwork.list = queries.pass })
	for range 2 {
		w.later(t, "lease.list", "")
		receive(t, "a list", queries.entered)
	}
	if e := w.fail(t, bus.CodeLimitExceeded, "lease.list", ""); e.Limit.Quota != "lease requests" || e.Max != 2 {
		t.Errorf("%+v; want the quota of requests", e)
	}
	w.must(t, nil, "lease.keepalive", `{"lease":"`+secretOf(1)+`"}`)
	w.must(t, nil, "lease.keepalive", `{"lease":"`+secretOf(2)+`"}`)

	w.clockwork.hold(func() { w.clockwork.keepalive = keepalives.pass })
	for range 3 {
		w.later(t, "lease.keepalive", `{"lease":"`+secretOf(2)+`"}`)
		receive(t, "a keepalive", keepalives.entered)
	}
	if e := w.fail(t, bus.CodeLimitExceeded, "lease.keepalive", `{"lease":"`+secretOf(2)+`"}`); e.Limit.Quota != "keepalives" {
		t.Errorf("%+v; want the quota of keepalives", e)
	}
	w.must(t, nil, "lease.keepalive", `{"lease":"`+secretOf(1)+`"}`)
	if s := w.leases.Stats(); s.Refused != 2 || s.InFlight != 2 || s.Waiting != 3 {
		t.Errorf("%+v; want 2 refused, 2 in flight, 3 waiting", s)
	}
}

// L6.
func TestNoAnswerAboutALeaseIsSentToAReplySubjectOfNATSOrOfTheRegistry(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, nil)
	w.clockwork.grantTo(secretOf(1))
	spy := inProcess(t, w.ns)
	heard, err := spy.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	flush(t, spy)
	body := []byte(`{"lease":"` + secretOf(1) + `"}`)
	requests := []string{"lease.keepalive", "lease.grant", "lease.revoke", "lease.list", "lease.get." + bus.Owner(secretOf(1)), "admin.revoke." + bus.Owner(secretOf(1))}
	forbidden := []string{"$KV.roost_v1.lease.x", "$JS.API.STREAM.DELETE.KV_roost_v1", "roost.v1.event.a.b.c", "roost.v1.beacon", "roost.v1.lease.revoke"}
	for _, request := range requests {
		for _, reply := range forbidden {
			if err := w.nc.PublishRequest("roost.v1."+request, reply, body); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := int64(len(requests) * len(forbidden))
	natstest.Await(t, "all of them to be refused", func() bool { return w.leases.Stats().Misdirected == want })
	if s := w.leases.Stats(); s.Answered != 0 || s.Failed != 0 || w.heard() != 0 || w.reason(bus.Owner(secretOf(1))) != "" {
		t.Errorf("%+v; the clock heard of %d and ended it as %q; want nothing done", s, w.heard(), w.reason(bus.Owner(secretOf(1))))
	}
	flush(t, spy)
	for n := int64(0); ; n++ {
		m, err := heard.NextMsg(10 * time.Millisecond)
		if err != nil {
			if n != want {
				t.Errorf("%d messages were heard; want the %d requests alone", n, want)
			}
			break
		}
		if string(m.Data) != string(body) {
			t.Errorf("%s: %s", m.Subject, m.Data)
		}
	}
}
