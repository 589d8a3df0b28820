package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

const (
	audienceOld     = 4000 // registrations that are there to be removed
	audienceBatch   = 20
	audienceWriters = 16
)

// audience is those who follow a registry while the leader of its stream is killed, and
// those who write meanwhile.
type audience struct {
	srv    *natstest.Server
	kill   int
	writer *client.Client
	begun  time.Time
	base   map[client.Key]client.Revision // when they began

	heard   *ledger
	beacons *lookout
	replica *replica
	plain   *plainFollower
	watch   *watcher
	lists   *requests
	conns   []*nats.Conn // of the followers
	stop    func()       // idempotent

	mu    sync.Mutex
	acked map[client.Revision]client.Operation
}

// ledger is what one who subscribes and does nothing else was told.
type ledger struct {
	mu    sync.Mutex
	heard map[client.Revision]bool
	until int           // so many are to be heard
	came  chan struct{} // closed when they are
}

// more waits for so many more events, and returns within the next one.
func (l *ledger) more(t *testing.T, n int) {
	t.Helper()
	l.mu.Lock()
	l.until, l.came = len(l.heard)+n, make(chan struct{})
	came := l.came
	l.mu.Unlock()
	select {
	case <-came:
	case <-time.After(patience):
		t.Fatalf("no %d more events after %v", n, patience)
	}
}

func (l *ledger) note(r client.Revision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard[r] = true
	if len(l.heard) == l.until {
		close(l.came)
	}
}

// requests are the lists that somebody asked for.
type requests struct {
	mu   sync.Mutex
	at   []time.Time
	what []string
}

// watcher folds a Watch.
type watcher struct {
	mu sync.Mutex
	m  mirror
}

// conn returns a connection that must stay and must not lose messages.
func (a *audience) conn(t *testing.T) *nats.Conn {
	t.Helper()
	nc := a.srv.Connect(t, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		t.Errorf("a follower's connection: %v", err)
	}))
	a.conns = append(a.conns, nc)
	return nc
}

