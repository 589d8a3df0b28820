package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/natskv"
)

var payload = []byte(`{"namespace":"default","service":"payments","instance":"i","metadata":{"zone":"` + strings.Repeat("a", 220) + `"}}`)

// inFlight runs do b.N times, n at a time.
func inFlight(b *testing.B, n int, do func(i int) error) {
	b.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range n {
		all.Go(func() {
			for {
				i := int(next.Add(1))
				if i > b.N {
					return
				}
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// benchWorld is a bucket, and a connection that publishes to it bare.
func benchWorld(b *testing.B) (*natskv.Store, jetstream.JetStream) {
	b.Helper()
	srv := natstest.Start(b, natstest.Listen)
	s := openStore(b, srv.Connect(b), bucket())
	js, err := jetstream.New(srv.Connect(b), jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		b.Fatal(err)
	}
	return s, js
}

// BenchmarkCreate compares a store's creations with bare ones on the same bucket: by the
// client's synchronous call, and by its asynchronous one as fast as one goroutine goes.
func BenchmarkCreate(b *testing.B) {
	for _, n := range []int{1, 64, 1000} {
		b.Run(fmt.Sprintf("store/inflight=%d", n), func(b *testing.B) {
			s, _ := benchWorld(b)
			ctx, cancel := context.WithTimeout(b.Context(), patience)
			defer cancel()
			inFlight(b, n, func(i int) error {
				_, err := s.Write(ctx, kvstore.Write{
					Key: fmt.Sprintf("event.default.payments.%d", i), Value: payload,
					Labels: kvstore.Labels{Operation: fmt.Sprintf("%064d", i), Event: "registered"},
				})
				return err
			})
		})
		b.Run(fmt.Sprintf("sync/inflight=%d", n), func(b *testing.B) {
			_, js := benchWorld(b)
			ctx, cancel := context.WithTimeout(b.Context(), patience)
			defer cancel()
			inFlight(b, n, func(i int) error {
				_, err := js.PublishMsg(ctx, bare(i), jetstream.WithExpectLastSequencePerSubject(0))
				return err
			})
		})
	}
	b.Run("async", func(b *testing.B) {
		_, js := benchWorld(b)
		inFlight(b, 1, func(i int) error {
			_, err := js.PublishMsgAsync(bare(i), jetstream.WithExpectLastSequencePerSubject(0), jetstream.WithStallWait(patience))
			if i == b.N {
				<-js.PublishAsyncComplete()
			}
			return err
		})
	})
}

func bare(i int) *nats.Msg {
	return &nats.Msg{Subject: fmt.Sprintf("$KV.e2e.event.default.payments.%d", i), Data: payload, Header: nats.Header{
		natskv.HeaderOperation: {fmt.Sprintf("%064d", i)}, natskv.HeaderEvent: {"registered"},
	}}
}

// counter is a Follower that only counts.
type counter struct {
	entries int
	live    chan struct{}
}

func (c *counter) Begin(kvstore.Generation) {}
func (c *counter) Apply(kvstore.Entry)      { c.entries++ }
func (c *counter) Live(uint64)              { close(c.live) }
func (c *counter) Stale(error)              {}

const feedEntries = 100_000

// BenchmarkFeed reads a bucket of feedEntries: through a feed, and through the client's
// own ordered consumer.
func BenchmarkFeed(b *testing.B) {
	s, js := benchWorld(b)
	for i := range feedEntries {
		if _, err := js.PublishMsgAsync(bare(i), jetstream.WithExpectLastSequencePerSubject(0), jetstream.WithStallWait(patience)); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ctx, cancel := context.WithCancel(b.Context())
			c := &counter{live: make(chan struct{})}
			done := make(chan error, 1)
			go func() { done <- s.Feed(ctx, c) }()
			<-c.live
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) || c.entries < feedEntries {
				b.Fatalf("Feed() = %v after %d entries", err, c.entries)
			}
		}
		b.ReportMetric(float64(b.N)*feedEntries/b.Elapsed().Seconds(), "entries/s")
	})
	for _, batch := range []int{500, 4096} {
		b.Run(fmt.Sprintf("ordered/batch=%d", batch), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				readOrdered(b, js, batch)
			}
			b.ReportMetric(float64(b.N)*feedEntries/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

func readOrdered(b *testing.B, js jetstream.JetStream, batch int) {
	b.Helper()
	c, err := js.OrderedConsumer(b.Context(), "KV_e2e", jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy})
	if err != nil {
		b.Fatal(err)
	}
	n, done := 0, make(chan struct{})
	reading, err := c.Consume(func(jetstream.Msg) {
		if n++; n == feedEntries {
			close(done)
		}
	}, jetstream.PullMaxMessages(batch))
	if err != nil {
		b.Fatal(err)
	}
	<-done
	reading.Stop()
}
