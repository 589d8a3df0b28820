package e2e_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestAClientOfTheEmbeddedServerMayAskHearAndUseCoreNATS(t *testing.T) {
	t.Parallel()
	g := guarded(t, false)
	c, other := connect(t, g.url), connect(t, g.url)

	for _, subject := range []string{"roost.v1.registry.lookup.default.orders.i-1", "$SRV.INFO.roost", "roost.v1.admin.unregister.default.orders.i-1"} {
		if _, err := c.Request(subject, nil, 5*time.Second); err != nil {
			t.Errorf("request %s: %v", subject, err)
		}
	}
	events, err := c.SubscribeSync("roost.v1.event.>")
	if err != nil {
		t.Fatal(err)
	}
	service, err := other.Subscribe("billing.>", func(m *nats.Msg) { _ = m.Respond(m.Data) })
	if err != nil {
		t.Fatal(err)
	}
	flush(t, c, other)
	if reply, err := c.Request("billing.charge", []byte("5"), 5*time.Second); err != nil || string(reply.Data) != "5" {
		t.Errorf("request to an application's own service: %v, %v", reply, err)
	}
	if !service.IsValid() {
		t.Error("the application's own subscription has ended")
	}
	if err := g.writing.Publish("$KV.roost_v1.event.default.orders.i-2", []byte("real")); err != nil {
		t.Fatal(err)
	}
	if m, err := events.NextMsg(5 * time.Second); err != nil || m.Subject != "roost.v1.event.default.orders.i-2" {
		t.Errorf("event = %v, %v; want the one of i-2", m, err)
	}
}

func TestTheRegistrysRolesNeedTheirPasswords(t *testing.T) {
	t.Parallel()
	g := guarded(t, false)
	for _, user := range []string{"writing", "answering"} {
		c := connect(t, g.url, nats.UserInfo(user, "guess"), nats.PermissionErrOnSubscribe(true))
		publish(t, c, nats.NewMsg(forgedKey))
		g.settled(t, c)
		if g.newest(t, forgedKey) != nil {
			t.Errorf("user %q with a wrong password wrote the bucket", user)
		}
		sub, err := c.SubscribeSync("roost.v1.lease.>")
		if err != nil {
			t.Fatal(err)
		}
		flush(t, c)
		if _, err := sub.NextMsg(5 * time.Second); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("user %q with a wrong password subscribed to leases: %v", user, err)
		}
	}
}

func TestTrustedClientsMayDoEverything(t *testing.T) {
	t.Parallel()
	g := guarded(t, true)
	c := connect(t, g.url)
	publish(t, c, nats.NewMsg(forgedKey))
	flush(t, c)
	if !ask(c, "$JS.API.STREAM.INFO."+bucketStream, struct{}{}) {
		t.Error("a trusted client cannot use JetStream")
	}
	if g.newest(t, forgedKey) == nil {
		t.Error("a trusted client cannot write the bucket")
	}
}
