package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/kvstoretest"
	"github.com/roostbus/roost/kvstore/natskv"
)

// logged is a log that another goroutine writes.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A cluster without a majority is no server without JetStream, also where the server that
// one is connected to has none itself.
func TestOpenWaitsForAClusterWithoutAMajorityAndSaysSo(t *testing.T) {
	if testing.Short() {
		return
	}
	t.Parallel()
	cluster := natstest.StartCluster(t, 4, func(o *server.Options) { o.JetStream = o.ServerName != "natstest-4" })
	for _, node := range cluster.Nodes[:2] {
		node.Stop()
	}
	for _, node := range cluster.Nodes[2:] {
		nc := cluster.Connect(t, []*natstest.Server{node})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		_, err := natskv.Open(ctx, nc, bucket())
		cancel()
		if !errors.Is(err, kvstore.ErrUnavailable) || !strings.Contains(err.Error(), "majority") {
			t.Errorf("Open() = %v; want that a majority is missing", err)
		}
	}

	var log logged
	opened := make(chan error, 1)
	nc := cluster.Connect(t, cluster.Nodes[3:])
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s, err := natskv.Open(ctx, nc, bucket(), natskv.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	natstest.Await(t, "word of the wait", func() bool { return strings.Contains(log.String(), "waiting for jetstream") })
	cluster.Nodes[0].Restart(t)
	if err := <-opened; err != nil {
		t.Errorf("Open() when a majority is back = %v", err)
	}
}

// awaitReplicas waits until both streams of a store have so many replicas.
func awaitReplicas(t *testing.T, r *natskv.Replicator, want int) {
	t.Helper()
	natstest.Await(t, "change of the replicas", func() bool {
		state := r.State()
		if len(state.Streams) != 2 {
			return false
		}
		for _, s := range state.Streams {
			if s.Count != want || len(s.Others) != want-1 || s.Problem(want) != "" {
				return false
			}
		}
		return true
	})
}

// always returns what returns s.
func always(s *natskv.Store) func() *natskv.Store { return func() *natskv.Store { return s } }

// replicating runs a Replicator until the test ends.
func replicating(t *testing.T, s *natskv.Store, may bool) *natskv.Replicator {
	t.Helper()
	r := natskv.NewReplicator(always(s), func() bool { return may })
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return r
}

func TestABucketIsKeptByOneWhereThereAreTwoServersAndThatIsSaid(t *testing.T) {
	if testing.Short() {
		return
	}
	t.Parallel()
	cluster := natstest.StartCluster(t, 2)
	s := openStore(t, cluster.Connect(t, nil), bucket(func(c *natskv.Config) { c.Replicas = 0 }))
	openCounters(t, s)
	idle, active := replicating(t, s, false), replicating(t, s, true)
	natstest.Await(t, "word of too few servers", func() bool {
		state := active.State()
		return len(state.Streams) == 2 && state.Streams[0].Count == 1 && state.Streams[0].Refused != nil &&
			strings.Contains(state.Streams[0].Problem(state.Wanted), "1 of 3")
	})
	if state := idle.State(); len(state.Streams) == 2 && state.Streams[0].Refused != nil {
		t.Error("one that may not change anything has tried")
	}
}

func TestABucketIsGivenAsManyReplicasAsAreAskedFor(t *testing.T) {
	if testing.Short() {
		return
	}
	t.Parallel()
	cluster := natstest.StartCluster(t, 3)
	open := func(replicas int) *natskv.Store {
		s := openStore(t, cluster.Connect(t, nil), bucket(func(c *natskv.Config) { c.Replicas, c.Scale = replicas, true }))
		openCounters(t, s)
		return s
	}
	s := open(1)
	if _, err := s.Write(t.Context(), kvstore.Write{Key: "k", Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r := natskv.NewReplicator(always(open(0)), func() bool { return true })
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	awaitReplicas(t, r, 3)
	stop()
	<-ended
	if e, err := s.Get(t.Context(), "k"); err != nil || string(e.Value) != "v" {
		t.Errorf("Get() = %s, %v", e.Value, err)
	}
	awaitReplicas(t, replicating(t, open(1), true), 1)
}

func TestTagsSayWhichServersKeepABucket(t *testing.T) {
	if testing.Short() {
		return
	}
	t.Parallel()
	cluster := natstest.StartCluster(t, 3, func(o *server.Options) {
		if o.ServerName == "natstest-2" {
			o.Tags.Add("disk:fast")
		}
	})
	s := openStore(t, cluster.Connect(t, nil), bucket(func(c *natskv.Config) { c.Placement.Tags, c.Replicas = []string{"disk:fast"}, 0 }))
	openCounters(t, s)
	r := replicating(t, s, false)
	natstest.Await(t, "place of the streams", func() bool {
		state := r.State()
		return len(state.Streams) == 2 && state.Streams[0].Leader == "natstest-2" && state.Streams[1].Leader == "natstest-2"
	})
}

// startDomain runs a server with a JetStream domain, and a leaf of it without JetStream.
func startDomain(t *testing.T) (leaf *natstest.Server) {
	t.Helper()
	hub := natstest.Start(t, natstest.Listen, func(o *server.Options) {
		o.ServerName, o.JetStreamDomain = "hub", "hub"
		o.LeafNode.Host, o.LeafNode.Port = "127.0.0.1", server.RANDOM_PORT
	})
	varz, err := hub.Running().Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf = natstest.Start(t, natstest.Listen, natstest.NoJetStream, func(o *server.Options) {
		o.ServerName = "leaf"
		to := &url.URL{Scheme: "nats-leaf", Host: fmt.Sprintf("127.0.0.1:%d", varz.LeafNode.Port)}
		o.LeafNode.Remotes = []*server.RemoteLeafOpts{{URLs: []*url.URL{to}}}
	})
	natstest.Await(t, "leaf", func() bool { return hub.Running().NumLeafNodes() == 1 })
	return leaf
}

func TestNatskvKeepsTheContractInAnotherDomain(t *testing.T) {
	t.Parallel()
	kvstoretest.Run(t, kvstoretest.Profile{}, func(t *testing.T) kvstore.Store {
		return openStore(t, startDomain(t).Connect(t), bucket(func(c *natskv.Config) { c.Domain = "hub" }))
	})
}

func TestCountersCountInAnotherDomain(t *testing.T) {
	t.Parallel()
	s := openStore(t, startDomain(t).Connect(t), bucket(func(c *natskv.Config) { c.Domain = "hub" }))
	c := openCounters(t, s)
	if got, err := c.Add(t.Context(), "n.c", 5, "one"); got != (kvstore.Sum{Value: "5"}) || err != nil {
		t.Errorf("Add() = %+v, %v; want 5", got, err)
	}
	if got, err := c.Value(t.Context(), "n.c"); got != "5" || err != nil {
		t.Errorf("Value() = %s, %v; want 5", got, err)
	}
}
