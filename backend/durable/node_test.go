package durable_test

import (
	"context"
	"sync"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/backend/durable/durabletest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/memkv"
)

// node is a node's Backend at work on a store.
type node struct {
	*durable.Backend
	tail *kvstore.Tail
	stop func()
}

// start starts a node; it is not waited for.
func start(t *testing.T, store kvstore.Store, live backend.Liveness) *node {
	t.Helper()
	guard, err := epoch.NewGuard(store, epoch.Forgetful())
	if err != nil {
		t.Fatal(err)
	}
	n := &node{tail: kvstore.NewTail(store)}
	n.tail.Subscribe(epoch.Key, guard)
	n.Backend = durable.New(store, n.tail, guard, durabletest.NewLeases(live, store, n.tail))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = n.tail.Run(ctx) })
	tasks.Go(func() { _ = guard.Run(ctx) })
	n.stop = sync.OnceFunc(func() {
		_ = n.Close()
		cancel()
		tasks.Wait()
	})
	t.Cleanup(n.stop)
	return n
}

// ready starts a node and waits until it answers.
func ready(t *testing.T, store *memkv.Store, live backend.Liveness) *node {
	t.Helper()
	n := start(t, store, live)
	if err := n.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}
