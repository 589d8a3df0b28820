package clock_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/keeper/clock"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// door is a Door without requests: tests call the Clock themselves.
type door struct {
	mu     sync.Mutex
	open   bool
	opens  int
	fails  int           // the next so many of Open and Settle
	opened time.Duration // how long Open takes
	settle func()        // what a Settle waits for
	reach  atomic.Pointer[func(ctx context.Context) error]
}

func (d *door) Open(context.Context, *clock.Clock) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails > 0 {
		d.fails--
		return backend.ErrUnavailable
	}
	opened := d.opened
	d.mu.Unlock()
	time.Sleep(opened)
	d.mu.Lock()
	d.open = true
	d.opens++
	return nil
}

func (d *door) Settle(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails > 0 {
		d.fails--
		return backend.ErrUnavailable
	}
	if d.settle != nil {
		d.settle()
	}
	return nil
}

func (d *door) Reach(ctx context.Context) error {
	if reach := d.reach.Load(); reach != nil {
		return (*reach)(ctx)
	}
	return nil
}

func (d *door) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = false
}

func (d *door) isOpen() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}

func (d *door) change(f func(d *door)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

// gates stand between a process and everything else: shut, they are SIGSTOP.
type gates struct {
	*memkv.Store

	mu      sync.Mutex
	shut    chan struct{} // closed when the process goes on; nil while it does
	silent  chan struct{} // closed when the feed goes on; nil while it does
	latency time.Duration // of a write, each way
	refuse  bool          // the store is out of reach
	lose    bool          // what is sent is lost on the way
	calls   sync.WaitGroup
}

func (g *gates) stop() { g.change(&g.shut, true) }
func (g *gates) cont() { g.change(&g.shut, false) }

func (g *gates) change(gate *chan struct{}, shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case shut && *gate == nil:
		*gate = make(chan struct{})
	case !shut && *gate != nil:
		close(*gate)
		*gate = nil
	}
}

func (g *gates) pass(gate *chan struct{}) {
	g.mu.Lock()
	c := *gate
	g.mu.Unlock()
	if c != nil {
		<-c
	}
}

func (g *gates) delay(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.latency = d
}

// cut puts the store out of reach, and its feed with it, or back into it.
func (g *gates) cut(off bool) {
	g.mu.Lock()
	g.refuse = off
	g.mu.Unlock()
	g.change(&g.silent, off)
}

func (g *gates) losing(lose bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lose = lose
}

func (g *gates) refuses() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refuse
}

func (g *gates) wait() (refuse, lose bool) {
	g.pass(&g.shut)
	g.mu.Lock()
	d, refuse, lose := g.latency, g.refuse, g.lose
	g.mu.Unlock()
	time.Sleep(d)
	return refuse, lose
}

// through sends do through g. What was sent happens, even if nobody waits any more.
func through[T any](ctx context.Context, g *gates, do func(context.Context) (T, error)) (T, error) {
	var none T
	refused := ctx.Err() != nil // asked before the process is stopped, and not again
	g.pass(&g.shut)
	if refused || g.refuses() {
		return none, fmt.Errorf("%w: cut off", kvstore.ErrUnavailable)
	}
	answer := make(chan func() (T, error), 1)
	g.calls.Go(func() {
		if refuse, lose := g.wait(); refuse || lose {
			return
		}
		result, err := do(context.WithoutCancel(ctx))
		if refuse, _ := g.wait(); refuse {
			err = fmt.Errorf("%w: cut off", kvstore.ErrUnknownOutcome)
		}
		answer <- func() (T, error) { return result, err }
	})
	defer g.pass(&g.shut)
	select {
	case result := <-answer:
		return result()
	case <-ctx.Done():
		return none, fmt.Errorf("%w: %w", kvstore.ErrUnknownOutcome, ctx.Err())
	}
}

func (g *gates) Write(ctx context.Context, w kvstore.Write) (uint64, error) {
	return through(ctx, g, func(ctx context.Context) (uint64, error) { return g.Store.Write(ctx, w) })
}

func (g *gates) Batch(ctx context.Context, writes []kvstore.Write) ([]uint64, error) {
	return through(ctx, g, func(ctx context.Context) ([]uint64, error) { return g.Store.Batch(ctx, writes) })
}

