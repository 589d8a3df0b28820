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
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/natskv"
)

// startReplicated is startRegistry on a cluster, with a bucket that all of its servers
// replicate.
func startReplicated(t *testing.T, cluster *natstest.Cluster, prefix string) *registry {
	t.Helper()
	subjects, err := bus.NewSubjects(prefix)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	config := natskv.DefaultConfig()
	config.Bucket, config.Prefix, config.Replicas = subjects.Bucket(), prefix, len(cluster.Nodes)
	store, err := natskv.Open(ctx, cluster.Connect(t, nil), config)
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
	serving := server.DefaultConfig()
	serving.Prefix = prefix
	s, err := server.New(cluster.Connect(t, nil), b, serving)
	if err != nil {
		t.Fatal(err)
	}
	running, end := context.WithCancel(context.WithoutCancel(t.Context()))
	var tasks sync.WaitGroup
	r := &registry{prefix: prefix, backend: b}
	r.stop = sync.OnceFunc(func() {
		end()
		tasks.Wait()
		_ = b.Close()
		_ = store.Close()
	})
	t.Cleanup(r.stop)
	tasks.Go(func() { _ = tail.Run(running) })
	tasks.Go(func() { _ = guard.Run(running) })
	if err := b.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	tasks.Go(func() {
		if err := s.Run(running); err != nil {
			t.Errorf("serve %s: %v", prefix, err)
		}
	})
	if err := s.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

// to returns what connects clients to a server.
func to(t *testing.T, srv *natstest.Server) func() *nats.Conn {
	return func() *nats.Conn { return srv.Connect(t) }
}

// rounds is how many faults a history has.
func rounds(long int) int {
	if testing.Short() {
		return 2
	}
	return long
}
