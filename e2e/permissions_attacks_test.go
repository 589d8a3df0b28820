package e2e_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// attack is what a client may try. It returns a function that says whether it worked, to
// be asked once all that it set off has happened.
type attack struct {
	name string
	try  func(t *testing.T, g *ground, c *nats.Conn) (worked func() bool)
}

const forgedKey = "$KV.roost_v1.event.default.orders.i-666"

// L6: nobody without the server role can forge events, announcements, answers or records,
// by whatever reply subject or stream.
var attacks = []attack{
	{"WritesTheBucket", forgesARecord(func(t *testing.T, _ *ground, c *nats.Conn) {
		t.Helper()
		publish(t, c, nats.NewMsg(forgedKey))
	})},
	{"PurgesAKeyWithARollup", func(t *testing.T, g *ground, c *nats.Conn) func() bool {
		t.Helper()
		m := nats.NewMsg(theKey)
		m.Header.Set("Nats-Rollup", "sub")
		m.Header.Set("KV-Operation", "PURGE")
		publish(t, c, m)
		return func() bool { return !g.intact(t) }
	}},
	{"ForgesAnEvent", forges("roost.v1.event.default.orders.i-1")},
	{"ForgesAnAnnouncement", forges("roost.v1.announce.election.default.boss")},
	{"ForgesABeacon", forges("roost.v1.beacon")},
	{"JoinsTheQueueGroup", steals("roost.v1.registry.>")},
	{"JoinsTheQueueGroupOfOneRequest", steals("roost.v1.registry.lookup.default.orders.i-1")},
	{"JoinsTheQueueGroupByAWildcardWithin", steals("roost.v1.registry.*.default.>")},
	{"JoinsTheQueueGroupByAWiderWildcard", steals("roost.>")},
	{"JoinsTheQueueGroupByStars", steals("*.*.*.>")},
	{"JoinsTheQueueGroupByEverything", steals(">")},
	{"HearsLeaseSecrets", overhears("roost.v1.lease.grant")},
	{"HearsLeaseSecretsByAWiderWildcard", overhears("roost.v1.>")},
	{"HearsLeaseSecretsByEverything", overhears(">")},
	{"DeletesTheStream", func(_ *testing.T, _ *ground, c *nats.Conn) func() bool {
		done := ask(c, "$JS.API.STREAM.DELETE."+bucketStream, struct{}{})
		return func() bool { return done }
	}},
	{"PurgesTheStream", func(t *testing.T, g *ground, c *nats.Conn) func() bool {
		ask(c, "$JS.API.STREAM.PURGE."+bucketStream, struct{}{})
		return func() bool { return !g.intact(t) }
	}},
	{"DeletesAMessage", func(t *testing.T, g *ground, c *nats.Conn) func() bool {
		ask(c, "$JS.API.STREAM.MSG.DELETE."+bucketStream, map[string]any{"seq": g.sequence})
		return func() bool { return !g.intact(t) }
	}},
	{"ReconfiguresTheStream", func(_ *testing.T, _ *ground, c *nats.Conn) func() bool {
		done := ask(c, "$JS.API.STREAM.UPDATE."+bucketStream, map[string]any{
			"name": bucketStream, "subjects": []string{"$KV.roost_v1.>", "more"}, "max_msgs_per_subject": 1, "storage": "file",
			"retention": "limits", "discard": "old", "num_replicas": 1, "allow_rollup_hdrs": true, "allow_direct": true,
			"max_age": 0, "max_msgs": -1, "max_bytes": -1, "max_consumers": -1, "duplicate_window": 120_000_000_000,
			"republish": map[string]any{"src": "$KV.roost_v1.*.*.*.*", "dest": "roost.v1.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}.{{wildcard(4)}}"},
		})
		return func() bool { return done }
	}},
	{"NamesAKeyAsReplyOfALookup", forgesARecord(replyTo("roost.v1.registry.lookup.default.orders.i-1"))},
	{"NamesAKeyAsReplyOfADiscovery", forgesARecord(replyTo("$SRV.INFO.roost"))},
	{"NamesAKeyAsReplyOfAJetStreamCall", forgesARecord(replyTo("$JS.API.INFO"))},
	{"NamesAKeyAsReplyOfADirectGet", forgesARecord(replyTo("$JS.API.DIRECT.GET." + bucketStream + ".$KV.roost_v1.event.default.orders.i-1"))},
	{"NamesAKeyAsReplyOfAServerRequest", forgesARecord(replyTo("$SYS.REQ.USER.INFO"))},
	{"NamesAKeyAsTraceDestination", forgesARecord(func(t *testing.T, _ *ground, c *nats.Conn) {
		m := nats.NewMsg("anything")
		m.Header.Set("Nats-Trace-Dest", forgedKey)
		publish(t, c, m)
	})},
	{"NamesARequestAsReplyOfALookup", func(t *testing.T, g *ground, c *nats.Conn) func() bool {
		m := nats.NewMsg("roost.v1.registry.lookup.default.orders.i-1")
		m.Reply = "roost.v1.registry.unregister.default.orders.i-1"
		publish(t, c, m)
		return func() bool { return !g.intact(t) }
	}},
	{"ForgesAnAcknowledgement", func(t *testing.T, g *ground, c *nats.Conn) func() bool {
		m := nats.NewMsg(g.inbox.Subject)
		m.Data = []byte(`{"stream":"KV_roost_v1","seq":7}`)
		publish(t, c, m)
		return g.acknowledged
	}},
	{"NamesTheWritersInboxAsReplyOfALookup", func(t *testing.T, g *ground, c *nats.Conn) func() bool {
		m := nats.NewMsg("roost.v1.registry.lookup.default.orders.i-1")
		m.Reply = g.inbox.Subject
		publish(t, c, m)
		return g.acknowledged
	}},
	{"MakesItsOwnStreamRepublishIntoTheBucket", forgesARecord(func(t *testing.T, _ *ground, c *nats.Conn) {
		ask(c, "$JS.API.STREAM.CREATE.mine", map[string]any{
			"name": "mine", "subjects": []string{"mine.>"}, "storage": "memory", "retention": "limits", "num_replicas": 1,
			"republish": map[string]any{"src": "mine.>", "dest": "$KV.roost_v1.event.default.orders.>"},
		})
		publish(t, c, nats.NewMsg("mine.i-666"))
	})},
	{"CapturesLeaseRequestsWithItsOwnStream", func(t *testing.T, _ *ground, c *nats.Conn) func() bool {
		ask(c, "$JS.API.STREAM.CREATE.spy", map[string]any{
			"name": "spy", "subjects": []string{"roost.v1.lease.>"}, "storage": "memory", "retention": "limits", "num_replicas": 1,
			"no_ack": true,
		})
		publish(t, c, &nats.Msg{Subject: "roost.v1.lease.grant", Reply: nats.NewInbox(), Data: []byte(`{"lease":"sesame"}`)})
		return func() bool {
			reply, err := c.Request("$JS.API.STREAM.MSG.GET.spy", []byte(`{"last_by_subj":"roost.v1.lease.grant"}`), 2*time.Second)
			return err == nil && strings.Contains(string(reply.Data), `"message"`)
		}
	}},
}

