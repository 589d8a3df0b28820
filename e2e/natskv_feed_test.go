package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/kvstoretest"
	"github.com/roostbus/roost/kvstore/natskv"
)

// operator is somebody else with a connection of their own.
func operator(t *testing.T, srv *natstest.Server) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(srv.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// remake deletes the bucket and makes it again with a change, unless somebody is quicker.
func remake(t *testing.T, js jetstream.JetStream, change func(*jetstream.StreamConfig)) {
	t.Helper()
	stream, err := js.Stream(t.Context(), "KV_e2e")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	change(&config)
	if err := js.DeleteStream(t.Context(), "KV_e2e"); err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "new bucket", func() bool { // the server removes the old one's files by and by
		_, err := js.CreateStream(t.Context(), config)
		return err == nil || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse)
	})
}

func mustWrite(t *testing.T, s kvstore.Store, w kvstore.Write) uint64 {
	t.Helper()
	revision, err := s.Write(t.Context(), w)
	if err != nil {
		t.Fatalf("Write(%s at %d) = %v", w.Key, w.Expect, err)
	}
	return revision
}

// fill creates keys <prefix>.0 … and returns the newest revision.
func fill(t *testing.T, s kvstore.Store, prefix string, n int) uint64 {
	t.Helper()
	var last uint64
	for i := range n {
		last = mustWrite(t, s, kvstore.Write{Key: fmt.Sprintf("%s.%d", prefix, i), Value: fmt.Append(nil, i)})
	}
	return last
}

func shows(keys ...string) func(kvstoretest.MirrorState) bool {
	return func(s kvstoretest.MirrorState) bool {
		n := 0
		for key := range s.Entries {
			if key != "probe.node" {
				n++
			}
		}
		for _, key := range keys {
			if _, ok := s.Entries[key]; !ok {
				return false
			}
		}
		return s.Live && n == len(keys)
	}
}

func TestFeedBeginsAfreshWhenTheBucketIsDeleted(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	s := openStore(t, srv.Connect(t), bucket())
	last := fill(t, s, "old", 20)
	m := kvstoretest.Follow(t, s)
	before := m.AwaitRevision(t, last)
	if err := operator(t, srv).DeleteStream(t.Context(), "KV_e2e"); err != nil {
		t.Fatal(err)
	}
	after := m.Await(t, "an empty bucket of another life", func(s kvstoretest.MirrorState) bool {
		return s.Live && s.Generation != before.Generation
	})
	if len(after.Entries) != 0 {
		t.Errorf("the feed shows %d entries of an empty bucket", len(after.Entries))
	}
	mustWrite(t, s, kvstore.Write{Key: "new"})
	m.Await(t, "the new key alone", shows("new"))
}

func TestFeedRecognisesABucketThatSomebodyMadeAnew(t *testing.T) {
	t.Parallel()
	for _, changes := range []int{3, 200} { // fewer and more than before
		t.Run(fmt.Sprint(changes), func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			s := openStore(t, srv.Connect(t), bucket())
			last := fill(t, s, "old", 50)
			m := kvstoretest.Follow(t, s)
			before := m.AwaitRevision(t, last)

			js := operator(t, srv)
			remake(t, js, func(*jetstream.StreamConfig) {})
			var want []string
			for i := range changes {
				key := fmt.Sprint("new.", i)
				want = append(want, key)
				if _, err := js.Publish(t.Context(), "$KV.e2e."+key, nil); err != nil {
					t.Fatal(err)
				}
			}
			after := m.Await(t, "the new keys alone", shows(want...))
			if after.Generation == before.Generation {
				t.Error("the generation is the old one")
			}
		})
	}
}

func TestFeedNoticesAPurge(t *testing.T) {
	t.Parallel()
	for name, filter := range map[string]string{"of everything": ">", "of one key": "old.3"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			s := openStore(t, srv.Connect(t), bucket())
			last := fill(t, s, "old", 5)
			m := kvstoretest.Follow(t, s)
			m.AwaitRevision(t, last)
			stream, err := operator(t, srv).Stream(t.Context(), "KV_e2e")
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject("$KV.e2e."+filter)); err != nil {
				t.Fatal(err)
			}
			// New keys do not hide what is missing.
			mustWrite(t, s, kvstore.Write{Key: "new"})
			if filter == ">" {
				m.Await(t, "the new key alone", shows("new"))
				return
			}
			m.Await(t, "all but the purged key", shows("old.0", "old.1", "old.2", "old.4", "new"))
		})
	}
}

