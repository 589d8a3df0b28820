package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// epochs is a Guard that a test tells the epoch.
type epochs struct{ n atomic.Uint32 }

func (e *epochs) Current() (uint32, bool) { return e.n.Load(), e.n.Load() != 0 }

// office is a keeper that a test elects.
type office struct{ term atomic.Uint64 }

func (o *office) Tenure() (keeper.Tenure, bool) {
	term := o.term.Load()
	return keeper.Tenure{Term: term}, term != 0
}

// way is one node's way to the store: its probes are its own, its writes and its feed may be
// late, and its feed may stand still.
type way struct {
	*memkv.Store
	node  string
	delay atomic.Int64 // of each write, and again of its answer
	lag   atomic.Int64 // of the feed
	wrote atomic.Int64 // how many writes were sent but probes
	cut   atomic.Bool  // nothing is sent

	mu    sync.Mutex
	still chan struct{} // closed when the feed goes on; nil while it does
	// before, unless nil, is called before each write but probes.
	before func(w kvstore.Write)
}

func (w *way) Write(ctx context.Context, write kvstore.Write) (uint64, error) {
	if w.cut.Load() {
		return 0, fmt.Errorf("%w: cut off", kvstore.ErrUnavailable)
	}
	w.mu.Lock()
	before := w.before
	w.mu.Unlock()
	if before != nil {
		before(write)
	}
	w.wrote.Add(1)
	time.Sleep(time.Duration(w.delay.Load()))
	revision, err := w.Store.Write(context.WithoutCancel(ctx), write)
	time.Sleep(time.Duration(w.delay.Load()))
	return revision, err
}

func (w *way) Barrier(ctx context.Context) (uint64, error) {
	key := kvstore.ProbePrefix + w.node
	if w.cut.Load() {
		return 0, fmt.Errorf("%w: cut off", kvstore.ErrUnavailable)
	}
	time.Sleep(time.Duration(w.delay.Load()))
	for {
		e, err := w.Store.Get(ctx, key)
		if err != nil && !errors.Is(err, kvstore.ErrNotFound) {
			return 0, err
		}
		revision, err := w.Store.Write(ctx, kvstore.Write{Key: key, Expect: e.Revision})
		if !errors.Is(err, kvstore.ErrConflict) {
			return revision, err
		}
	}
}

func (w *way) Feed(ctx context.Context, f kvstore.Follower) error {
	return w.Store.Feed(ctx, &late{w, f})
}

// freeze makes the node's feed stand still without a word.
func (w *way) freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.still == nil {
		w.still = make(chan struct{})
	}
}

func (w *way) thaw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.still != nil {
		close(w.still)
		w.still = nil
	}
}

// onWrite has f called before each write from now on.
func (w *way) onWrite(f func(kvstore.Write)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = f
}

type late struct {
	w *way
	f kvstore.Follower
}

func (l *late) wait() {
	time.Sleep(time.Duration(l.w.lag.Load()))
	l.w.mu.Lock()
	still := l.w.still
	l.w.mu.Unlock()
	if still != nil {
		<-still
	}
}

func (l *late) Begin(g kvstore.Generation) { l.f.Begin(g) }
func (l *late) Live(revision uint64)       { l.f.Live(revision) }
func (l *late) Stale(cause error)          { l.f.Stale(cause) }
func (l *late) Apply(e kvstore.Entry)      { l.wait(); l.f.Apply(e) }

// node is one node of a registry.
type node struct {
	*engine.Engine
	store  *way
	tail   *kvstore.Tail
	leases *lease.Table
	epochs *epochs
	office *office
	stop   func() // as a process that ends in order
	kill   func() // as one that is killed
}

// start runs a node on store. The first of a test is its keeper.
func start(t *testing.T, store *memkv.Store, name string, opts ...engine.Option) *node {
	t.Helper()
	n := &node{store: &way{Store: store, node: name}, epochs: &epochs{}, office: &office{}}
	n.epochs.n.Store(1)
	n.tail = kvstore.NewTail(n.store)
	log := slog.New(slog.DiscardHandler)
	n.leases = lease.NewTable(n.tail, log)
	var err error
	if n.Engine, err = engine.New(n.store, n.tail, n.leases, n.epochs, n.office, name, opts...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = n.tail.Run(ctx) })
	tasks.Go(func() { _ = n.Run(ctx) })
	n.stop = sync.OnceFunc(func() {
		n.store.thaw()
		cancel()
		tasks.Wait()
	})
	n.kill = func() {
		n.store.cut.Store(true)
		n.stop()
	}
	t.Cleanup(n.stop)
	synctest.Wait()
	return n
}

// keep makes n the keeper.
func (n *node) keep(term uint64) *node {
	n.office.term.Store(term)
	return n
}

// grant gives owners a lease each.
func grant(t *testing.T, store *memkv.Store, owners ...string) {
	t.Helper()
	for _, owner := range owners {
		r, err := lease.NewRecord("", lease.DefaultTTL, 0, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		write(t, store, owner, r)
	}
	synctest.Wait()
}

// end ends owner's lease, and returns the revision at which.
func end(t *testing.T, store *memkv.Store, owner string) uint64 {
	t.Helper()
	r, _, err := kvstore.CellAt[lease.Record](store, lease.Key(owner)).Get(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return write(t, store, owner, r.End(backend.ReasonExpired))
}

func write(t *testing.T, store *memkv.Store, owner string, r lease.Record) uint64 {
	t.Helper()
	cell := kvstore.CellAt[lease.Record](store, lease.Key(owner))
	_, at, err := cell.Get(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	revision, err := cell.Set(context.Background(), r, at, kvstore.Labels{})
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

var object = engine.Name{Namespace: "default", Name: "x"}

func as(owner string) backend.Write { return backend.Write{Owner: owner} }

func party(owner string) coordination.Party { return coordination.Party{Owner: owner} }

// try acquires the lock without waiting.
func (n *node) try(owner string) (coordination.Token, error) {
	return n.lock(owner, 0)
}

// lock acquires the lock.
func (n *node) lock(owner string, wait time.Duration) (coordination.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait+5*time.Second)
	defer cancel()
	grant, _, err := n.Locks.Acquire(ctx, object, party(owner), coordination.Exclusive, wait, as(owner))
	return grant.Token, err
}

func (n *node) unlock(t *testing.T, owner string) {
	t.Helper()
	if _, _, err := n.Locks.Release(context.Background(), object, party(owner), as(owner)); err != nil {
		t.Errorf("Release by %s = %v", owner, err)
	}
}

// stored returns the lock as it is stored.
func stored(t *testing.T, store *memkv.Store) coordination.Lock {
	t.Helper()
	e, err := store.Get(context.Background(), "announce.lock.default.x")
	if errors.Is(err, kvstore.ErrNotFound) || e.Removed {
		return coordination.Lock{}
	}
	var l coordination.Lock
	if err == nil {
		err = json.Unmarshal(e.Value, &l)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// settle waits until whoever comes to wait does.
func settle() {
	time.Sleep(10 * time.Millisecond)
	synctest.Wait()
}

// eventually waits until is reports true.
func eventually(t *testing.T, what string, is func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for synctest.Wait(); !is(); synctest.Wait() {
		if time.Since(begin) > time.Minute {
			t.Fatalf("no %s within a minute", what)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(begin)
}

// recordOf returns owner's lease as it is stored.
func recordOf(t *testing.T, store *memkv.Store, owner string) lease.Record {
	t.Helper()
	r, _, err := kvstore.CellAt[lease.Record](store, lease.Key(owner)).Get(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r
}
