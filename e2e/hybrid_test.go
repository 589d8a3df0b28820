package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/backendtest"
	"github.com/roostbus/roost/backend/durable/durabletest"
	"github.com/roostbus/roost/backend/hybrid"
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/natskv"
)

// bucketNode is a node's backend on a bucket, without a bus.
type bucketNode struct {
	backend.Backend
	bucket string
}

var buckets atomic.Int64

// readyBackend is a backend that has to be waited for.
type readyBackend interface {
	backend.Backend
	Ready(ctx context.Context) error
}

// startHybrid runs a hybrid on a bucket, "" for one of its own, and waits until it answers.
func startHybrid(tb testing.TB, nc *nats.Conn, bucketName string, live backend.Liveness) *bucketNode {
	tb.Helper()
	return startOnBucket(tb, nc, bucketName, live, func(s kvstore.Store, tail *kvstore.Tail, g *epoch.Guard, l backend.Liveness) readyBackend {
		return hybrid.New(s, tail, g, l)
	})
}

// startOnBucket is startHybrid for whatever backend is made.
func startOnBucket(tb testing.TB, nc *nats.Conn, bucketName string, live backend.Liveness,
	made func(kvstore.Store, *kvstore.Tail, *epoch.Guard, backend.Liveness) readyBackend, change ...func(*natskv.Config),
) *bucketNode {
	tb.Helper()
	if bucketName == "" {
		bucketName = fmt.Sprintf("bucket-%d", buckets.Add(1))
	}
	store := openStore(tb, nc, bucket(append([]func(*natskv.Config){func(c *natskv.Config) {
		c.Bucket, c.Node = bucketName, fmt.Sprintf("n%d", buckets.Add(1))
	}}, change...)...))
	guard, err := epoch.NewGuard(store, epoch.Forgetful())
	if err != nil {
		tb.Fatal(err)
	}
	tail := kvstore.NewTail(store)
	tail.Subscribe(epoch.Key, guard)
	b := made(store, tail, guard, durabletest.NewLeases(live, store, tail))
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = tail.Run(ctx) })
	tasks.Go(func() { _ = guard.Run(ctx) })
	tb.Cleanup(func() {
		_ = b.Close()
		cancel()
		tasks.Wait()
	})
	ready, end := context.WithTimeout(ctx, time.Minute)
	defer end()
	if err := b.Ready(ready); err != nil {
		tb.Fatal(err)
	}
	return &bucketNode{Backend: b, bucket: bucketName}
}

// TestHybridKeepsTheContractOnJetStream shows R9 for the backend that a node uses.
func TestHybridKeepsTheContractOnJetStream(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	backendtest.Run(t, backendtest.Profile{}, func(t *testing.T, live backend.Liveness) backend.Backend {
		t.Helper()
		return startHybrid(t, srv.Connect(t), "", live).Backend
	})
}

// instances returns the instances of every service that a linearizable list shows.
func (n *bucketNode) instances(ctx context.Context) ([]string, backend.Stamp, error) {
	all := []string{}
	q := backend.Query{Read: backend.Read{Consistency: backend.Linearizable}}
	_, stamp, err := n.List(ctx, q)
	if err != nil {
		return nil, stamp, err
	}
	for r, err := range backend.All(ctx, n, q) {
		if err != nil {
			return nil, stamp, err
		}
		all = append(all, r.Instance)
	}
	slices.Sort(all)
	return all, stamp, nil
}

// shows waits until n shows exactly these instances in an epoch above the given one. In
// between n may be unavailable, and must never show anything but before or want.
func (n *bucketNode) shows(t *testing.T, above backend.Epoch, before, want []string) backend.Epoch {
	t.Helper()
	var epoch backend.Epoch
	natstest.Await(t, fmt.Sprintf("%v in an epoch above %d", want, above), func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		got, stamp, err := n.instances(ctx)
		if err != nil {
			if !errors.Is(err, backend.ErrUnavailable) && !errors.Is(err, backend.ErrCompacted) {
				t.Fatalf("list = %v; want unavailable or an answer", err)
			}
			return false
		}
		epoch = stamp.Epoch
		if slices.Equal(got, want) && stamp.Epoch > above {
			return true
		}
		if !slices.Equal(got, before) && !slices.Equal(got, want) {
			t.Fatalf("list = %v in epoch %d; want %v or %v", got, stamp.Epoch, before, want)
		}
		return false
	})
	return epoch
}