func (g *gates) Barrier(ctx context.Context) (uint64, error) {
	return through(ctx, g, g.Store.Barrier)
}

func (g *gates) Feed(ctx context.Context, f kvstore.Follower) error {
	return g.Store.Feed(ctx, gated{g, f})
}

type gated struct {
	g *gates
	f kvstore.Follower
}

func (f gated) wait() {
	f.g.pass(&f.g.shut)
	f.g.pass(&f.g.silent)
}

func (f gated) Begin(g kvstore.Generation) { f.wait(); f.f.Begin(g) }
func (f gated) Apply(e kvstore.Entry)      { f.wait(); f.f.Apply(e) }
func (f gated) Live(revision uint64)       { f.wait(); f.f.Live(revision) }
func (f gated) Stale(cause error)          { f.wait(); f.f.Stale(cause) }

// office is a keeper's, that a stopped process cannot ask.
type office struct {
	*keeper.Keeper
	g        *gates
	unfenced bool
}

// Fenced writes without a fence where that is asked for.
func (o *office) Fenced(ctx context.Context, batch func(context.Context, kvstore.Write, uint64) (uint64, error)) error {
	if !o.unfenced {
		return o.Keeper.Fenced(ctx, batch)
	}
	t, ok := o.Keeper.Tenure()
	if !ok {
		return keeper.ErrNotKeeper
	}
	_, err := batch(ctx, kvstore.Write{Key: "no.fence"}, t.Term)
	return err
}

func (o *office) Tenure() (keeper.Tenure, bool) {
	o.g.pass(&o.g.shut)
	return o.Keeper.Tenure()
}

// node is one node.
type node struct {
	*clock.Clock
	keeper *keeper.Keeper
	table  *lease.Table
	tail   *kvstore.Tail
	door   *door
	gates  *gates
	logs   *logs
	stop   func()
	again  func() // ends the Clock's Run

	mu    sync.Mutex
	ended map[string]end
}

// end is what a node has seen of an ending.
type end struct {
	reason string
	at     time.Time
}

type setup struct {
	cfg      func(*clock.Config)
	reaper   backend.Reaper
	door     *door
	unfenced bool
}

func start(t *testing.T, store *memkv.Store, name string, s setup) *node {
	t.Helper()
	n := &node{gates: &gates{Store: store}, door: s.door, logs: &logs{}, ended: map[string]end{}}
	if n.door == nil {
		n.door = &door{}
	}
	n.tail = kvstore.NewTail(n.gates)
	n.table = lease.NewTable(n.tail, slog.New(slog.DiscardHandler))
	n.table.OnEnd(func(e backend.Ending) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.ended[e.Owner] = end{e.Reason, time.Now()}
	})
	var err error
	if n.keeper, err = keeper.New(n.gates, n.tail, keeper.Self{Node: name}, keeper.WithLogger(slog.New(n.logs))); err != nil {
		t.Fatal(err)
	}
	cfg := clock.DefaultConfig()
	if s.cfg != nil {
		s.cfg(&cfg)
	}
	o, log := &office{n.keeper, n.gates, s.unfenced}, clock.WithLogger(slog.New(n.logs))
	if n.Clock, err = clock.New(n.gates, n.table, o, n.door, cfg, log); err != nil {
		t.Fatal(err)
	}
	runs := []func(context.Context) error{n.tail.Run, n.keeper.Run, n.runs}
	if s.reaper != nil {
		runs = append(runs, clock.NewReaper(n.gates, n.table, o, s.reaper, log).Run)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	for _, run := range runs {
		tasks.Go(func() { _ = run(ctx) })
	}
	n.stop = sync.OnceFunc(func() {
		cancel()
		n.gates.cont()
		n.gates.cut(false)
		tasks.Wait()
		n.gates.calls.Wait()
	})
	t.Cleanup(n.stop)
	synctest.Wait()
	return n
}

// runs runs the Clock, whenever again is called afresh.
func (n *node) runs(ctx context.Context) error {
	for ctx.Err() == nil {
		once, cancel := context.WithCancel(ctx)
		n.mu.Lock()
		n.again = cancel
		n.mu.Unlock()
		_ = n.Run(once)
		cancel()
	}
	return ctx.Err()
}

