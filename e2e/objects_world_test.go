package e2e_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/hybrid"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/memkv"
)

// objectWire is a node that answers requests about objects, kept in memory, and one who
// sends it raw messages.
type objectWire struct {
	*wireWorld
	store    *memkv.Store
	table    *lease.Table
	engine   *engine.Engine
	counters *memkv.Counters
}

// theKeeper is the only node.
type theKeeper struct{}

func (theKeeper) Tenure() (keeper.Tenure, bool) { return keeper.Tenure{Term: 1}, true }

// serveObjects runs a node. adjust, if not nil, changes the settings of its server.
func serveObjects(t *testing.T, adjust func(*server.Config)) *objectWire {
	t.Helper()
	w := &objectWire{store: memkv.New(memkv.WithNode("one")), counters: memkv.NewCounters()}
	guard, err := epoch.NewGuard(w.store, epoch.Forgetful())
	if err != nil {
		t.Fatal(err)
	}
	tail := kvstore.NewTail(w.store)
	tail.Subscribe(epoch.Key, guard)
	w.table = lease.NewTable(tail, slog.New(slog.DiscardHandler))
	b := hybrid.New(w.store, tail, guard, w.table)
	ns := wireNATS(t, 0)
	tail.Subscribe("", server.NewPublisher(inProcess(t, ns), subjects(t), nil))
	w.engine, err = engine.New(w.store, tail, w.table, guard, theKeeper{}, "one")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	for _, run := range []func(context.Context) error{tail.Run, guard.Run, w.engine.Run} {
		tasks.Go(func() { _ = run(ctx) })
	}
	t.Cleanup(func() {
		_ = b.Close()
		cancel()
		tasks.Wait()
		_ = w.store.Close()
	})
	ready, end := context.WithTimeout(t.Context(), 10*time.Second)
	defer end()
	if err := errors.Join(tail.Ready(ready), b.Ready(ready)); err != nil {
		t.Fatal(err)
	}
	w.wireWorld = serveWireOn(t, ns, b, adjust, server.WithCoordination(server.CoordinationOf(w.engine, w.counters)),
		server.WithBackups(server.BackupsOf(w.engine, guard.Raise)))
	return w
}

// grant has the leases of secrets live.
func (w *objectWire) grant(t *testing.T, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		r, err := lease.NewRecord("", 15*time.Second, 2*time.Second, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		w.write(t, &lease.Lease{Owner: bus.Owner(secret)}, r)
	}
}

// end has the lease of a secret end.
func (w *objectWire) end(t *testing.T, secret string) {
	t.Helper()
	l, ok := w.table.Get(bus.Owner(secret))
	if !ok {
		t.Fatalf("no lease of %s", secret)
	}
	w.write(t, &l, l.Record.End(backend.ReasonRevoked))
}

func (w *objectWire) write(t *testing.T, l *lease.Lease, next lease.Record) {
	t.Helper()
	write, err := l.Write(next, "")
	if err != nil {
		t.Fatal(err)
	}
	revision, err := w.store.Write(t.Context(), write)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.table.Wait(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
}
