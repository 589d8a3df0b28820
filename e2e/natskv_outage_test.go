package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/kvstoretest"
	"github.com/roostbus/roost/kvstore/natskv"
)

// load writes creations, updates and removals from several goroutines until it is stopped,
// and remembers what it was told.
type load struct {
	store   kvstore.Store
	timeout time.Duration

	mu        sync.Mutex
	certain   map[string]outcome // of each key: its last write's
	succeeded int
	newest    uint64
}

type outcome struct {
	write    kvstore.Write
	revision uint64
	err      error
}

// run writes until ctx is done. A key whose write failed is left alone, so that what
// happened to it can be told.
func (l *load) run(ctx context.Context, t *testing.T, writers int) {
	t.Helper()
	l.certain = map[string]outcome{}
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key, expect := fmt.Sprintf("event.load.%d.%d", i, n), uint64(0)
				for step := range 3 {
					w := kvstore.Write{
						Key: key, Value: fmt.Append(nil, key, step), Expect: expect, Remove: step == 2,
						Labels: kvstore.Labels{Operation: fmt.Sprint(key, step)},
					}
					// A write that was begun when ctx ends is seen through.
					bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
					revision, err := l.store.Write(bounded, w)
					cancel()
					l.note(outcome{w, revision, err})
					if err != nil {
						break
					}
					expect = revision
				}
			}
		})
	}
	all.Wait()
}

func (l *load) note(o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.certain[o.write.Key] = o
	if o.err == nil {
		l.succeeded++
		l.newest = max(l.newest, o.revision)
	}
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.succeeded
}

// verify holds what l was told against what the store has and the feed shows.
func (l *load) verify(t *testing.T, m *kvstoretest.Mirror) {
	t.Helper()
	revision, err := l.store.Barrier(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shown := m.AwaitRevision(t, revision)
	unknown := 0
	for key, o := range l.certain {
		e, err := l.store.Get(t.Context(), key)
		if err != nil && !errors.Is(err, kvstore.ErrNotFound) {
			t.Fatalf("Get(%s) = %v", key, err)
		}
		happened := e.Operation == o.write.Operation
		switch {
		case o.err == nil && (!happened || e.Revision != o.revision):
			t.Errorf("%s: acknowledged at %d and lost: the store has %+v", key, o.revision, e)
		case errors.Is(o.err, kvstore.ErrUnknownOutcome):
			unknown++
		case o.err != nil && (happened || !errors.Is(o.err, kvstore.ErrUnavailable)):
			t.Errorf("%s: failed with %v; happened: %t", key, o.err, happened)
		}
		if got := shown.Entries[key]; got.Revision != e.Revision {
			t.Errorf("%s: the feed shows revision %d, the store has %d", key, got.Revision, e.Revision)
		}
	}
	for key := range shown.Entries {
		if _, ok := l.certain[key]; !ok && key != "probe.node" {
			t.Errorf("the feed shows %s, which nobody wrote", key)
		}
	}
	t.Logf("%d writes acknowledged, %d unknown, of %d keys; %d snapshots, %d interruptions",
		l.succeeded, unknown, len(l.certain), shown.Begins, shown.Stales)
}

// R2: nothing acknowledged is lost (one node).
func TestNoAcknowledgedWriteIsLostWhenNATSIsRestartedUnderLoad(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	s := openStore(t, srv.Connect(t), bucket())
	m := kvstoretest.Follow(t, s)
	l := &load{store: s, timeout: patience}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		l.run(ctx, t, 16)
		close(done)
	}()
	for range 4 {
		before := l.count()
		natstest.Await(t, "progress", func() bool { return l.count() > before+300 })
		srv.Stop()
		srv.Restart(t)
	}
	before := l.count()
	natstest.Await(t, "progress", func() bool { return l.count() > before+300 })
	stop()
	<-done
	l.verify(t, m)
	for key, o := range l.certain {
		if o.err != nil {
			t.Errorf("%s: %v, though the server came back in time", key, o.err)
		}
	}
}

func TestWritesDuringALongOutageAreUnavailableOrUnknownAndNeverWrong(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	s := openStore(t, srv.Connect(t), bucket())
	m := kvstoretest.Follow(t, s)
	l := &load{store: s, timeout: 300 * time.Millisecond}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		l.run(ctx, t, 8)
		close(done)
	}()
	natstest.Await(t, "progress", func() bool { return l.count() > 300 })
	srv.Stop()
	m.Await(t, "an interruption", func(s kvstoretest.MirrorState) bool { return s.Stales > 0 })
	failed := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		n := 0
		for _, o := range l.certain {
			if o.err != nil {
				n++
			}
		}
		return n >= 16
	}
	natstest.Await(t, "failed writes", failed)
	srv.Restart(t)
	before := l.count()
	natstest.Await(t, "progress", func() bool { return l.count() > before+300 })
	stop()
	<-done
	l.verify(t, m)
}

func replicated(c *natskv.Config) { c.Replicas = 3 }

func TestNatskvKeepsTheContractOnThreeNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("short: three nodes")
	}
	t.Parallel()
	cluster := natstest.StartCluster(t, 3)
	var bucketNumber int
	var mu sync.Mutex
	kvstoretest.Run(t, kvstoretest.Profile{}, func(t *testing.T) kvstore.Store {
		t.Helper()
		mu.Lock()
		bucketNumber++
		name := fmt.Sprint("e2e-", bucketNumber)
		mu.Unlock()
		return openStore(t, cluster.Connect(t, nil), bucket(replicated, func(c *natskv.Config) {
			c.Bucket, c.Prefix = name, "p."+name
		}))
	})
}

// R2: nothing acknowledged is lost (three nodes, one of which stops).
func TestNoAcknowledgedWriteIsLostWhenTheStreamLeaderStops(t *testing.T) {
	if testing.Short() {
		t.Skip("short: three nodes")
	}
	t.Parallel()
	cluster := natstest.StartCluster(t, 3)
	s := openStore(t, cluster.Connect(t, nil), bucket(replicated))
	m := kvstoretest.Follow(t, s)
	l := &load{store: s, timeout: patience}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		l.run(ctx, t, 16)
		close(done)
	}()
	for range 3 {
		before := l.count()
		natstest.Await(t, "progress", func() bool { return l.count() > before+300 })
		leader := cluster.StreamLeader(t, "KV_e2e")
		leader.Stop()
		before = l.count()
		natstest.Await(t, "progress without the leader", func() bool { return l.count() > before+300 })
		leader.Restart(t)
		cluster.AwaitHealthy(t)
	}
	stop()
	<-done
	l.verify(t, m)
}
