package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/natskv"
)

// keeperPrefix is that of the registries in the tests of the keeper.
const keeperPrefix = "e2e.v1"

// keeperBucket is the configuration of their bucket, replicated by so many servers.
func keeperBucket(name string, replicas int) natskv.Config {
	c := natskv.DefaultConfig()
	c.Bucket, c.Prefix, c.Node, c.Replicas = strings.ReplaceAll(keeperPrefix, ".", "_"), keeperPrefix, name, replicas
	return c
}

// candidate is one node's part in an election on NATS.
type candidate struct {
	*keeper.Keeper
	name string
	nc   *nats.Conn
	end  func() // in order

	mu    sync.Mutex
	spans []span
}

// span is a stretch of being the keeper, by one clock for all.
type span struct {
	node       string
	term       uint64
	begin, end time.Time // the first and the last instant at which it was entitled
}

// stand runs a candidate on nc until the test ends.
func stand(t *testing.T, nc *nats.Conn, name, place string, replicas int) *candidate {
	t.Helper()
	c := &candidate{name: name, nc: nc}
	var run func(context.Context)
	var err error
	if c.Keeper, run, err = assemble(t.Context(), nc, name, place, replicas); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { run(ctx) })
	tasks.Go(func() { c.sample(ctx) })
	c.end = sync.OnceFunc(func() {
		cancel()
		tasks.Wait()
	})
	t.Cleanup(c.end)
	return c
}

// assemble puts a candidate together as the server does.
func assemble(ctx context.Context, nc *nats.Conn, name, place string, replicas int) (*keeper.Keeper, func(context.Context), error) {
	subjects, err := bus.NewSubjects(keeperPrefix)
	if err != nil {
		return nil, nil, err
	}
	store, err := natskv.Open(ctx, nc, keeperBucket(name, replicas))
	if err != nil {
		return nil, nil, err
	}
	tail := kvstore.NewTail(store)
	guard, err := epoch.NewGuard(store, epoch.Forgetful())
	if err != nil {
		return nil, nil, err
	}
	tail.Subscribe(epoch.Key, guard)
	announcer, err := server.NewAnnouncer(nc, subjects, subjects.Bucket, "")
	if err != nil {
		return nil, nil, err
	}
	k, err := keeper.New(store, tail, keeper.Self{Node: name, Place: place}, keeper.WithAnnouncer(announcer, guard))
	if err != nil {
		return nil, nil, err
	}
	return k, func(ctx context.Context) {
		var tasks sync.WaitGroup
		tasks.Go(func() { _ = tail.Run(ctx) })
		tasks.Go(func() { _ = guard.Run(ctx) })
		tasks.Go(func() { _ = k.Run(ctx) })
		tasks.Wait()
		_ = store.Close()
	}, nil
}

// sample writes down when c is entitled.
func (c *candidate) sample(ctx context.Context) {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now() // before it is asked: a pause in between counts for nobody
		if tenure, ok := c.Tenure(); ok {
			c.mu.Lock()
			c.spans = extend(c.spans, c.name, tenure.Term, now)
			c.mu.Unlock()
		}
	}
}

// extend notes that node was entitled at now.
func extend(spans []span, node string, term uint64, now time.Time) []span {
	if n := len(spans); n > 0 && spans[n-1].node == node && spans[n-1].term == term {
		spans[n-1].end = now
		return spans
	}
	return append(spans, span{node: node, term: term, begin: now, end: now})
}

// kill has c end as kill -9 does: without a word. What it was goes on being looked at.
func (c *candidate) kill() { c.nc.Close() }

// verdictOn complains if two were ever entitled at once, or terms did not grow.
func verdictOn(t *testing.T, spans []span) {
	t.Helper()
	slices.SortFunc(spans, func(a, b span) int { return a.begin.Compare(b.begin) })
	for i := 1; i < len(spans); i++ {
		before, after := spans[i-1], spans[i]
		if !after.begin.After(before.end) {
			t.Errorf("%s in term %d and %s in term %d were entitled at once for %v",
				before.node, before.term, after.node, after.term, before.end.Sub(after.begin))
		}
		if after.term <= before.term {
			t.Errorf("term %d of %s came after term %d of %s", after.term, after.node, before.term, before.node)
		}
	}
	for _, s := range spans {
		t.Logf("%s in term %d for %v", s.node, s.term, s.end.Sub(s.begin).Round(time.Millisecond))
	}
}

// watchers looks at several candidates.
type watchers []*candidate

func (w watchers) verdict(t *testing.T) {
	t.Helper()
	var all []span
	for _, c := range w {
		c.mu.Lock()
		all = append(all, c.spans...)
		c.mu.Unlock()
	}
	verdictOn(t, all)
}

// await waits until one of w is entitled, and returns it and how long that took.
func (w watchers) await(t *testing.T) (*candidate, time.Duration) {
	t.Helper()
	begin := time.Now()
	for time.Since(begin) < patience {
		for _, c := range w {
			if c.Serving() {
				return c, time.Since(begin)
			}
		}
		time.Sleep(time.Millisecond) // nothing announces it to all
	}
	t.Fatalf("no keeper after %v", patience)
	return nil, 0
}

func (w watchers) without(c *candidate) watchers {
	return slices.DeleteFunc(slices.Clone(w), func(other *candidate) bool { return other == c })
}

// lookout hears the beacons, and complains about late and double ones.
type lookout struct {
	mu      sync.Mutex
	beacons []bus.Beacon
	at      []time.Time
}

func lookOut(t *testing.T, nc *nats.Conn) *lookout {
	t.Helper()
	l := &lookout{}
	_, err := nc.Subscribe(keeperPrefix+".beacon", func(m *nats.Msg) {
		var b bus.Beacon
		if err := json.Unmarshal(m.Data, &b); err != nil {
			t.Errorf("beacon %s: %v", m.Data, err)
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.beacons, l.at = append(l.beacons, b), append(l.at, time.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lookout) heard() []bus.Beacon {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.beacons)
}

// last returns the newest beacon, after one that is has come.
func (l *lookout) await(t *testing.T, what string, is func(b bus.Beacon) bool) bus.Beacon {
	t.Helper()
	from := len(l.heard())
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(time.Millisecond) {
		for _, b := range l.heard()[from:] {
			if is(b) {
				return b
			}
		}
	}
	t.Fatalf("no beacon with %s after %v", what, patience)
	return bus.Beacon{}
}

func anyBeacon(bus.Beacon) bool { return true }

func (l *lookout) verdict(t *testing.T) {
	t.Helper()
	beacons := l.heard()
	for i := 1; i < len(beacons); i++ {
		before, after := beacons[i-1], beacons[i]
		order := fmt.Sprintf("%+v after %+v", after, before)
		switch {
		case after.Epoch < before.Epoch, after.Epoch == before.Epoch && after.Keeper.Term < before.Keeper.Term:
			t.Errorf("terms went back: %s", order)
		case after.Epoch == before.Epoch && after.Keeper.Term == before.Keeper.Term && after.Keeper.Node != before.Keeper.Node:
			t.Errorf("two keepers in one term: %s", order)
		case after.Epoch == before.Epoch && after.Revision < before.Revision:
			t.Errorf("revisions went back: %s", order)
		}
	}
	t.Logf("%d beacons", len(beacons))
}
