package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/keeper/clock"
	"github.com/roostbus/roost/e2e/natstest"
)

func TestARawGrantIsAnsweredAsTheProtocolSays(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, nil)
	var got bus.GrantReply
	m := w.must(t, &got, "lease.grant", `{"lease":"`+secretOf(1)+`","ttl_ms":3000,"grace_ms":0,"name":"payments","connection":{"server_id":"N","client_id":7}}`)
	if diff := cmp.Diff(bus.GrantReply{Owner: bus.Owner(secretOf(1)), TTLMs: 3000, Term: term}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if strings.Contains(string(m.Data), secretOf(1)) {
		t.Errorf("%s repeats the secret", m.Data)
	}
	want := clock.Request{
		Owner: bus.Owner(secretOf(1)), Name: "payments", TTL: 3 * time.Second, Connection: clock.Connection{Server: "N", Client: 7},
	}
	if diff := cmp.Diff(want, w.asked()); diff != "" {
		t.Errorf("the clock was asked (-want +got):\n%s", diff)
	}
	w.must(t, &got, "lease.grant", `{"lease":"`+secretOf(2)+`"}`)
	if got.TTLMs != 15_000 || got.GraceMs != 2000 {
		t.Errorf("where nothing was said: %+v; want the defaults", got)
	}
	w.must(t, &got, "lease.grant", `{"lease":"`+secretOf(1)+`","ttl_ms":60000}`)
	if got.TTLMs != 3000 || w.asked().Owner != bus.Owner(secretOf(2)) {
		t.Errorf("a second grant: %+v, and the clock was asked for %s; want a keepalive", got, w.asked().Owner)
	}
}

func TestARawKeepaliveIsAnsweredAsTheProtocolSays(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, nil)
	w.clockwork.grantTo(secretOf(1), secretOf(2), secretOf(3))
	w.doubt(secretOf(2))
	for _, c := range []struct{ body, want string }{
		{`{"lease":"` + secretOf(1) + `"}`, `{"ttl_ms":15000,"term":7}`},
		{`{"lease":"` + secretOf(2) + `"}`, `{"ttl_ms":15000,"term":7}`},
		{`{"leases":["` + secretOf(1) + `","` + secretOf(3) + `","` + secretOf(1) + `"]}`, `{"expired":[],"term":7}`},
		{`{"leases":["` + secretOf(1) + `","` + secretOf(2) + `"]}`, `{"expired":[],"term":7}`},
		{`{"leases":["` + secretOf(1) + `","` + secretOf(8) + `","` + secretOf(8) + `"]}`, `{"expired":["` + bus.Owner(secretOf(8)) + `"],"term":7}`},
		{`{"leases":["` + secretOf(8) + `"]}`, `{"expired":["` + bus.Owner(secretOf(8)) + `"],"term":7}`},
	} {
		if got := string(w.must(t, nil, "lease.keepalive", c.body).Data); got != c.want {
			t.Errorf("%s: %s; want %s", c.body, got, c.want)
		}
	}
	w.fail(t, bus.CodeLeaseExpired, "lease.keepalive", `{"lease":"`+secretOf(8)+`"}`)
	w.must(t, nil, "lease.keepalive", `{"lease":"`+secretOf(1)+`","connection":{"server_id":"N","client_id":9}}`)
	w.clockwork.hold(func() {
		if got := w.clockwork.told[bus.Owner(secretOf(1))]; got != (clock.Connection{Server: "N", Client: 9}) {
			t.Errorf("the clock was told %v", got)
		}
	})
}

func TestOfManyKeepalivesAllAreHeardAlthoughOneIsInDoubt(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, nil)
	var secrets []string
	for i := range bus.MaxKeepalive {
		secrets = append(secrets, secretOf(i))
	}
	w.clockwork.grantTo(secrets[1:]...)
	w.clockwork.hold(func() { w.clockwork.keepalive = func(context.Context) error { return keeper.ErrNotKeeper } })
	w.silent(t, "lease.keepalive", `{"leases":["`+strings.Join(secrets, `","`)+`"]}`)
	if got := w.heard(); got != bus.MaxKeepalive {
		t.Errorf("%d of %d were heard", got, bus.MaxKeepalive)
	}
}

