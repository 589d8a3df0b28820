package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/hybrid"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/natskv"
)

// registry is a node at work: the hybrid backend on a JetStream bucket, served on the bus.
type registry struct {
	prefix  string
	backend *hybrid.Backend
	stop    func() // idempotent
}

var registries atomic.Int64

// startRegistry runs a node under prefix, "" for one of its own, and waits until it serves.
func startRegistry(tb testing.TB, srv *natstest.Server, prefix string) *registry {
	tb.Helper()
	if prefix == "" {
		prefix = fmt.Sprintf("roost.test-%d", registries.Add(1))
	}
	subjects, err := bus.NewSubjects(prefix)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), time.Minute)
	defer cancel()

	config := natskv.DefaultConfig()
	config.Bucket, config.Prefix = subjects.Bucket(), prefix
	writing := srv.Connect(tb)
	store, err := natskv.Open(ctx, writing, config)
	if err != nil {
		tb.Fatal(err)
	}
	guard, err := epoch.NewGuard(store, epoch.Forgetful())
	if err != nil {
		tb.Fatal(err)
	}
	tail := kvstore.NewTail(store)
	tail.Subscribe(epoch.Key, guard)
	b := hybrid.New(store, tail, guard, backend.Nobody)

	cfg := server.DefaultConfig()
	cfg.Prefix = prefix
	s, err := server.New(srv.Connect(tb), b, cfg)
	if err != nil {
		tb.Fatal(err)
	}

	running, end := context.WithCancel(context.WithoutCancel(tb.Context()))
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = tail.Run(running) })
	tasks.Go(func() { _ = guard.Run(running) })
	if err := b.Ready(ctx); err != nil {
		tb.Fatal(err)
	}
	tasks.Go(func() {
		if err := s.Run(running); err != nil {
			tb.Errorf("serve %s: %v", prefix, err)
		}
	})
	r := &registry{prefix: prefix, backend: b}
	r.stop = sync.OnceFunc(func() {
		end()
		tasks.Wait()
		_ = b.Close()
		_ = store.Close()
	})
	tb.Cleanup(r.stop)
	if err := s.Ready(ctx); err != nil {
		tb.Fatal(err)
	}
	return r
}

// connectClient returns a client on a connection of its own, made as client.Connect makes
// it.
func connectClient(tb testing.TB, srv *natstest.Server, prefix string, opts ...client.Option) *client.Client {
	tb.Helper()
	c, err := client.Connect(tb.Context(), "", append([]client.Option{
		client.WithPrefix(prefix), client.WithNATS(nats.InProcessServer(srv)),
	}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func paymentsKey(instance string) client.Key {
	return client.Key{Namespace: "default", Service: "payments", Instance: instance}
}

func payments(instance string) client.Registration {
	return client.Registration{Key: paymentsKey(instance), Weight: client.DefaultWeight}
}