func (a *audience) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(a.conn(t), client.WithPrefix(keeperPrefix), client.WithWriteTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// follows starts an audience, and waits until all follow and none of them lists.
func follows(t *testing.T, srv *natstest.Server, kill int) *audience {
	t.Helper()
	a := &audience{srv: srv, kill: kill, acked: map[client.Revision]client.Operation{}}
	a.writer = a.client(t)
	for n := 0; n < audienceOld; n += 1000 {
		operations := make([]client.Operation, 1000)
		for i := range operations {
			operations[i] = client.Operation{Kind: client.OpRegister, Registration: payments(a.old(n + i))}
		}
		if _, _, err := a.writer.Batch(t.Context(), operations, false); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var tasks sync.WaitGroup
	a.stop = sync.OnceFunc(func() {
		cancel()
		tasks.Wait()
		a.replica.stop()
		for _, nc := range a.conns {
			nc.Close()
		}
	})
	a.begun = time.Now()
	a.beacons = lookOut(t, a.conn(t))
	a.listen(t)
	a.replica = startReplica(t, a.client(t), client.Query{}, client.WithEventBuffer(1<<16))
	a.plain = &plainFollower{nc: a.conn(t), prefix: keeperPrefix, scope: "default.payments", state: map[string]held{}}
	tasks.Go(func() {
		if err := a.plain.run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(a.stop)
	a.watch = &watcher{m: mirror{state: map[string]client.Revision{}}}
	changes := watchPayments(ctx, a.client(t))
	a.base = selected(t, a.writer, client.Query{})
	for key, revision := range a.base {
		a.watch.m.state[key.Instance] = revision
	}
	tasks.Go(func() {
		for e, err := range changes {
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("watch: %v", err)
				}
				return
			}
			a.watch.mu.Lock()
			a.watch.m.take(t, e)
			a.watch.mu.Unlock()
		}
	})
	a.exact(t)
	a.beacons.await(t, "the feed that they follow", anyBeacon)
	natstest.Await(t, "a second without lists", func() bool { return time.Since(a.lists.last()) > time.Second })
	return a
}

// listen starts to write down events and lists.
func (a *audience) listen(t *testing.T) {
	t.Helper()
	a.heard, a.lists = &ledger{heard: map[client.Revision]bool{}}, &requests{}
	nc := a.conn(t)
	_, err := nc.Subscribe(keeperPrefix+".event.>", func(m *nats.Msg) {
		r, err := strconv.ParseUint(m.Header.Get(bus.HeaderSequence), 10, 64)
		if err != nil {
			t.Errorf("event without a revision: %v", m.Header)
		}
		a.heard.note(client.Revision(r))
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = nc.Subscribe(keeperPrefix+".registry.list.>", func(m *nats.Msg) {
		a.lists.mu.Lock()
		defer a.lists.mu.Unlock()
		a.lists.at = append(a.lists.at, time.Now())
		a.lists.what = append(a.lists.what, fmt.Sprintf("%s %s", m.Subject, m.Data))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func (r *requests) last() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.at) == 0 {
		return time.Time{}
	}
	return r.at[len(r.at)-1]
}

func (a *audience) old(n int) string { return fmt.Sprintf("k%d-old-%d", a.kill, n) }

// load has writers register and unregister, each name once, while during goes on.
func (a *audience) load(t *testing.T, during func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var writers sync.WaitGroup
	defer writers.Wait()
	defer cancel()
	next := make(chan int)
	writers.Go(func() {
		defer close(next)
		for n := 0; ; n += audienceBatch {
			select {
			case next <- n:
			case <-ctx.Done():
				return
			}
		}
	})
	for range audienceWriters {
		writers.Go(func() {
			for n := range next {
				a.change(ctx, t, n)
			}
		})
	}
	a.heard.more(t, 1000+rand.IntN(1000)) // in the midst of batches
	during()
	a.progress(t, 100)
	cancel()
	writers.Wait()
}

// change makes a batch of changes, from the n-th on: much is under way at any time, so
// that a leader that dies takes something with it.
func (a *audience) change(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	var operations []client.Operation
	for i := n; i < n+audienceBatch; i++ {
		operations = append(operations, client.Operation{Kind: client.OpRegister, Registration: payments(fmt.Sprintf("k%d-new-%d", a.kill, i))})
		if i < audienceOld {
			operations = append(operations, client.Operation{Kind: client.OpUnregister, Registration: payments(a.old(i))})
		}
	}
	results, _, err := a.writer.Batch(context.WithoutCancel(ctx), operations, false)
	if err != nil {
		t.Errorf("batch: %v", err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, result := range results {
		if result.Err != nil {
			t.Errorf("%v %s: %v", operations[i].Kind, operations[i].Registration.Key, result.Err)
			continue
		}
		a.acked[result.Revision()] = operations[i]
	}
}

// progress waits for so many more acknowledged changes.
func (a *audience) progress(t *testing.T, more int) {
	t.Helper()
	count := func() int {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.acked)
	}
	from := count()
	natstest.Await(t, fmt.Sprintf("%d more changes", more), func() bool { return count() >= from+more })
}

// newFeed waits for a beacon with another feed than before, and reports whether nobody
// listed between that and the kill: the Go client also does when it has heard no beacon
// for some ten seconds.
func (a *audience) newFeed(t *testing.T) (untouched bool) {
	t.Helper()
	killed := time.Now()
	heard := a.beacons.heard()
	before := heard[len(heard)-1]
	a.beacons.await(t, "another feed", func(b bus.Beacon) bool { return b.Feed != before.Feed })
	a.beacons.mu.Lock()
	came := time.Now()
	for i, b := range a.beacons.beacons {
		if b.Feed != before.Feed && a.beacons.at[i].After(killed) {
			came = a.beacons.at[i]
			break
		}
	}
	a.beacons.mu.Unlock()
	const skew = 500 * time.Millisecond // between those who hear one beacon, on a busy machine
	a.lists.mu.Lock()
	defer a.lists.mu.Unlock()
	for n, at := range a.lists.at {
		if at.After(killed) && at.Before(came.Add(-skew)) {
			t.Logf("%v before the beacon with another feed somebody asked for %s", came.Sub(at), a.lists.what[n])
			return false
		}
	}
	return true
}

// exact waits until every follower holds what the registry has.
func (a *audience) exact(t *testing.T) {
	t.Helper()
	a.replica.exact(t, a.writer, client.Query{})
	a.plain.exact(t, a.writer)
	want, diff := truth(t, a.writer), ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		a.watch.mu.Lock()
		diff = cmp.Diff(want, maps.Clone(a.watch.m.state))
		a.watch.mu.Unlock()
		if diff == "" {
			break
		}
	}
	if diff != "" {
		t.Errorf("the watch is not exact (-registry +watch):\n%s", diff)
	}
	for _, nc := range a.conns {
		if n := nc.Stats().Reconnects; n != 0 {
			t.Errorf("a follower's connection was lost %d times", n)
		}
	}
	if took := time.Since(a.begun); took > 4*time.Minute { // when the first makes sure by itself
		t.Errorf("they have followed for %v, which may be long enough to list for no reason", took)
	}
}

// lost says how many acknowledged changes nobody was told of, and makes sure that the
// registry has them.
func (a *audience) lost(t *testing.T) (registrations, removals int) {
	t.Helper()
	last, _, err := a.writer.Register(t.Context(), payments(fmt.Sprintf("k%d-last", a.kill)), client.Write{})
	if err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "the newest event", func() bool { return a.heard.has(last.Revision) })
	state := selected(t, a.writer, client.Query{})
	for revision, o := range a.acked {
		if a.heard.has(revision) {
			continue
		}
		there, is := state[o.Registration.Key]
		if o.Kind == client.OpRegister {
			registrations++
			if there != revision {
				t.Errorf("%s was acknowledged at %d and is there at %d", o.Registration.Key, revision, there)
			}
		} else {
			removals++
			if is {
				t.Errorf("%s was removed at %d and is there at %d", o.Registration.Key, revision, there)
			}
		}
	}
	t.Logf("kill %d: of %d changes nobody was told of %d registrations and %d removals", a.kill, len(a.acked), registrations, removals)
	return registrations, removals
}

func (l *ledger) has(r client.Revision) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard[r]
}