func (n *bucketNode) register(t *testing.T, name string) backend.Registration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, _, err := n.Register(ctx, payments(name), backend.Write{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestHybridSurvivesTheDeletionOfItsBucket covers a bucket that is deleted by somebody
// else: the node makes it anew, in a higher epoch, and shows nothing of the old one.
func TestHybridSurvivesTheDeletionOfItsBucket(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	n := startHybrid(t, srv.Connect(t), "", backend.Nobody)
	for i := range 20 {
		n.register(t, fmt.Sprintf("old-%02d", i))
	}
	before, stamp, err := n.instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(srv.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		if err := js.DeleteStream(t.Context(), "KV_"+n.bucket); err != nil {
			t.Fatal(err)
		}
		epoch := n.shows(t, stamp.Epoch, before, []string{})
		before = nil
		for i := range 30 { // more changes than before, so that sequences alone do not tell
			before = append(before, n.register(t, fmt.Sprintf("new-%d-%02d", round, i)).Instance)
		}
		if got := n.shows(t, stamp.Epoch, before, before); got != epoch {
			t.Errorf("the epoch went on from %d to %d by itself", epoch, got)
		}
		stamp.Epoch = epoch
	}
}

// TestHybridSurvivesAPurgeOfItsBucket covers an operator's purge.
func TestHybridSurvivesAPurgeOfItsBucket(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	n := startHybrid(t, srv.Connect(t), "", backend.Nobody)
	n.register(t, "a")
	n.register(t, "b")
	before, stamp, err := n.instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(srv.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_"+n.bucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.shows(t, stamp.Epoch, before, []string{})
	n.register(t, "a")
	n.shows(t, stamp.Epoch, []string{"a"}, []string{"a"})
}

// TestHybridSurvivesARestartOfNATS shows R2 on one node and R6: what was acknowledged is
// there afterwards, and in between nobody is told that there is nothing.
func TestHybridSurvivesARestartOfNATS(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	n := startHybrid(t, srv.Connect(t), "", backend.Nobody)
	want := []string{}
	for i := range 10 {
		want = append(want, n.register(t, fmt.Sprintf("i-%02d", i)).Instance)
	}
	_, stamp, err := n.instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		srv.Stop()
		page, local, err := n.List(t.Context(), backend.Query{})
		if err != nil || len(page.Registrations) != len(want) {
			t.Errorf("list while NATS is away = %v, %v; want the last good state", page, err)
		}
		if local.Epoch != stamp.Epoch {
			t.Errorf("the epoch is %d while NATS is away; want %d", local.Epoch, stamp.Epoch)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, _, err := n.Register(ctx, payments("late"), backend.Write{If: backend.IfRevision(1 << 40)}); err == nil {
			t.Error("a write while NATS is away was acknowledged")
		}
		cancel()
		srv.Restart(t)
		if epoch := n.shows(t, stamp.Epoch-1, want, want); epoch != stamp.Epoch {
			t.Errorf("the epoch after the restart is %d; want %d", epoch, stamp.Epoch)
		}
		name := fmt.Sprintf("round-%d", round)
		n.register(t, name)
		want = append(want, name)
		slices.Sort(want)
		n.shows(t, stamp.Epoch-1, want, want)
	}
}

// TestTwoNodesOnOneBucketSeeTheSame shows that a write through one is seen by the other,
// in the same order and under the same revisions.
func TestTwoNodesOnOneBucketSeeTheSame(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	a := startHybrid(t, srv.Connect(t), "", backend.Nobody)
	b := startHybrid(t, srv.Connect(t), a.bucket, backend.Nobody)
	var writers sync.WaitGroup
	for i, n := range []*bucketNode{a, b} {
		writers.Go(func() {
			for j := range 100 {
				r, stamp, err := n.Register(t.Context(), payments(fmt.Sprintf("%d-%03d", i, j)), backend.Write{})
				if err != nil {
					t.Error(err)
					return
				}
				other := []*bucketNode{b, a}[i]
				got, _, err := other.Lookup(t.Context(), r.Key, backend.Read{MinRevision: stamp.Revision, Epoch: stamp.Epoch})
				if err != nil || got.Revision != r.Revision {
					t.Errorf("the other node shows %s at %d, %v; want %d", r.Key, got.Revision, err, r.Revision)
				}
			}
		})
	}
	writers.Wait()
	show := func(n *bucketNode) string {
		var all []string
		for r, err := range backend.All(t.Context(), n, backend.Query{Read: backend.Read{Consistency: backend.Linearizable}}) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprint(r.Key, r.Revision))
		}
		return strings.Join(all, "\n")
	}
	if show(a) != show(b) {
		t.Errorf("the nodes differ:\n%s\n---\n%s", show(a), show(b))
	}
}
