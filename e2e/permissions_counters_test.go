package e2e_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/natskv"
	natsmodule "github.com/roostbus/roost/modules/nats"
)

func TestTheRegistryMayCountAndItsClientsMayNot(t *testing.T) {
	t.Parallel()
	e, err := natsmodule.StartEmbedded(natsmodule.EmbeddedConfig{
		Name: "counts", Listen: "127.0.0.1:0", Subjects: subjects(t), StoreDir: t.TempDir(),
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	answering, writing, err := e.Connect(quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(answering.Close)
	t.Cleanup(writing.Close)
	c := openCounters(t, openStore(t, writing, bucket(func(c *natskv.Config) { c.Bucket = subjects(t).Bucket() })))
	if got, err := c.Add(t.Context(), "default.c", 5, ""); got != (kvstore.Sum{Value: "5"}) || err != nil {
		t.Fatalf("the registry: %+v, %v; want 5", got, err)
	}
	client := connect(t, e.ClientURL())
	m := nats.NewMsg("$KV." + natskv.CountersOf("roost_v1") + ".default.c")
	m.Header.Set("Nats-Incr", "7")
	if reply, err := client.RequestMsg(m, time.Second); err == nil {
		t.Errorf("a client's addition was answered: %s", reply.Data)
	}
	if got, err := c.Value(t.Context(), "default.c"); got != "5" || err != nil {
		t.Errorf("Value() = %s, %v; want 5", got, err)
	}
}

func TestNobodyButTheRegistryHearsRequestsAboutObjects(t *testing.T) {
	t.Parallel()
	g := guarded(t, false)
	client := connect(t, g.url)
	for _, kind := range bus.Kinds() {
		subject := subjects(t).OfObject(kind, bus.VerbGet, bus.Object{Namespace: "a", Name: "b"})
		ear, err := client.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		hears, err := g.answering.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		for _, nc := range []*nats.Conn{client, g.answering} {
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.Publish(subject, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := hears.NextMsg(5 * time.Second); err != nil {
			t.Errorf("%s: the registry: %v", subject, err)
		}
		if m, err := ear.NextMsg(10 * time.Millisecond); err == nil {
			t.Errorf("%s: a client heard %s", subject, m.Data)
		}
	}
}
