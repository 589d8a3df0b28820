package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/backendtest"
	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/natskv"
)

// startDurable is startHybrid for durable.
func startDurable(tb testing.TB, nc *nats.Conn, bucketName string, live backend.Liveness, change ...func(*natskv.Config)) *bucketNode {
	tb.Helper()
	return startOnBucket(tb, nc, bucketName, live, func(s kvstore.Store, tail *kvstore.Tail, g *epoch.Guard, l backend.Liveness) readyBackend {
		return durable.New(s, tail, g, l)
	}, change...)
}

// TestDurableKeepsTheContractOnJetStream shows R9 for the backend whose reads go to the
// bucket.
func TestDurableKeepsTheContractOnJetStream(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	backendtest.Run(t, backendtest.Profile{}, func(t *testing.T, live backend.Liveness) backend.Backend {
		t.Helper()
		return startDurable(t, srv.Connect(t), "", live).Backend
	})
}

// TestDurableReadsEveryWriteFromAnyReplica shows R5: whichever server answers, what was
// acknowledged through another node is there, with a minimum revision and linearizable.
func TestDurableReadsEveryWriteFromAnyReplica(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a cluster: left out with -short")
	}
	t.Parallel()
	cluster := natstest.StartCluster(t, 3)
	var nodes []*bucketNode
	name := ""
	for i := range cluster.Nodes {
		n := startDurable(t, cluster.Connect(t, cluster.Nodes[i:i+1]), name, backend.Nobody, replicated)
		nodes, name = append(nodes, n), n.bucket
	}
	var writers sync.WaitGroup
	for i, n := range nodes {
		writers.Go(func() {
			for j := range 50 {
				r, stamp, err := n.Register(t.Context(), payments(fmt.Sprintf("%d-%03d", i, j)), backend.Write{})
				if err != nil {
					t.Error(err)
					return
				}
				read := backend.Read{MinRevision: stamp.Revision, Epoch: stamp.Epoch}
				if j%2 == 1 {
					read = backend.Read{Consistency: backend.Linearizable}
				}
				for _, other := range nodes {
					got, at, err := other.Lookup(t.Context(), r.Key, read)
					if err != nil || got.Revision != r.Revision || at.Revision < stamp.Revision {
						t.Errorf("another node shows %s at %d as of %d, %v; want %d", r.Key, got.Revision, at.Revision, err, r.Revision)
					}
				}
			}
		})
	}
	writers.Wait()
	for _, n := range nodes {
		if all, _, err := n.instances(t.Context()); err != nil || len(all) != 150 {
			t.Errorf("a node lists %d, %v; want 150", len(all), err)
		}
	}
}

// TestDurableGoesOnWithoutOneOfThreeServers shows R2 and R6 where servers come and go:
// whatever answers, answers everything.
func TestDurableGoesOnWithoutOneOfThreeServers(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a cluster: left out with -short")
	}
	t.Parallel()
	cluster := natstest.StartCluster(t, 3)
	n := startDurable(t, cluster.Connect(t, nil), "", backend.Nobody, replicated)
	want := []string{}
	for round, server := range cluster.Nodes {
		for i := range 10 {
			want = append(want, n.register(t, fmt.Sprintf("%d-%02d", round, i)).Instance)
		}
		slices.Sort(want)
		server.Stop()
		n.shows(t, 0, want, want)
		want = append(want, n.register(t, fmt.Sprintf("%d-without", round)).Instance)
		slices.Sort(want)
		for range 20 {
			got, err := local(t.Context(), n)
			if err == nil && !slices.Equal(got, want) && !slices.Equal(got, slices.DeleteFunc(slices.Clone(want), func(s string) bool {
				return s == fmt.Sprintf("%d-without", round)
			})) {
				t.Fatalf("a local list = %v; want %v, or without the last", got, want)
			}
			if err != nil && !errors.Is(err, backend.ErrUnavailable) {
				t.Fatalf("a local list = %v; want an answer or unavailable", err)
			}
		}
		server.Restart(t)
		cluster.AwaitHealthy(t)
		n.shows(t, 0, want, want)
	}
}

func local(ctx context.Context, n *bucketNode) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	page, _, err := n.List(ctx, backend.Query{})
	if err != nil {
		return nil, err
	}
	all := []string{}
	for _, r := range page.Registrations {
		all = append(all, r.Instance)
	}
	slices.Sort(all)
	return all, nil
}

// TestDurableSurvivesTheDeletionOfItsBucket covers a bucket that is deleted by somebody
// else: nothing of the old one is shown in the new epoch, nor the other way round.
func TestDurableSurvivesTheDeletionOfItsBucket(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	n := startDurable(t, srv.Connect(t), "", backend.Nobody)
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
	if err := js.DeleteStream(t.Context(), "KV_"+n.bucket); err != nil {
		t.Fatal(err)
	}
	n.shows(t, stamp.Epoch, before, []string{})
	n.register(t, "new")
	n.shows(t, stamp.Epoch, []string{"new"}, []string{"new"})
}

// TestDurableSurvivesARestartOfNATS shows R6: while the bucket is away nothing is answered,
// and never that there is nothing.
func TestDurableSurvivesARestartOfNATS(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	n := startDurable(t, srv.Connect(t), "", backend.Nobody)
	want := []string{}
	for i := range 10 {
		want = append(want, n.register(t, fmt.Sprintf("i-%02d", i)).Instance)
	}
	_, stamp, err := n.instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		srv.Stop()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, _, err := n.List(ctx, backend.Query{}); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("list while NATS is away = %v; want unavailable", err)
		}
		cancel()
		srv.Restart(t)
		if epoch := n.shows(t, stamp.Epoch-1, want, want); epoch != stamp.Epoch {
			t.Errorf("the epoch after the restart is %d; want %d", epoch, stamp.Epoch)
		}
	}
}

// TestHybridAndDurableOnOneBucketSeeTheSame shows that they differ only in where reads come
// from.
func TestHybridAndDurableOnOneBucketSeeTheSame(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	a := startHybrid(t, srv.Connect(t), "", backend.Nobody)
	b := startDurable(t, srv.Connect(t), a.bucket, backend.Nobody)
	for i := range 40 {
		writer, reader := a, b
		if i%2 == 1 {
			writer, reader = b, a
		}
		r, stamp, err := writer.Register(t.Context(), payments(fmt.Sprint("i-", i)), backend.Write{})
		if err != nil {
			t.Fatal(err)
		}
		got, at, err := reader.Lookup(t.Context(), r.Key, backend.Read{MinRevision: stamp.Revision, Epoch: stamp.Epoch})
		if err != nil || got.Revision != r.Revision || at.Epoch != stamp.Epoch {
			t.Errorf("the other shows %+v of epoch %d, %v; want %+v of %d", got, at.Epoch, err, r, stamp.Epoch)
		}
	}
	one, _, err := a.instances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := b.instances(t.Context())
	if err != nil || !slices.Equal(one, other) || len(one) != 40 {
		t.Errorf("hybrid lists %v, durable %v, %v", one, other, err)
	}
}
