package e2e_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/hybrid"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/natskv"
)

// wholeNode is a node as the binary assembles it, on a bucket with three replicas: it
// serves a registry, takes part in the keeper's election and sends the beacon.
type wholeNode struct {
	*candidate

	// own is a prefix under which this node alone answers. The nodes of a registry are a
	// queue group, of which NATS asks any.
	own string
}

// startWhole runs a node until the test ends, and waits until it serves. connect makes
// its connections.
func startWhole(t *testing.T, prefix, name string, connect func() *nats.Conn) *wholeNode {
	t.Helper()
	subjects, err := bus.NewSubjects(prefix)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	config := natskv.DefaultConfig()
	config.Bucket, config.Prefix, config.Node, config.Replicas = subjects.Bucket(), prefix, name, 3
	writing := connect()
	store, err := natskv.Open(ctx, writing, config)
	if err != nil {
		t.Fatal(err)
	}
	guard, err := epoch.NewGuard(store, epoch.Forgetful())
	if err != nil {
		t.Fatal(err)
	}
	tail := kvstore.NewTail(store)
	tail.Subscribe(epoch.Key, guard)
	b := hybrid.New(store, tail, guard, backend.Nobody)
	announcer, err := server.NewAnnouncer(writing, subjects, subjects.Bucket, "")
	if err != nil {
		t.Fatal(err)
	}
	k, err := keeper.New(store, tail, keeper.Self{Node: name}, keeper.WithAnnouncer(announcer, guard))
	if err != nil {
		t.Fatal(err)
	}
	n := &wholeNode{candidate: &candidate{Keeper: k, name: name, nc: writing}, own: name + "." + prefix}
	answering := map[string]*nats.Conn{prefix: connect(), n.own: connect()}
	running, end := context.WithCancel(context.WithoutCancel(t.Context()))
	var tasks sync.WaitGroup
	n.end = sync.OnceFunc(func() {
		end()
		tasks.Wait()
		_ = b.Close()
		_ = store.Close()
	})
	t.Cleanup(n.end)
	tasks.Go(func() { _ = tail.Run(running) })
	tasks.Go(func() { _ = guard.Run(running) })
	if err := b.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	tasks.Go(func() { _ = k.Run(running) })
	tasks.Go(func() { n.sample(running) })
	for under, nc := range answering {
		serving := server.DefaultConfig()
		serving.Prefix = under
		s, err := server.New(nc, b, serving)
		if err != nil {
			t.Fatal(err)
		}
		tasks.Go(func() {
			if err := s.Run(running); err != nil {
				t.Errorf("serve %s: %v", under, err)
			}
		})
		if err := s.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return n
}
