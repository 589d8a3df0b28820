package e2e_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/natskv"
)

// states is a Subscriber that passes on what the key is whenever everything up to a
// revision is said to have been applied.
type states struct {
	key    string
	now    string
	shown  chan shown
	ending <-chan struct{}
}

type shown struct {
	revision uint64
	value    string
}

func (s *states) Begin(kvstore.Generation) {}
func (s *states) Stale(error)              {}
func (s *states) Live(revision uint64)     { s.Advance(revision) }

func (s *states) Apply(e kvstore.Entry) {
	if e.Key == s.key {
		s.now = string(e.Value)
	}
}

func (s *states) Advance(revision uint64) {
	select {
	case s.shown <- shown{revision, s.now}:
	case <-s.ending:
	}
}

// The bucket keeps one message a key, so that a feed that was away is not shown what has
// been replaced meanwhile.
func TestAFeedThatCatchesUpIsNeverSaidToBeAtAStateThatNeverWas(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.Listen)
	link := natstest.Through(t, srv.URL())
	open := func(node string, nc *nats.Conn) *natskv.Store {
		config := natskv.DefaultConfig()
		config.Bucket, config.Prefix, config.Node = "torn_v1", "torn.v1", node
		store, err := natskv.Open(t.Context(), nc, config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
	direct := open("direct", srv.Connect(t))
	away, err := nats.Connect(link.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(away.Close)
	tail := kvstore.NewTail(open("away", away), kvstore.WithProbe(0))
	ctx, cancel := context.WithCancel(t.Context())
	seen := &states{key: "k", shown: make(chan shown), ending: ctx.Done()}
	tail.Subscribe("", seen)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tail.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })

	write := func(value string, expect uint64) uint64 {
		revision, err := direct.Write(t.Context(), kvstore.Write{Key: "k", Value: []byte(value), Expect: expect})
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	<-seen.shown // the empty bucket
	one := write("one", 0)
	for revision := uint64(0); revision < one; {
		revision = (<-seen.shown).revision
	}
	link.Cut(t)
	two := write("two", one)
	if _, err := direct.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	three := write("three", two)
	link.Heal(t)
	for {
		s := <-seen.shown
		if s.revision >= two && s.value == "one" {
			t.Errorf("at revision %d it is %q, which was replaced at %d", s.revision, s.value, two)
		}
		if s.revision >= three {
			return
		}
	}
}
