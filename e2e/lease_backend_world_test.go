package e2e_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/backend/hybrid"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/memkv"
)

// lagging is a store whose feed one node can be made not to hear. What it hears afterwards
// is, like what a bucket sends to a consumer that is behind, at no state of the store until
// it has caught up.
type lagging struct {
	kvstore.Store

	mu     sync.Mutex
	still  chan struct{} // closed when the feed may go on; nil if it may
	target uint64        // entries before it are torn
}

func (l *lagging) Feed(ctx context.Context, f kvstore.Follower) error {
	return l.Store.Feed(ctx, &laggard{Follower: f, of: l, ctx: ctx})
}

// freeze makes the feed stand still.
func (l *lagging) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.still == nil {
		l.still = make(chan struct{})
	}
}

// resume lets it go on.
func (l *lagging) resume(t *testing.T) {
	t.Helper()
	info, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.still != nil {
		close(l.still)
		l.still, l.target = nil, info.Last
	}
}

type laggard struct {
	kvstore.Follower
	of  *lagging
	ctx context.Context //nolint:containedctx // that of the one call that it lives for
}

func (l *laggard) wait() (target uint64) {
	for {
		l.of.mu.Lock()
		still := l.of.still
		target = l.of.target
		l.of.mu.Unlock()
		if still == nil {
			return target
		}
		select {
		case <-still:
		case <-l.ctx.Done():
			return target
		}
	}
}

func (l *laggard) Begin(g kvstore.Generation) { l.wait(); l.Follower.Begin(g) }
func (l *laggard) Live(revision uint64)       { l.wait(); l.Follower.Live(revision) }
func (l *laggard) Apply(e kvstore.Entry) {
	e.Torn = e.Revision < l.wait()
	l.Follower.Apply(e)
}

// leaseNode is a node with a lease table and both backends on one store.
type leaseNode struct {
	store *lagging
	table *lease.Table
	kinds map[string]reaping
	stop  func()

	mu   sync.Mutex
	void map[string][]backend.Ending // by kind
}

// reaping is a backend that can reap.
type reaping interface {
	backend.Backend
	backend.Reaper
	Ready(ctx context.Context) error
}

func startLeaseNode(t *testing.T, store kvstore.Store) *leaseNode {
	t.Helper()
	n := &leaseNode{store: &lagging{Store: store}, void: map[string][]backend.Ending{}}
	guard, err := epoch.NewGuard(n.store, epoch.Forgetful())
	if err != nil {
		t.Fatal(err)
	}
	tail := kvstore.NewTail(n.store)
	tail.Subscribe(epoch.Key, guard)
	n.table = lease.NewTable(tail, slog.New(slog.DiscardHandler))
	n.kinds = map[string]reaping{
		"hybrid":  hybrid.New(n.store, tail, guard, n.table),
		"durable": durable.New(n.store, tail, guard, n.table),
	}
	for kind, b := range n.kinds {
		b.OnVoid(func(e backend.Ending) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.void[kind] = append(n.void[kind], e)
		})
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = tail.Run(ctx) })
	tasks.Go(func() { _ = guard.Run(ctx) })
	n.stop = sync.OnceFunc(func() {
		for _, b := range n.kinds {
			_ = b.Close()
		}
		cancel()
		tasks.Wait()
	})
	for _, b := range n.kinds {
		if err := b.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// heard returns the owners of what has turned out to be void.
func (n *leaseNode) heard(kind string) (owners []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.void[kind] {
		owners = append(owners, e.Owner)
	}
	slices.Sort(owners)
	return slices.Compact(owners)
}

// eachKind runs check in a bubble, once for each kind of backend, with two nodes on a store.
func eachKind(t *testing.T, check func(t *testing.T, w *leaseWorld)) {
	t.Helper()
	for _, kind := range []string{"hybrid", "durable"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := memkv.New()
				w := &leaseWorld{store: store, kind: kind, one: startLeaseNode(t, store), two: startLeaseNode(t, store)}
				defer w.one.stop()
				defer w.two.stop()
				check(t, w)
			})
		})
	}
}

// leaseWorld is two nodes on one store, whose leases the test itself grants and ends.
type leaseWorld struct {
	store    *memkv.Store
	kind     string
	one, two *leaseNode
}

