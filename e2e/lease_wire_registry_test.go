package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules"
	"github.com/roostbus/roost/modules/config"
	natsmodule "github.com/roostbus/roost/modules/nats"
)

// leasedNode is a whole node as `roost serve` runs it, and a client of its NATS server.
func leasedNode(t *testing.T, kind string) *wireWorld {
	t.Helper()
	c := config.DefaultServer()
	c.Listen, c.StoreDir, c.Node, c.Backend = "127.0.0.1:0", t.TempDir(), "leased", kind
	var link *natsmodule.Link
	app := fxtest.New(t, fx.Supply(c, config.Version("0.0.0"), slog.New(slog.DiscardHandler)),
		fx.Provide(func() context.Context { return t.Context() }), fx.NopLogger, modules.Server, fx.Populate(&link))
	app.RequireStart()
	t.Cleanup(func() { app.RequireStop() })
	w := &wireWorld{nc: connect(t, link.ClientURL)}
	natstest.Await(t, "somebody to hear of leases", func() bool {
		_, err := w.nc.Request("roost.v1.lease.list", nil, 5*time.Second)
		return err == nil
	})
	return w
}

// grantOf grants the lease of a secret.
func (w *wireWorld) grantOf(t *testing.T, secret string, ttl time.Duration) (owner string) {
	t.Helper()
	var reply bus.GrantReply
	w.must(t, &reply, "lease.grant", fmt.Sprintf(`{"lease":"%s","ttl_ms":%d}`, secret, ttl.Milliseconds()))
	return reply.Owner
}

// count returns how many registrations there are.
func (w *wireWorld) count(t *testing.T) int {
	t.Helper()
	var reply bus.CountReply
	w.must(t, &reply, "registry.count", `{"consistency":"linearizable"}`)
	return reply.Count
}

// onEachStore runs check on a node that keeps everything in JetStream and on one that
// keeps nothing.
func onEachStore(t *testing.T, check func(t *testing.T, w *wireWorld)) {
	t.Helper()
	for _, kind := range []string{"hybrid", "memory"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			check(t, leasedNode(t, kind))
		})
	}
}

func TestARegistrationBelongsToTheLeaseThatItWasMadeWith(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, w *wireWorld) {
		mine, yours := `"lease":"`+secretOf(1)+`"`, `"lease":"`+secretOf(2)+`"`
		const name = "registry.%s.default.payments.i-1"
		register, update, unregister := fmt.Sprintf(name, "register"), fmt.Sprintf(name, "update"), fmt.Sprintf(name, "unregister")

		// Nobody's lease.
		for subject, body := range map[string]string{
			register: "{" + mine + "}", update: "{" + mine + `,"weight":1}`, unregister: "{" + mine + "}",
		} {
			w.fail(t, bus.CodeLeaseExpired, subject, body)
		}
		owner := w.grantOf(t, secretOf(1), time.Hour)
		other := w.grantOf(t, secretOf(2), time.Hour)

		var made struct{ Owner string }
		w.must(t, &made, register, "{"+mine+"}")
		if made.Owner != owner || owner != bus.Owner(secretOf(1)) {
			t.Errorf("registered as %q; want %q", made.Owner, owner)
		}
		if e := w.fail(t, bus.CodeExists, register, "{"+yours+"}"); e.Holder == nil || e.Holder.Owner != owner {
			t.Errorf("the holder is %+v; want %s", e.Holder, owner)
		}
		w.fail(t, bus.CodeExists, register, "{}")
		for subject, body := range map[string]string{
			update: "{" + yours + `,"weight":1}`, unregister: "{" + yours + "}",
		} {
			if e := w.fail(t, bus.CodeNotOwner, subject, body); e.Owner != owner {
				t.Errorf("%s: the owner is %q; want %q", subject, e.Owner, owner)
			}
		}
		w.fail(t, bus.CodeNotOwner, update, `{"weight":1}`)
		w.fail(t, bus.CodeNotOwner, unregister, "")
		w.must(t, nil, update, "{"+mine+`,"weight":7}`)

		// A permanent one may be changed with a lease and stays permanent.
		w.must(t, nil, "registry.register.default.payments.permanent", "")
		w.must(t, &made, "registry.update.default.payments.permanent", "{"+yours+`,"weight":3}`)
		if made.Owner != "" {
			t.Errorf("a permanent one belongs to %q now", made.Owner)
		}

		var batch bus.BatchReply
		w.must(t, &batch, "registry.batch.default", `{"operations":[
			{"op":"register","service":"orders","instance":"a",`+yours+`},
			{"op":"update","service":"payments","instance":"i-1","weight":9,`+yours+`},
			{"op":"register","service":"orders","instance":"b","lease":"`+secretOf(3)+`"},
			{"op":"unregister","service":"payments","instance":"i-1",`+mine+`}]}`)
		var codes []bus.Code
		for _, r := range batch.Results {
			code := bus.Code("")
			if r.Error != nil {
				code = r.Code
			}
			codes = append(codes, code)
		}
		if got, want := fmt.Sprint(codes), fmt.Sprint([]bus.Code{"", bus.CodeNotOwner, bus.CodeLeaseExpired, ""}); got != want {
			t.Errorf("the batch: %s; want %s", got, want)
		}

		var lease bus.Lease
		w.must(t, &lease, "lease.get."+other, "")
		if lease.Registrations != 1 || lease.State != "live" {
			t.Errorf("%+v; want a live one of 1 registration", lease)
		}
	})
}