func TestFeedGoesOnWithoutASnapshotWhenItsConsumerIsDeleted(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	s := openStore(t, srv.Connect(t), bucket())
	m := kvstoretest.Follow(t, s)
	m.AwaitRevision(t, fill(t, s, "a", 10))
	js := operator(t, srv)
	for _, name := range consumers(t, js) {
		if err := js.DeleteConsumer(t.Context(), "KV_e2e", name); err != nil {
			t.Fatal(err)
		}
	}
	state := m.AwaitRevision(t, fill(t, s, "b", 10))
	if state.Begins != 1 || len(state.Entries) != 20 {
		t.Errorf("the feed shows %d entries after %d snapshots, want 20 after one", len(state.Entries), state.Begins)
	}
	m.Await(t, "an interruption", func(s kvstoretest.MirrorState) bool { return s.Stales > 0 })
}

func consumers(t *testing.T, js jetstream.JetStream) []string {
	t.Helper()
	stream, err := js.Stream(t.Context(), "KV_e2e")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range stream.ConsumerNames(t.Context()).Name() {
		names = append(names, name)
	}
	return names
}

func TestFeedLeavesNoConsumerBehind(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	s := openStore(t, srv.Connect(t), bucket())
	ctx, cancel := context.WithCancel(t.Context())
	m := kvstoretest.NewMirror()
	done := make(chan error, 1)
	go func() { done <- s.Feed(ctx, m) }()
	m.AwaitRevision(t, fill(t, s, "a", 3))
	js := operator(t, srv)
	if got := consumers(t, js); len(got) != 1 {
		t.Errorf("a feed has the consumers %q, want one", got)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Feed() = %v", err)
	}
	if got := consumers(t, js); len(got) != 0 {
		t.Errorf("a feed that has ended left the consumers %q", got)
	}
}

// A marker's expiry makes no message and is not taken for a purge.
func TestFeedIsNotDisturbedByMarkersThatExpire(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	s := openStore(t, srv.Connect(t), bucket())
	m := kvstoretest.Follow(t, s)
	for i := range 20 {
		key := fmt.Sprint("a.", i)
		revision := mustWrite(t, s, kvstore.Write{Key: key})
		mustWrite(t, s, kvstore.Write{Key: key, Expect: revision, Remove: true, Keep: time.Second})
	}
	natstest.Await(t, "bucket without markers", func() bool {
		info, err := s.Info(t.Context())
		return err == nil && info.Keys == 0
	})
	// Let the checks pass in which the markers count no more.
	ended := time.Now().Add(8 * time.Second)
	natstest.Await(t, "end of the time in which markers expire", func() bool { return time.Now().After(ended) })
	if state := m.AwaitRevision(t, mustWrite(t, s, kvstore.Write{Key: "b"})); state.Begins != 1 || state.Stales != 0 {
		t.Errorf("%d snapshots and %d interruptions, want one and none", state.Begins, state.Stales)
	}
}

func TestChangesOfFourTokensAreRepublishedInOrder(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	s := openStore(t, srv.Connect(t), bucket(func(c *natskv.Config) { c.Prefix = "p.v1" }))
	listener := srv.Connect(t)
	events, err := listener.SubscribeSync("p.v1.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Flush(); err != nil {
		t.Fatal(err)
	}
	first := mustWrite(t, s, kvstore.Write{Key: "event.ns.svc.i", Value: []byte("1"), Labels: kvstore.Labels{Event: "registered", Operation: "op"}})
	mustWrite(t, s, kvstore.Write{Key: "lease.owner"})
	second := mustWrite(t, s, kvstore.Write{
		Key: "event.ns.svc.i", Value: []byte("was 1"), Expect: first, Remove: true, Keep: time.Second,
		Labels: kvstore.Labels{Event: "unregistered", Reason: "asked"},
	})
	natstest.Await(t, "expiry of the marker", func() bool {
		_, err := s.Get(t.Context(), "event.ns.svc.i")
		return errors.Is(err, kvstore.ErrNotFound)
	})
	third := mustWrite(t, s, kvstore.Write{Key: "event.ns.svc.i", Value: []byte("2"), Labels: kvstore.Labels{Event: "registered"}})
	for _, want := range []struct {
		body, event, reason, operation string
		revision, previous             uint64
	}{
		{"1", "registered", "", "", first, 0},
		{"was 1", "unregistered", "asked", "PURGE", second, first},
		{"2", "registered", "", "", third, 0},
	} {
		got, err := events.NextMsg(patience)
		if err != nil {
			t.Fatalf("no event of revision %d: %v", want.revision, err)
		}
		h := got.Header
		if got.Subject != "p.v1.event.ns.svc.i" || string(got.Data) != want.body ||
			h.Get("Roost-Event") != want.event || h.Get("Roost-Reason") != want.reason || h.Get("KV-Operation") != want.operation ||
			h.Get(nats.JSSequence) != fmt.Sprint(want.revision) || h.Get(nats.JSLastSequence) != fmt.Sprint(want.previous) {
			t.Errorf("event = %s %q %v, want %+v", got.Subject, got.Data, h, want)
		}
	}
}
