package e2e_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
	"github.com/roostbus/roost/kvstore/switching"
)

// Section 9 of the protocol, by raw messages.

// places are the buckets to which a registry can be moved.
type places struct {
	hold chan struct{} // what the making of one waits for

	mu  sync.Mutex
	all map[string]switching.Home
}

var _ switching.Opener = (*places)(nil)

func (b *places) of(p switching.Place) (switching.Home, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h, ok := b.all[p.Bucket]
	return h, ok
}

func (b *places) Look(ctx context.Context, p switching.Place) (f switching.Found, err error) {
	if strings.Contains(p.URL, "unreachable") {
		return f, errors.New("no servers available for connection")
	}
	h, ok := b.of(p)
	if !ok {
		return f, nil
	}
	info, err := h.Store.Info(ctx)
	if err == nil {
		f.Record, _, err = kvstore.CellAt[switching.Record](h.Store, switching.Key).Get(ctx)
	}
	f.Exists, f.Keys = true, info.Keys
	return f, err
}

func (b *places) Open(_ context.Context, p switching.Place) (switching.Home, error) {
	h, ok := b.of(p)
	if !ok {
		return h, kvstore.ErrUnavailable
	}
	return h, nil
}

func (b *places) Make(ctx context.Context, p switching.Place, first uint64) (switching.Home, error) {
	select {
	case <-b.hold:
	case <-ctx.Done():
		return switching.Home{}, ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all[p.Bucket] = switching.Home{
		Store: memkv.New(memkv.WithNode("one"), memkv.WithFirst(first)), Counters: memkv.NewCounters(),
		Close: func() error { return nil },
	}
	return b.all[p.Bucket], nil
}

func (*places) Publish(context.Context, switching.Place, bool) error { return nil }
func (b *places) Delete(_ context.Context, p switching.Place) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.all, p.Bucket)
	return nil
}
func (*places) Remember(switching.Place) error { return nil }

// serveMoving runs a node in memory that can be moved.
func serveMoving(t *testing.T) (*wireWorld, *places) {
	t.Helper()
	b := &places{hold: make(chan struct{}), all: map[string]switching.Home{}}
	occupied := memkv.New()
	if _, err := occupied.Write(t.Context(), kvstore.Write{Key: "k", Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	b.all["occupied"] = switching.Home{Store: occupied, Counters: memkv.NewCounters()}
	home := switching.Home{Store: memkv.New(memkv.WithNode("one")), Counters: memkv.NewCounters()}
	store, err := switching.New(home, switching.Config{Node: "one", Registry: bus.DefaultPrefix, Place: switching.Place{Kind: switching.Memory}}, b)
	if err != nil {
		t.Fatal(err)
	}
	tail := kvstore.NewTail(store)
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = tail.Run(ctx) })
	tasks.Go(func() { _ = store.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		tasks.Wait()
		_ = store.Close()
	})
	if err := tail.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	switcher := server.SwitcherOf(store, "one", "roost_v1", func() string { return "hybrid" })
	return serveWire(t, wireBackend(t, backend.Nobody), 0, nil, server.WithSwitching(switcher)), b
}

func TestASwitchIsRefusedWithTheCodesOfTheProtocol(t *testing.T) {
	t.Parallel()
	w, _ := serveMoving(t)
	for body, field := range map[string]string{
		``:                                     "backend",
		`{"backend":"memory"}`:                 "backend",
		`{"bucket":"a.b"}`:                     "bucket",
		`{"bucket":"occupied"}`:                "bucket",
		`{"nats_url":"http://nats-1"}`:         "nats_url",
		`{"url":"nats://nats-1"}`:              "url",
		`{"bucket":"occupied","dry_run":true}`: "bucket",
	} {
		if e := w.fail(t, bus.CodeInvalid, "admin.switch.start", body); e.Field != field {
			t.Errorf("%s: about %q (%s); want %q", body, e.Field, e.Message, field)
		}
	}
	w.fail(t, bus.CodeUnavailable, "admin.switch.start", `{"bucket":"new","nats_url":"nats://unreachable"}`)
	w.fail(t, bus.CodeNotFound, "admin.switch.abort", "")
	for _, reason := range []string{`"a\nb"`, `" "`, `"` + strings.Repeat("x", backend.MaxReason+1) + `"`} {
		if e := w.fail(t, bus.CodeInvalid, "admin.switch.abort", `{"reason":`+reason+`}`); e.Field != "reason" {
			t.Errorf("%.20s: about %q; want reason", reason, e.Field)
		}
	}
	if e := w.fail(t, bus.CodeInvalid, "admin.switch.status", `{"id":"x"}`); e.Field != "id" {
		t.Errorf("about %q; want id", e.Field)
	}
}

