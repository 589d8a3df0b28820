package switching_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
	"github.com/roostbus/roost/kvstore/switching"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// country has buckets that nodes share.
type country struct {
	mu        sync.Mutex
	buckets   map[string]*bucket
	remember  map[string]switching.Place // by node
	published map[string]bool
	failMake  error
	lowly     bool // new buckets do not begin at the revision that they are to begin at
	onPublish func()
}

type bucket struct {
	*memkv.Store
	counters *memkv.Counters
}

func newCountry() *country {
	return &country{buckets: map[string]*bucket{}, remember: map[string]switching.Place{}, published: map[string]bool{}}
}

func (c *country) bucket(name string) *bucket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buckets[name]
}

func (c *country) found(name string) *bucket {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buckets[name] = &bucket{memkv.New(), memkv.NewCounters()}
	return c.buckets[name]
}

func place(name string) switching.Place {
	return switching.Place{Kind: switching.Bucket, Bucket: name}
}

// opener is a node's way to the buckets.
type opener struct {
	*country
	node string
	way  *way
}

// way is what lies between a node and its store.
type way struct {
	mu     sync.Mutex
	held   chan struct{} // what a stopped process waits for
	before func(w *kvstore.Write)
	after  func(w *kvstore.Write)
	scans  time.Duration // how long a whole store takes to be read
}

func (o opener) home(b *bucket) switching.Home {
	s := &nodeStore{Store: b.Store, node: o.node, way: o.way}
	return switching.Home{Store: s, Counters: b.counters, Close: func() error { return nil }}
}

func (o opener) Look(ctx context.Context, p switching.Place) (f switching.Found, err error) {
	b := o.bucket(p.Bucket)
	if b == nil {
		return f, nil
	}
	info, err := b.Info(ctx)
	if err != nil {
		return f, err
	}
	f.Exists, f.Keys = true, info.Keys
	f.Record, _, err = kvstore.CellAt[switching.Record](b, switching.Key).Get(ctx)
	return f, err
}

func (o opener) Open(_ context.Context, p switching.Place) (switching.Home, error) {
	b := o.bucket(p.Bucket)
	if b == nil {
		return switching.Home{}, errors.New("no such bucket")
	}
	return o.home(b), nil
}

func (o opener) Make(_ context.Context, p switching.Place, first uint64) (switching.Home, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failMake != nil {
		return switching.Home{}, o.failMake
	}
	if o.lowly {
		first = 1
	}
	b := &bucket{memkv.New(memkv.WithFirst(first)), memkv.NewCounters()}
	o.buckets[p.Bucket] = b
	return o.home(b), nil
}

func (o opener) Publish(_ context.Context, p switching.Place, on bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.published[p.Bucket] = on
	if o.onPublish != nil && on {
		o.onPublish()
	}
	return nil
}

func (o opener) Delete(_ context.Context, p switching.Place) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.buckets, p.Bucket)
	return nil
}

func (o opener) Remember(p switching.Place) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.country.remember[o.node] = p
	return nil
}

// nodeStore is a bucket as one node uses it.
type nodeStore struct {
	*memkv.Store
	node string
	way  *way
}

func (s *nodeStore) Write(ctx context.Context, w kvstore.Write) (uint64, error) {
	if s.way == nil {
		return s.Store.Write(ctx, w)
	}
	s.way.tell(&w, func() func(*kvstore.Write) { return s.way.before })
	s.way.hold()
	revision, err := s.Store.Write(ctx, w)
	s.way.tell(&w, func() func(*kvstore.Write) { return s.way.after })
	s.way.hold()
	return revision, err
}

func (s *nodeStore) Barrier(ctx context.Context) (uint64, error) {
	key := kvstore.ProbePrefix + s.node
	for {
		e, err := s.Get(ctx, key)
		if err != nil && !errors.Is(err, kvstore.ErrNotFound) {
			return 0, err
		}
		revision, err := s.Write(ctx, kvstore.Write{Key: key, Expect: e.Revision})
		if !errors.Is(err, kvstore.ErrConflict) {
			return revision, err
		}
	}
}

// Scan gives up soon, unless its caller has said how long it may take.
func (s *nodeStore) Scan(ctx context.Context, patterns []string, atLeast uint64) (kvstore.Scanned, error) {
	if s.way != nil && s.way.scans > 0 && patterns[0] == ">" {
		if _, ok := ctx.Deadline(); !ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
		}
		select {
		case <-time.After(s.way.scans):
		case <-ctx.Done():
			return kvstore.Scanned{}, context.Cause(ctx)
		}
	}
	return s.Store.Scan(ctx, patterns, atLeast)
}

func (s *nodeStore) Feed(ctx context.Context, f kvstore.Follower) error {
	if s.way == nil {
		return s.Store.Feed(ctx, f)
	}
	return s.Store.Feed(ctx, &delayed{f, s.way})
}

type delayed struct {
	kvstore.Follower
	way *way
}