// silent checks that a request reaches somebody and gets no reply.
func (w *leaseWire) silent(t *testing.T, subject, body string) {
	t.Helper()
	before := w.leases.Stats().Failed
	replies := w.later(t, subject, body)
	natstest.Await(t, "the request to be looked at", func() bool { return w.leases.Stats().Failed > before })
	flush(t, w.nc)
	select {
	case m := <-replies:
		t.Errorf("%s is answered %v %s", subject, m.Header, m.Data)
	default:
	}
}

func TestWhoIsNotTheKeeperAnswersNothing(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, nil)
	not := func(context.Context) error { return fmt.Errorf("lease: %w", keeper.ErrNotKeeper) }
	w.clockwork.hold(func() {
		w.clockwork.touch, w.clockwork.keepalive, w.clockwork.grant, w.clockwork.revoke, w.clockwork.get, w.clockwork.list = not, not, not, not, not, not
	})
	one := `{"lease":"` + secretOf(1) + `"}`
	w.silent(t, "lease.keepalive", one)
	w.silent(t, "lease.keepalive", `{"leases":["`+secretOf(1)+`"]}`)
	w.silent(t, "lease.grant", one)
	w.silent(t, "lease.revoke", one)
	w.silent(t, "lease.get."+bus.Owner(secretOf(1)), "")
	w.silent(t, "lease.list", "")
	w.silent(t, "admin.revoke."+bus.Owner(secretOf(1)), "")
}

func TestAKeepaliveThatCannotBeMadeSureOfIsNotAnswered(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, nil)
	w.clockwork.hold(func() {
		w.clockwork.keepalive = func(context.Context) error { return fmt.Errorf("look: %w", backend.ErrUnavailable) }
	})
	w.silent(t, "lease.keepalive", `{"lease":"`+secretOf(1)+`"}`)
	w.clockwork.hold(func() { w.clockwork.keepalive = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() } })
	before := w.leases.Stats().Failed
	m := nats.NewMsg("roost.v1.lease.keepalive")
	m.Data, m.Header, m.Reply = []byte(`{"lease":"`+secretOf(1)+`"}`), nats.Header{bus.HeaderTimeout: {"50"}}, w.nc.NewInbox()
	if err := w.nc.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "the deadline", func() bool { return w.leases.Stats().Failed > before })
}

func TestARawRevokeCountsWhatEndsWithTheLease(t *testing.T) {
	t.Parallel()
	owned := map[string]int{bus.Owner(secretOf(1)): 3, bus.Owner(secretOf(2)): 2}
	w := serveLeases(t, nil, server.WithOwned(func(owner string) int { return owned[owner] }))
	w.clockwork.grantTo(secretOf(1), secretOf(2), secretOf(3))
	for _, c := range []struct{ subject, body, want, owner, reason string }{
		{"lease.revoke", `{"lease":"` + secretOf(1) + `"}`, `{"removed":3}`, bus.Owner(secretOf(1)), "revoked"},
		{"admin.revoke." + bus.Owner(secretOf(2)), `{"reason":"host is gone"}`, `{"removed":2}`, bus.Owner(secretOf(2)), "host is gone"},
		{"admin.revoke." + bus.Owner(secretOf(3)), "", `{"removed":0}`, bus.Owner(secretOf(3)), "admin"},
	} {
		m := w.must(t, nil, c.subject, c.body)
		if string(m.Data) != c.want || w.reason(c.owner) != c.reason {
			t.Errorf("%s: %s, ended as %q; want %s, %q", c.subject, m.Data, w.reason(c.owner), c.want, c.reason)
		}
		wantHeaders(t, m, "99", "5", "")
	}
	w.fail(t, bus.CodeLeaseExpired, "lease.revoke", `{"lease":"`+secretOf(1)+`"}`)
	w.fail(t, bus.CodeNotFound, "admin.revoke."+bus.Owner(secretOf(1)), "")
}

func TestARawGetShowsTheLease(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, nil, server.WithOwned(func(string) int { return 3 }))
	owner := bus.Owner(secretOf(1))
	w.must(t, nil, "lease.grant", `{"lease":"`+secretOf(1)+`","name":"payments"}`)
	want := `{"owner":"` + owner + `","name":"payments","ttl_ms":15000,"remaining_ms":15000,"state":"live","registrations":3,"granted_at":"2026-11-21T10:00:00.000Z"}`
	if m := w.must(t, nil, "lease.get."+owner, ""); string(m.Data) != want {
		t.Errorf("got %s; want %s", m.Data, want)
	}
	w.fail(t, bus.CodeNotFound, "lease.get."+bus.Owner(secretOf(2)), "")
	w.fail(t, bus.CodeCompacted, "lease.get."+owner, `{"min_revision":1}`, bus.HeaderEpoch, "4")
	w.fail(t, bus.CodeUnavailable, "lease.get."+owner, `{"min_revision":1000}`, bus.HeaderTimeout, "50")
	w.clockwork.hold(func() { w.clockwork.get = func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) } })
	w.fail(t, bus.CodeUnavailable, "lease.get."+owner, "", bus.HeaderTimeout, "50")
}