func TestASwitchIsPlannedBegunOnceAndAbortedUntilItIsDone(t *testing.T) {
	t.Parallel()
	w, b := serveMoving(t)
	status := func() (r bus.SwitchReply) {
		t.Helper()
		w.must(t, &r, "admin.switch.status", "")
		return r
	}
	var r bus.SwitchReply
	w.must(t, &r, "admin.switch.start", `{"backend":"hybrid","dry_run":true}`)
	if r.Plan == nil || r.Plan.To != (bus.Place{Kind: "bucket", Bucket: "roost_v1"}) || r.Switch != nil || r.Home.Kind != "memory" {
		t.Errorf("a dry run: %+v; want a plan alone", r)
	}
	if r := status(); r.Switch != nil || r.Node != "one" || r.Backend != "hybrid" {
		t.Errorf("after a dry run: %+v; want nothing under way", r)
	}

	begin := func() *bus.Switch {
		t.Helper()
		var r bus.SwitchReply
		if w.must(t, &r, "admin.switch.start", `{"bucket":"new"}`); r.Switch == nil || r.Switch.To.Bucket != "new" {
			t.Fatalf("a start: %+v", r)
		}
		return r.Switch
	}
	first := begin()
	natstest.Await(t, "the move to be known", func() bool { r := status(); return r.Switch != nil && r.Switch.State == bus.SwitchCopying })
	if again := begin(); again.ID != first.ID {
		t.Errorf("a start that is repeated begins %s; want %s", again.ID, first.ID)
	}
	w.fail(t, bus.CodeConflict, "admin.switch.start", `{"bucket":"another"}`)
	var aborted bus.SwitchReply
	if w.must(t, &aborted, "admin.switch.abort", `{"reason":"wrong bucket"}`); aborted.Switch == nil || aborted.Switch.State != bus.SwitchAborted {
		t.Errorf("an abort: %+v", aborted)
	}
	natstest.Await(t, "the end of the move", func() bool { return status().Switch.State == bus.SwitchAborted })
	if r := status(); r.Switch.Reason != "wrong bucket" || r.Home.Kind != "memory" {
		t.Errorf("afterwards: %+v; want it to be where it was", r)
	}
	w.fail(t, bus.CodeNotFound, "admin.switch.abort", "")

	close(b.hold)
	natstest.Await(t, "another move to begin", func() bool {
		reply := w.ask(t, "admin.switch.start", `{"bucket":"new"}`)
		return reply.Header.Get(bus.HeaderErrorCode) == ""
	})
	natstest.Await(t, "the move to be done", func() bool { r := status(); return r.Home.Bucket == "new" && r.Switch.State == bus.SwitchDone })
	w.fail(t, bus.CodeNotFound, "admin.switch.abort", "")
	if e := w.fail(t, bus.CodeInvalid, "admin.switch.start", `{"bucket":"new"}`); e.Field != "bucket" {
		t.Errorf("where it is already: about %q; want bucket", e.Field)
	}

	// Where the bucket stays, only what is read from changes.
	last := status().Switch.ID
	reads := func() (r server.Reads) {
		t.Helper()
		home, _ := b.of(switching.Place{Bucket: "new"})
		r, _, err := kvstore.CellAt[server.Reads](home.Store, server.ReadsKey).Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	w.must(t, &r, "admin.switch.start", `{"backend":"durable","dry_run":true}`)
	if r.Plan == nil || r.Plan.To.Bucket != "new" || reads().Backend != "" {
		t.Errorf("a dry run: %+v, and it is read from %q; want a plan alone", r.Plan, reads().Backend)
	}
	w.must(t, nil, "admin.switch.start", `{"backend":"durable"}`)
	if r := status(); r.Switch.ID != last || reads().Backend != "durable" {
		t.Errorf("move %s, read from %q; want no move after %s, and durable", r.Switch.ID, reads().Backend, last)
	}
}