// rerun ends the Clock's Run, which is then called again.
func (n *node) rerun() {
	n.mu.Lock()
	n.again()
	n.mu.Unlock()
	synctest.Wait()
}

// alone starts the only node, which is the keeper at once.
func alone(t *testing.T, s setup) *node {
	t.Helper()
	n := start(t, memkv.New(), "a", s)
	if !n.door.isOpen() {
		t.Fatalf("the node does not serve leases: %v", n.logs.said)
	}
	return n
}

// pair starts two nodes, of which the first is the keeper.
func pair(t *testing.T, first setup) (a, b *node) {
	t.Helper()
	store := memkv.New()
	return start(t, store, "a", first), start(t, store, "b", setup{})
}

// grant grants a lease for ttl, with 2s of grace.
func (n *node) grant(t *testing.T, owner string, ttl time.Duration) {
	t.Helper()
	n.grantOn(t, owner, ttl, clock.Connection{})
}

func (n *node) grantOn(t *testing.T, owner string, ttl time.Duration, c clock.Connection) {
	t.Helper()
	_, err := n.Grant(t.Context(), clock.Request{Owner: owner, TTL: ttl, Grace: 2 * time.Second, Connection: c})
	if err != nil {
		t.Fatalf("Grant(%s) = %v", owner, err)
	}
}

// grants grants many leases at once.
func (n *node) grants(t *testing.T, many int, ttl time.Duration) []string {
	t.Helper()
	owners := make([]string, many)
	for i := range owners {
		owners[i] = fmt.Sprintf("o%05d", i)
		n.grant(t, owners[i], ttl)
	}
	return owners
}

func (n *node) end(owner string) (end, bool) {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.ended[owner]
	return e, ok
}

func (n *node) endings() int {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.ended)
}

// beat sends one keepalive.
func (n *node) beat(t *testing.T, owner string) {
	t.Helper()
	n.beatOn(t, owner, clock.Connection{})
}

func (n *node) beatOn(t *testing.T, owner string, c clock.Connection) {
	t.Helper()
	if _, expired, err := n.Keepalive(t.Context(), []string{owner}, c); err != nil || len(expired) != 0 {
		t.Fatalf("Keepalive(%s) = %v, %v", owner, expired, err)
	}
}

// endsIn checks that owner's lease ends between least and most from now, for reason.
func (n *node) endsIn(t *testing.T, owner, reason string, least, most time.Duration) {
	t.Helper()
	from := time.Now()
	time.Sleep(least - time.Nanosecond)
	if e, ok := n.end(owner); ok {
		t.Fatalf("%s ended (%s) after %v; want %v at the earliest", owner, e.reason, e.at.Sub(from), least)
	}
	time.Sleep(most - least + time.Nanosecond)
	e, ok := n.end(owner)
	if !ok {
		t.Fatalf("%s has not ended after %v", owner, most)
	}
	if e.reason != reason {
		t.Errorf("%s ended as %q; want %q", owner, e.reason, reason)
	}
}

// livesFor checks that owner's lease lives for d.
func (n *node) livesFor(t *testing.T, owner string, d time.Duration) {
	t.Helper()
	from := time.Now()
	time.Sleep(d)
	if e, ok := n.end(owner); ok {
		t.Fatalf("%s ended (%s) after %v; want it to live for %v", owner, e.reason, e.at.Sub(from), d)
	}
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for begin := time.Now(); !is(); synctest.Wait() {
		if time.Since(begin) > time.Minute {
			t.Fatalf("no %s within a minute", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// logs keeps what was logged.
type logs struct {
	mu   sync.Mutex
	said []string
}

func (l *logs) Enabled(context.Context, slog.Level) bool { return true }
func (l *logs) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logs) WithGroup(string) slog.Handler            { return l }

func (l *logs) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.said = append(l.said, line)
	return nil
}

// of returns the lines that begin so.
func (l *logs) of(begin string) []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.said), func(line string) bool {
		return len(line) < len(begin) || line[:len(begin)] != begin
	})
}