func (d *delayed) Begin(g kvstore.Generation) { d.way.hold(); d.Follower.Begin(g) }
func (d *delayed) Apply(e kvstore.Entry)      { d.way.hold(); d.Follower.Apply(e) }
func (d *delayed) Live(r uint64)              { d.way.hold(); d.Follower.Live(r) }

// stop has the process stand still: what it sends and hears waits for resume.
func (w *way) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = make(chan struct{})
}

func (w *way) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.held)
	w.held = nil
}

func (w *way) hold() {
	w.mu.Lock()
	held := w.held
	w.mu.Unlock()
	if held != nil {
		<-held
	}
}

func (w *way) tell(write *kvstore.Write, whom func() func(*kvstore.Write)) {
	w.mu.Lock()
	f := whom()
	w.mu.Unlock()
	if f != nil {
		f(write)
	}
}

// stopAt has the process stand still before or after it writes that state of a move.
func (w *way) stopAt(state string, after bool) {
	at := func(write *kvstore.Write) {
		if write.Key == switching.Key && strings.Contains(string(write.Value), `"state":"`+state+`"`) {
			w.mu.Lock()
			w.before, w.after = nil, nil
			w.mu.Unlock()
			w.stop()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if after {
		w.after = at
	} else {
		w.before = at
	}
}

// node is a process.
type node struct {
	*switching.Store
	tail *kvstore.Tail
	seen *shown
	way  *way
	stop func()
}

// shown is what a node's feed has shown.
type shown struct {
	mu     sync.Mutex
	values map[string]kvstore.Entry
	next   map[string]kvstore.Entry
	begins int
}

func (s *shown) Begin(kvstore.Generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begins++
	s.next = map[string]kvstore.Entry{}
}

func (s *shown) Apply(e kvstore.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		s.next[e.Key] = e
	} else {
		s.values[e.Key] = e
	}
}

func (s *shown) Live(uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		s.values, s.next = s.next, nil
	}
}
func (s *shown) Stale(error)    {}
func (s *shown) Advance(uint64) {}

func (s *shown) get(key string) (kvstore.Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.values[key]
	return e, ok
}

// start starts a node at the bucket of that name; it is stopped at the end of the test.
func (c *country) start(t *testing.T, name, at string) *node {
	t.Helper()
	o := opener{country: c, node: name, way: &way{}}
	return c.startAt(t, o, o.home(c.bucket(at)), place(at))
}

func (c *country) startAt(t *testing.T, o opener, h switching.Home, p switching.Place) *node {
	t.Helper()
	s, err := switching.New(h, switching.Config{Node: o.node, Registry: "test", Place: p}, o)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Store: s, tail: kvstore.NewTail(s), seen: &shown{values: map[string]kvstore.Entry{}}, way: o.way}
	n.tail.Subscribe("", n.seen)
	ctx, cancel := context.WithCancel(t.Context())
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = n.tail.Run(ctx) })
	tasks.Go(func() { _ = s.Run(ctx) })
	n.stop = sync.OnceFunc(func() {
		cancel()
		tasks.Wait()
		_ = s.Close()
	})
	t.Cleanup(n.stop)
	synctest.Wait()
	return n
}

// put writes value under key, whatever is there, and fails the test if it cannot.
func put(t *testing.T, s kvstore.Store, key, value string) uint64 {
	t.Helper()
	revision, err := tryPut(t.Context(), s, key, value)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return revision
}

func tryPut(ctx context.Context, s kvstore.Store, key, value string) (uint64, error) {
	for {
		e, err := s.Get(ctx, key)
		if err != nil && !errors.Is(err, kvstore.ErrNotFound) {
			return 0, err
		}
		revision, err := s.Write(ctx, kvstore.Write{Key: key, Value: []byte(value), Expect: e.Revision})
		if !errors.Is(err, kvstore.ErrConflict) {
			return revision, err
		}
	}
}

// await polls until ok, or for at most a minute of the bubble's time.
func await(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > time.Minute {
			t.Fatalf("%s: not within a minute", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

// switched waits until every node is at the bucket of that name and its move is noted.
func switched(t *testing.T, at string, nodes ...*node) {
	t.Helper()
	await(t, "switch to "+at, func() bool {
		for _, n := range nodes {
			if st := n.Status(); st.Place != place(at) || st.Record.State != switching.Arrived {
				return false
			}
		}
		return true
	})
}

func begin(t *testing.T, n *node, to string) {
	t.Helper()
	if _, err := n.Start(t.Context(), place(to)); err != nil {
		t.Fatalf("Start(%s) = %v", to, err)
	}
}

// content is what a store holds but for its own bookkeeping.
func content(t *testing.T, s kvstore.Store) map[string]string {
	t.Helper()
	scanned, err := s.Scan(t.Context(), []string{"k.>", "l.>"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range scanned.Entries {
		all[e.Key] = fmt.Sprintf("%s removed=%t event=%s reason=%s op=%s", e.Value, e.Removed, e.Event, e.Reason, e.Operation)
	}
	return all
}