func TestWithItsLeaseARegistrationIsGone(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, w *wireWorld) {
		ends := map[string]func(secret string){
			"revoked": func(secret string) { w.revoke(t, "lease.revoke", `{"lease":"`+secret+`"}`) },
			"admin":   func(secret string) { w.revoke(t, "admin.revoke."+bus.Owner(secret), "") },
			"why not": func(secret string) { w.revoke(t, "admin.revoke."+bus.Owner(secret), `{"reason":"why not"}`) },
			"expired": func(string) {
				natstest.Await(t, "the end", func() bool { return w.count(t) == 0 })
			},
		}
		n := 10
		for reason, end := range ends {
			n++
			secret := secretOf(n)
			heard := make(chan *nats.Msg, 10)
			sub, err := w.nc.ChanSubscribe("roost.v1.event.>", heard)
			if err != nil {
				t.Fatal(err)
			}
			flush(t, w.nc)
			ttl := time.Hour
			if reason == "expired" {
				ttl = time.Second
			}
			owner := w.grantOf(t, secret, ttl)
			for _, name := range []string{"a", "b"} {
				w.must(t, nil, "registry.register.default.payments."+name, `{"lease":"`+secret+`"}`)
			}
			end(secret)
			if left := w.count(t); left != 0 {
				t.Errorf("%s: %d are listed after the end of their lease", reason, left)
			}
			w.fail(t, bus.CodeLeaseExpired, "registry.register.default.payments.a", `{"lease":"`+secret+`"}`)
			w.fail(t, bus.CodeLeaseExpired, "lease.keepalive", `{"lease":"`+secret+`"}`)
			w.fail(t, bus.CodeLeaseExpired, "lease.grant", `{"lease":"`+secret+`"}`)
			w.fail(t, bus.CodeNotFound, "lease.get."+owner, "")
			var expired int
			for expired < 2 {
				m := receive(t, "an event of the end", heard)
				if m.Header.Get(bus.HeaderEvent) != "expired" {
					continue
				}
				expired++
				if got := m.Header.Get(bus.HeaderReason); got != reason {
					t.Errorf("%s: the event says %q", reason, got)
				}
			}
			_ = sub.Unsubscribe()
		}
	})
}

// revoke checks that two registrations end.
func (w *wireWorld) revoke(t *testing.T, subject, body string) {
	t.Helper()
	var reply bus.RevokeReply
	w.must(t, &reply, subject, body)
	if reply.Removed != 2 {
		t.Errorf("%s removed %d; want 2", subject, reply.Removed)
	}
}

// L6. That leases end on this node, with the rights of its answering connection, is in
// TestWithItsLeaseARegistrationIsGone.
func TestNobodyButTheServerHearsRequestsOfLeases(t *testing.T) {
	t.Parallel()
	w, p := leasedNode(t, "memory"), subjects(t)
	for _, subject := range []string{
		p.LeaseGrant(), p.LeaseKeepalive(), p.LeaseRevoke(), p.LeaseList(), p.LeaseGet("*"), p.AdminRevoke("*"), "roost.v1.lease.>", "roost.v1.admin.>",
	} {
		refused := make(chan error, 1)
		nc, err := nats.Connect(w.nc.ConnectedUrl(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		if err := receive(t, "the refusal of "+subject, refused); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s: %v; want a violation", subject, err)
		}
		nc.Close()
	}
}

// L6. An owner is public: it opens nothing.
func TestWhoKnowsAnOwnerCanDoNothingInItsName(t *testing.T) {
	t.Parallel()
	w := leasedNode(t, "memory")
	owner := w.grantOf(t, secretOf(1), time.Hour)
	w.must(t, nil, "registry.register.default.payments.i-1", `{"lease":"`+secretOf(1)+`"}`)
	for _, name := range []string{owner, bus.Owner(owner)} {
		body := `{"lease":"` + name + `"}`
		w.fail(t, bus.CodeLeaseExpired, "lease.keepalive", body)
		w.fail(t, bus.CodeLeaseExpired, "lease.revoke", body)
		w.fail(t, bus.CodeLeaseExpired, "registry.unregister.default.payments.i-1", body)
	}
	reply := w.must(t, nil, "lease.keepalive", `{"leases":["`+owner+`","`+secretOf(1)+`"]}`)
	var kept bus.KeepalivesReply
	if err := json.Unmarshal(reply.Data, &kept); err != nil || len(kept.Expired) != 1 || kept.Expired[0] != bus.Owner(owner) {
		t.Errorf("got %s; want the owner of the owner alone", reply.Data)
	}
	if n := w.count(t); n != 1 {
		t.Errorf("%d registrations; want 1", n)
	}
}
