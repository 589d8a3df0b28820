package e2e_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/modules"
	"github.com/roostbus/roost/modules/config"
	natsmodule "github.com/roostbus/roost/modules/nats"
)

// ground is a NATS server with what the attacks aim at: the registry's bucket, its
// republishing, one who answers requests, and the connections that the registry has.
type ground struct {
	url                string
	answering, writing *nats.Conn
	stream             jetstream.Stream
	sequence           uint64 // of theKey
	inbox              *nats.Subscription
}

const bucketStream = "KV_roost_v1"

func subjects(tb testing.TB) bus.Subjects {
	tb.Helper()
	s, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// guarded is the embedded server as `roost serve` runs it.
func guarded(t *testing.T, trusted bool) *ground {
	t.Helper()
	e, err := natsmodule.StartEmbedded(natsmodule.EmbeddedConfig{
		Name: "guarded", Listen: "127.0.0.1:0", Subjects: subjects(t), StoreDir: t.TempDir(), TrustedClients: trusted,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	g := &ground{url: e.ClientURL()}
	if g.answering, g.writing, err = e.Connect(quiet); err != nil {
		t.Fatal(err)
	}
	g.furnish(t)
	return g
}

// running is a whole node.
func running(t *testing.T) *ground {
	t.Helper()
	c := config.DefaultServer()
	c.Listen, c.StoreDir, c.Node = "127.0.0.1:0", t.TempDir(), "running"
	var link *natsmodule.Link
	var b backend.Backend
	app := fxtest.New(t, fx.Supply(c, config.Version("0.0.0"), slog.New(slog.DiscardHandler)),
		fx.Provide(func() context.Context { return t.Context() }), fx.NopLogger, modules.Server, fx.Populate(&link, &b))
	app.RequireStart()
	t.Cleanup(func() { app.RequireStop() })
	r, _, err := b.Register(t.Context(), backend.Registration{
		Key: backend.Key{Namespace: "default", Service: "orders", Instance: "i-1"},
	}, backend.Write{})
	if err != nil {
		t.Fatal(err)
	}
	g := &ground{url: link.ClientURL, answering: link.Answering, writing: link.Writing, sequence: uint64(r.Revision)}
	js, err := jetstream.New(link.Writing)
	if err != nil {
		t.Fatal(err)
	}
	if g.stream, err = js.Stream(t.Context(), bucketStream); err != nil {
		t.Fatal(err)
	}
	g.watchInbox(t)
	return g
}

// plain is a NATS server that nobody has protected: one account, one kind of client.
func plain(t *testing.T) *ground {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the plain server is not ready")
	}
	g := &ground{url: s.ClientURL(), answering: connect(t, s.ClientURL()), writing: connect(t, s.ClientURL())}
	g.furnish(t)
	return g
}

// quiet keeps the refusals that tests provoke off the terminal.
func quiet(o *nats.Options) error {
	o.AsyncErrorCB = func(*nats.Conn, *nats.Subscription, error) {}
	return nil
}

func connect(t testing.TB, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append(opts, quiet)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func (g *ground) furnish(t *testing.T) {
	t.Helper()
	t.Cleanup(g.answering.Close)
	t.Cleanup(g.writing.Close)
	js, err := jetstream.New(g.writing)
	if err != nil {
		t.Fatal(err)
	}
	g.stream, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: bucketStream, Subjects: []string{"$KV.roost_v1.>"}, MaxMsgsPerSubject: 1, AllowRollup: true, AllowDirect: true,
		RePublish: &jetstream.RePublish{Source: "$KV.roost_v1.*.*.*.*", Destination: "roost.v1.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}.{{wildcard(4)}}"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ack, err := js.Publish(t.Context(), theKey, []byte(`{"instance":"i-1"}`))
	if err != nil {
		t.Fatal(err)
	}
	g.sequence = ack.Sequence
	for _, subject := range subjects(t).Requests() {
		_, err := g.answering.QueueSubscribe(subject, bus.QueueGroup, func(m *nats.Msg) {
			if strings.HasPrefix(m.Subject, "roost.v1.registry.unregister.") {
				_ = g.writing.Publish(theKey, nil) // as naive as can be
			}
			_ = m.Respond([]byte(`{"instance":"i-1"}`)) // an error shows as a missing reply
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.answering.Subscribe("$SRV.>", func(m *nats.Msg) { _ = m.Respond([]byte(`{}`)) }); err != nil {
		t.Fatal(err)
	}
	g.watchInbox(t)
	flush(t, g.answering, g.writing)
}

// watchInbox hears what comes to an inbox of the writing connection.
func (g *ground) watchInbox(t *testing.T) {
	t.Helper()
	var err error
	if g.inbox, err = g.writing.SubscribeSync(g.writing.NewRespInbox()); err != nil {
		t.Fatal(err)
	}
}

func flush(t testing.TB, conns ...*nats.Conn) {
	t.Helper()
	for _, nc := range conns {
		if err := nc.FlushTimeout(10 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
}

// settled waits until all that an attack on g has set off has happened.
func (g *ground) settled(t *testing.T, attacker *nats.Conn) {
	t.Helper()
	for range 3 {
		flush(t, attacker, g.answering, g.writing)
		if _, err := attacker.Request("roost.v1.registry.lookup.default.orders.i-1", nil, 10*time.Second); err != nil {
			t.Fatalf("look-up after the attack: %v", err)
		}
	}
}

// theKey is the one registration that every ground begins with.
const theKey = "$KV.roost_v1.event.default.orders.i-1"

// newest returns the newest message under a key, nil if there is none.
func (g *ground) newest(t *testing.T, key string) *jetstream.RawStreamMsg {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m, err := g.stream.GetLastMsgForSubject(ctx, key)
	if err != nil {
		return nil
	}
	return m
}

// intact reports whether theKey is as it was at the beginning.
func (g *ground) intact(t *testing.T) bool {
	t.Helper()
	m := g.newest(t, theKey)
	return m != nil && m.Sequence == g.sequence
}

// ask sends a JetStream request and returns whether it was carried out.
func ask(nc *nats.Conn, subject string, request any) bool {
	body, err := json.Marshal(request)
	if err != nil {
		return false
	}
	reply, err := nc.Request(subject, body, 2*time.Second)
	if err != nil {
		return false
	}
	var answer struct {
		Error *struct{} `json:"error"`
	}
	return json.Unmarshal(reply.Data, &answer) == nil && answer.Error == nil
}