func (w *leaseWorld) first() reaping  { return w.one.kinds[w.kind] }
func (w *leaseWorld) second() reaping { return w.two.kinds[w.kind] }

// put writes what is to be of owner's lease.
func (w *leaseWorld) put(t *testing.T, owner string, change func(lease.Lease) kvstore.Write) backend.Revision {
	t.Helper()
	l := lease.Lease{Owner: owner}
	if e, err := w.store.Get(t.Context(), lease.Key(owner)); err == nil {
		l.Revision = e.Revision
		l.Record, _ = kvstore.Decode[lease.Record](e)
	}
	revision, err := w.store.Write(t.Context(), change(l))
	if err != nil {
		t.Fatal(err)
	}
	return backend.Revision(revision)
}

func (w *leaseWorld) write(t *testing.T, owner string, next func(lease.Record) lease.Record) backend.Revision {
	t.Helper()
	return w.put(t, owner, func(l lease.Lease) kvstore.Write {
		write, err := l.Write(next(l.Record), "")
		if err != nil {
			t.Fatal(err)
		}
		return write
	})
}

// grant grants owner a lease.
func (w *leaseWorld) grant(t *testing.T, owner string) backend.Revision {
	t.Helper()
	return w.write(t, owner, func(lease.Record) lease.Record {
		r, err := lease.NewRecord("", time.Minute, time.Second, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return r
	})
}

// end ends it.
func (w *leaseWorld) end(t *testing.T, owner, reason string) backend.Revision {
	t.Helper()
	return w.write(t, owner, func(r lease.Record) lease.Record { return r.End(reason) })
}

// remove removes its record.
func (w *leaseWorld) remove(t *testing.T, owner string) {
	t.Helper()
	w.put(t, owner, func(l lease.Lease) kvstore.Write {
		return kvstore.Write{Key: lease.Key(owner), Expect: l.Revision, Remove: true, Keep: lease.Remembered}
	})
}

func leased(name string) backend.Registration {
	return backend.Registration{
		Key: backend.Key{Namespace: "default", Service: "payments", Instance: name}, Weight: 100, Metadata: `{"v":1}`,
	}
}

func mustRegister(t *testing.T, b backend.Backend, name, owner string) (backend.Registration, backend.Stamp) {
	t.Helper()
	r, stamp, err := b.Register(t.Context(), leased(name), backend.Write{Owner: owner})
	if err != nil {
		t.Fatalf("register %s for %q: %v", name, owner, err)
	}
	return r, stamp
}

// listsOnly checks what every kind of read of b has.
func listsOnly(t *testing.T, b backend.Backend, read backend.Read, want ...string) {
	t.Helper()
	for _, q := range []backend.Query{
		{Read: read},
		{Read: read, Scope: backend.Scope{Namespace: "default", Service: "payments"}},
		{Read: read, Filter: "metadata.v == 1"},
	} {
		var got []string
		for r, err := range backend.All(t.Context(), b, q) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r.Instance)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("the list of %q with filter %q has %q; want %q", q.Scope, q.Filter, got, want)
		}
		if n, _, err := backend.Count(t.Context(), b, q); err != nil || n != len(want) {
			t.Errorf("the count of %q with filter %q is %d, %v; want %d", q.Scope, q.Filter, n, err, len(want))
		}
	}
	for _, name := range want {
		if _, _, err := b.Lookup(t.Context(), leased(name).Key, read); err != nil {
			t.Errorf("Lookup(%s) = %v; want it found", name, err)
		}
	}
}

// followed returns what a watch of b yields from since on, once it has come to rest.
func followed(t *testing.T, b backend.Backend, since backend.Revision) func() []backend.Event {
	t.Helper()
	var mu sync.Mutex
	var events []backend.Event
	ctx, cancel := context.WithCancel(t.Context())
	var task sync.WaitGroup
	watch := b.Watch(ctx, backend.Query{}, since)
	task.Go(func() {
		for e, err := range watch {
			if err != nil {
				return
			}
			mu.Lock()
			events = append(events, e)
			mu.Unlock()
		}
	})
	return func() []backend.Event {
		synctest.Wait()
		cancel()
		task.Wait()
		return events
	}
}