func TestRawListsOfLeasesAreWalkedPageByPage(t *testing.T) {
	t.Parallel()
	w := serveLeasesWith(t, 8192, nil)
	for i := range 300 {
		w.clockwork.grantTo(secretOf(i))
	}
	for _, limit := range []string{"", `"limit":7`, `"limit":300`} {
		var owners []string
		pages := 0
		for after := ""; ; pages++ {
			fields := append([]string{}, limit)
			if after != "" {
				fields = append(fields, `"after":"`+after+`"`)
			}
			var reply bus.LeasesReply
			w.must(t, &reply, "lease.list", "{"+strings.Trim(strings.Join(fields, ","), ",")+"}")
			for _, l := range reply.Leases {
				owners = append(owners, l.Owner)
			}
			if after = reply.Next; after == "" {
				break
			}
		}
		all, _ := w.clockwork.List(t.Context(), "", 1000)
		var want []string
		for _, s := range all {
			want = append(want, s.Owner)
		}
		if diff := cmp.Diff(want, owners); diff != "" || pages == 0 {
			t.Errorf("%q: after %d pages (-want +got):\n%s", limit, pages, diff)
		}
	}
}

func TestALeaseThatEndsMeanwhileCutsNoListShort(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, nil)
	for i := range 20 {
		w.clockwork.grantTo(secretOf(i))
	}
	all, _ := w.clockwork.List(t.Context(), "", 20)
	w.clockwork.hold(func() { w.clockwork.ending = map[string]bool{all[3].Owner: true, all[10].Owner: true} })
	var reply bus.LeasesReply
	w.must(t, &reply, "lease.list", `{"limit":10}`)
	if n := len(reply.Leases); n != 10 || reply.Next != all[11].Owner {
		t.Errorf("%d, and the rest after %q; want 10, and after %q", n, reply.Next, all[11].Owner)
	}
	w.must(t, &reply, "lease.list", `{"limit":10,"after":"`+reply.Next+`"}`)
	if n := len(reply.Leases); n != 8 {
		t.Errorf("then %d; want the last 8", n)
	}
}

func TestARequestOfLeasesThatIsWrongNamesTheField(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, nil)
	good := secretOf(1)
	w.clockwork.grantTo(good) // so that what is asked for does not matter otherwise
	for _, c := range []struct{ subject, body, field string }{
		{"lease.grant", ``, "lease"},
		{"lease.grant", `{"lease":"short"}`, "lease"},
		{"lease.grant", `{"lease":"` + good + `","nick":"x"}`, "nick"},
		{"lease.grant", `{"lease":"` + good + `","ttl_ms":999}`, "ttl_ms"},
		{"lease.grant", `{"lease":"` + good + `","ttl_ms":86400001}`, "ttl_ms"},
		{"lease.grant", `{"lease":"` + good + `","grace_ms":-1}`, "grace_ms"},
		{"lease.grant", `{"lease":"` + good + `","grace_ms":86400001}`, "grace_ms"},
		{"lease.grant", `{"lease":"` + good + `","connection":{"server_id":"N"}}`, "connection.client_id"},
		{"lease.keepalive", ``, "lease"},
		{"lease.keepalive", `{"lease":"` + good + `","leases":["` + good + `"]}`, "leases"},
		{"lease.keepalive", `{"leases":[]}`, "leases"},
		{"lease.keepalive", `{"leases":["` + strings.Repeat(good+`","`, bus.MaxKeepalive) + good + `"]}`, "leases"},
		{"lease.keepalive", `{"leases":["` + good + `","x"]}`, "leases.1"},
		{"lease.revoke", `{}`, "lease"},
		{"lease.get.x", ``, "owner"},
		{"lease.list", `{"limit":0}`, "limit"},
		{"lease.list", `{"after":"x"}`, "after"},
		{"lease.list", `{"consistency":"maybe"}`, "consistency"},
		{"admin.revoke.x", ``, "owner"},
		{"admin.revoke." + bus.Owner(good), `{"reason":"a\nb"}`, "reason"},
	} {
		if e := w.fail(t, bus.CodeInvalid, c.subject, c.body); e.Field != c.field {
			t.Errorf("%s %.60s: about %q; want %q", c.subject, c.body, e.Field, c.field)
		}
	}
	if e := w.fail(t, bus.CodeInvalid, "lease.keepalive", `{"lease":"`+good+`"}`, bus.HeaderTimeout, "soon"); e.Field != bus.HeaderTimeout {
		t.Errorf("about %q; want the header", e.Field)
	}
	if n := w.heard(); n != 0 {
		t.Errorf("the clock heard of %d of them", n)
	}
}

