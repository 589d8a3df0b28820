package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
	"github.com/roostbus/roost/kvstore/natskv"
)

// listen returns what is published under the prefix from now on.
func listen(t *testing.T, nc *nats.Conn) <-chan *nats.Msg {
	t.Helper()
	heard := make(chan *nats.Msg, 1000)
	if _, err := nc.ChanSubscribe(bus.DefaultPrefix+".>", heard); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return heard
}

// publishing is a store in memory whose changes are published through nc.
func publishing(t *testing.T, nc *nats.Conn, before ...kvstore.Write) *memkv.Store {
	t.Helper()
	store := memkv.New()
	for _, w := range before {
		write(t, store, w)
	}
	p := server.NewPublisher(nc, subjects(t), nil)
	live := &awaitLive{Publisher: p, live: make(chan uint64, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- store.Feed(ctx, live) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		store.Close()
	})
	receive(t, "live feed", live.live)
	return store
}

// awaitLive tells of every Live.
type awaitLive struct {
	*server.Publisher
	live chan uint64
}

func (a *awaitLive) Live(revision uint64) {
	a.Publisher.Live(revision)
	a.live <- revision
}

func write(t *testing.T, s kvstore.Store, w kvstore.Write) uint64 {
	t.Helper()
	revision, err := s.Write(t.Context(), w)
	if err != nil {
		t.Fatalf("write %s: %v", w.Key, err)
	}
	return revision
}

// changes makes writes of every kind, and returns what was published of them. It waits for
// each, because a store shows the newest state of a key only.
func changes(t *testing.T, s kvstore.Store, heard <-chan *nats.Msg) []told {
	t.Helper()
	var all []told
	newest := map[string]uint64{}
	for _, w := range []kvstore.Write{
		{Key: "event.default.a.i", Value: []byte(`{"v":1}`), Labels: kvstore.Labels{Event: "registered", Operation: "0a"}},
		{Key: "lease.x", Value: []byte("secret")},
		{Key: "event.default.b.i", Value: []byte(`{"v":2}`), Labels: kvstore.Labels{Event: "registered", Operation: "0b"}},
		{Key: "event.default.a.i", Value: []byte(`{"v":3}`), Labels: kvstore.Labels{Event: "updated", Operation: "0c"}},
		{
			Key: "event.default.b.i", Value: []byte(`{"v":2}`), Remove: true, Keep: time.Hour,
			Labels: kvstore.Labels{Event: "unregistered", Reason: "moved", Operation: "0d"},
		},
		{Key: "announce.election.default.x", Value: []byte(`{"term":1}`), Labels: kvstore.Labels{Operation: "0e"}},
	} {
		w.Expect = newest[w.Key]
		last := newest[w.Key]
		newest[w.Key] = write(t, s, w)
		if w.Key != "lease.x" {
			all = append(all, tell(t, receive(t, w.Key, heard), newest[w.Key], last))
		}
	}
	return all
}

// told is what a subscriber is promised of a message.
type told struct {
	Subject, Body string
	Header        map[string]string
}

// promised are the headers that the protocol promises besides the revisions.
var promised = []string{bus.HeaderEvent, bus.HeaderReason, bus.HeaderOperation, bus.HeaderKVOperation}

func tell(t *testing.T, m *nats.Msg, revision, last uint64) told {
	t.Helper()
	header := map[string]string{}
	for _, name := range promised {
		if v := m.Header.Get(name); v != "" {
			header[name] = v
		}
	}
	got := m.Header.Get(bus.HeaderSequence) + " after " + m.Header.Get(bus.HeaderLastSequence)
	if want := fmt.Sprintf("%d after %d", revision, last); got != want {
		t.Errorf("%s is at %s; want %s", m.Subject, got, want)
	}
	return told{m.Subject, string(m.Data), header}
}

func TestAStoreInMemoryPublishesWhatJetStreamWould(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	heard := listen(t, ns.Connect(t))
	got := changes(t, publishing(t, ns.Connect(t)), heard)

	ns = natstest.Start(t)
	heard = listen(t, ns.Connect(t))
	store := openStore(t, ns.Connect(t), bucket(func(c *natskv.Config) { c.Prefix = bus.DefaultPrefix }))
	want := changes(t, store, heard)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("publications (-JetStream +memory):\n%s", diff)
	}
}

func TestWhatAStoreHeldBeforeIsNotPublished(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	heard := listen(t, ns.Connect(t))
	old := kvstore.Write{Key: "event.default.old.i", Value: []byte("1")}
	store := publishing(t, ns.Connect(t), old)
	write(t, store, kvstore.Write{Key: "event.default.new.i", Value: []byte("2")})
	if m := receive(t, "a publication", heard); m.Subject != "roost.v1.event.default.new.i" {
		t.Errorf("published on %s; want the new key", m.Subject)
	}
}

func TestARebuildPublishesOnlyWhatChangedMeanwhile(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	heard := listen(t, ns.Connect(t))
	store := publishing(t, ns.Connect(t))
	same := write(t, store, kvstore.Write{Key: "event.default.same.i", Value: []byte("1")})
	other := write(t, store, kvstore.Write{Key: "event.default.other.i", Value: []byte("1")})
	receive(t, "first publication", heard)
	receive(t, "second publication", heard)
	store.FreezeFeeds()
	middle := write(t, store, kvstore.Write{Key: "event.default.other.i", Value: []byte("2"), Expect: other})
	newest := write(t, store, kvstore.Write{Key: "event.default.other.i", Value: []byte("3"), Expect: middle})
	store.RestartFeeds()
	m := receive(t, "publication of the change", heard)
	want := fmt.Sprintf("roost.v1.event.default.other.i 3 at %d after %d", newest, other)
	if got := fmt.Sprintf("%s %s at %s after %s", m.Subject, m.Data, m.Header.Get(bus.HeaderSequence), m.Header.Get(bus.HeaderLastSequence)); got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	write(t, store, kvstore.Write{Key: "event.default.same.i", Value: []byte("2"), Expect: same})
	if m := receive(t, "next publication", heard); string(m.Data) != "2" || m.Subject != "roost.v1.event.default.same.i" {
		t.Errorf("then %s %s; want the next change", m.Subject, m.Data)
	}
}

func TestAnotherStoreInTheSamePlaceBeginsAfresh(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	heard := listen(t, ns.Connect(t))
	store := publishing(t, ns.Connect(t))
	first := write(t, store, kvstore.Write{Key: "event.default.a.i", Value: []byte("1")})
	receive(t, "first publication", heard)
	write(t, store, kvstore.Write{Key: "event.default.a.i", Value: []byte("2"), Expect: first})
	receive(t, "second publication", heard)
	store.Reset()
	within(t, "a publication of the new store", func() bool {
		// Until the feed has noticed, what is written belongs to the snapshot.
		entry, err := store.Get(t.Context(), "event.default.a.i")
		if err != nil {
			entry = kvstore.Entry{}
		}
		write(t, store, kvstore.Write{Key: "event.default.a.i", Value: []byte("new"), Expect: entry.Revision})
		select {
		case m := <-heard:
			if string(m.Data) != "new" {
				t.Errorf("published %s", m.Data)
			}
			return true
		default:
			return false
		}
	})
}