// The embedded server's permissions alone keep attacks off, with a registry that answers
// whatever it is asked; and so does a whole node.
func TestAnAttackFails(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(*testing.T) *ground{
		"OnTheEmbeddedServer": func(t *testing.T) *ground { t.Helper(); return guarded(t, false) },
		"OnARunningNode":      running,
	} {
		for _, a := range attacks {
			t.Run(name+"/"+a.name, func(t *testing.T) {
				t.Parallel()
				g := build(t)
				c := connect(t, g.url)
				worked := a.try(t, g, c)
				g.settled(t, c)
				if worked() {
					t.Error("the attack worked")
				}
				if !g.intact(t) {
					t.Error("the registration is not what it was")
				}
			})
		}
	}
}

// Without this test the one above could pass with attacks that attack nothing.
func TestTheSameAttackWorksOnAServerThatNobodyProtects(t *testing.T) {
	t.Parallel()
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			g := plain(t)
			c := connect(t, g.url)
			worked := a.try(t, g, c)
			deadline := time.Now().Add(10 * time.Second)
			for !worked() {
				if time.Now().After(deadline) {
					t.Fatal("the attack did not work, so it shows nothing on the embedded server")
				}
				flush(t, c, g.answering, g.writing)
			}
		})
	}
}

func publish(t *testing.T, c *nats.Conn, m *nats.Msg) {
	t.Helper()
	if err := c.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
}