func TestAPanicAboutLeasesIsAnInternalError(t *testing.T) {
	t.Parallel()
	w := serveLeases(t, nil)
	w.clockwork.hold(func() { w.clockwork.touch = func(context.Context) error { panic(errSecret) } })
	w.clockwork.hold(func() { w.clockwork.list = w.clockwork.touch })
	w.fail(t, bus.CodeInternal, "lease.keepalive", `{"lease":"`+secretOf(1)+`"}`)
	w.fail(t, bus.CodeInternal, "lease.list", "")
	w.clockwork.hold(func() { w.clockwork.touch, w.clockwork.list = nil, nil })
	w.fail(t, bus.CodeLeaseExpired, "lease.keepalive", `{"lease":"`+secretOf(1)+`"}`)
	w.clockwork.hold(func() { w.clockwork.grant = func(context.Context) error { return errSecret } })
	if e := w.fail(t, bus.CodeInternal, "lease.grant", `{"lease":"`+secretOf(1)+`"}`); strings.Contains(e.Message, "hunter2") {
		t.Errorf("the error says %s", e.Message)
	}
	w.clockwork.hold(func() { w.clockwork.grant = func(context.Context) error { return context.DeadlineExceeded } })
	w.fail(t, bus.CodeUnknownOutcome, "lease.grant", `{"lease":"`+secretOf(1)+`"}`)
	w.clockwork.hold(func() {
		w.clockwork.grant = func(context.Context) error { return &backend.LimitError{Quota: "leases", Limit: 5} }
	})
	if e := w.fail(t, bus.CodeLimitExceeded, "lease.grant", `{"lease":"`+secretOf(1)+`"}`); !errors.Is(e, backend.ErrLimitExceeded) || e.Limit.Quota != "leases" {
		t.Errorf("%+v; want the quota of leases", e)
	}
}

func TestARawHealthRequestSaysHowLeasesAre(t *testing.T) {
	t.Parallel()
	var known atomic.Pointer[server.LeaseHealth]
	w := serveWire(t, wireBackend(t, backend.Nobody), 0, nil, server.WithLeases(func() server.LeaseHealth { return *known.Load() }))
	for _, c := range []struct {
		known          server.LeaseHealth
		status         backend.HealthStatus
		suspects, held *int
		problem, note  string
	}{
		{known: server.LeaseHealth{Leases: 4, Events: true}, status: backend.Healthy},
		{known: server.LeaseHealth{Leases: 4}, status: backend.Healthy, note: "no connection events"},
		{
			known:  server.LeaseHealth{Leases: 4, Events: true, Keeper: true, Suspects: 1},
			status: backend.Healthy, suspects: new(1), held: new(0),
		},
		{
			known:  server.LeaseHealth{Leases: 40, Events: true, Keeper: true, Suspects: 1, Held: 20},
			status: backend.Degraded, suspects: new(1), held: new(20), problem: "20 leases are held back",
		},
	} {
		known.Store(&c.known)
		var got bus.HealthReply
		w.must(t, &got, "registry.health", "")
		want := bus.HealthReply{Leases: c.known.Leases, Suspects: c.suspects, Held: c.held, ConnectionEvents: &c.known.Events, Status: c.status}
		has := bus.HealthReply{Leases: got.Leases, Suspects: got.Suspects, Held: got.Held, ConnectionEvents: got.ConnectionEvents, Status: got.Status}
		if diff := cmp.Diff(want, has); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.known, diff)
		}
		for _, said := range []struct {
			want string
			got  []string
		}{{c.problem, got.Problems}, {c.note, got.Notes}} {
			if text := strings.Join(said.got, "; "); (text == "") != (said.want == "") || !strings.Contains(text, said.want) {
				t.Errorf("%+v: %q is said; want %q", c.known, text, said.want)
			}
		}
	}
}