// replyTo names a key of the bucket as the reply subject of a request.
func replyTo(request string) func(*testing.T, *ground, *nats.Conn) {
	return func(t *testing.T, _ *ground, c *nats.Conn) {
		t.Helper()
		m := nats.NewMsg(request)
		m.Reply = forgedKey
		publish(t, c, m)
	}
}

// forgesARecord works if the bucket then has a record that the registry did not write.
func forgesARecord(try func(*testing.T, *ground, *nats.Conn)) func(*testing.T, *ground, *nats.Conn) func() bool {
	return func(t *testing.T, g *ground, c *nats.Conn) func() bool {
		t.Helper()
		try(t, g, c)
		return func() bool { return g.newest(t, forgedKey) != nil }
	}
}

// forges works if another client hears what c says on subject.
func forges(subject string) func(*testing.T, *ground, *nats.Conn) func() bool {
	return func(t *testing.T, g *ground, c *nats.Conn) func() bool {
		t.Helper()
		victim := connect(t, g.url)
		heard, err := victim.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		flush(t, victim)
		publish(t, c, &nats.Msg{Subject: subject, Data: []byte("forged")})
		return func() bool {
			flush(t, victim)
			n, _, err := heard.Pending()
			return err == nil && n > 0
		}
	}
}

// steals works if c gets requests that are meant for the registry. Every request must be
// answered all the same: a server that picks a member which may not hear it picks another.
func steals(subject string) func(*testing.T, *ground, *nats.Conn) func() bool {
	return func(t *testing.T, g *ground, c *nats.Conn) func() bool {
		t.Helper()
		var stolen atomic.Int64
		_, err := c.QueueSubscribe(subject, "roost", func(m *nats.Msg) {
			if strings.HasPrefix(m.Subject, "roost.v1.registry.") {
				stolen.Add(1)
				_ = m.Respond([]byte(`{"instance":"i-1"}`)) // so that the victim goes on
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		flush(t, c)
		victim := connect(t, g.url)
		for i := range 200 {
			if _, err := victim.Request("roost.v1.registry.lookup.default.orders.i-1", nil, 5*time.Second); err != nil {
				t.Fatalf("look-up %d: %v", i, err)
			}
		}
		flush(t, c)
		return func() bool { return stolen.Load() > 0 }
	}
}

// overhears works if c, subscribed to subject, hears another client's lease secret.
func overhears(subject string) func(*testing.T, *ground, *nats.Conn) func() bool {
	return func(t *testing.T, g *ground, c *nats.Conn) func() bool {
		t.Helper()
		sub, err := c.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		flush(t, c)
		victim := connect(t, g.url)
		secret := fmt.Sprintf(`{"lease":"%s"}`, strings.Repeat("s", 22))
		if err := victim.PublishRequest("roost.v1.lease.grant", nats.NewInbox(), []byte(secret)); err != nil {
			t.Fatal(err)
		}
		flush(t, victim)
		found := false
		return func() bool {
			flush(t, c)
			for {
				m, err := sub.NextMsg(time.Millisecond)
				if err != nil {
					return found
				}
				found = found || string(m.Data) == secret
			}
		}
	}
}

// acknowledged reports whether anything came to the inbox of the writing connection.
func (g *ground) acknowledged() bool {
	n, _, err := g.inbox.Pending()
	return err == nil && n > 0
}
