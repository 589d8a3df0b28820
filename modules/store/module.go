package store

import (
	"context"
	"fmt"
	"log/slog"

	"go.uber.org/fx"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/switching"
	"github.com/roostbus/roost/modules/config"
	"github.com/roostbus/roost/modules/nats"
	"github.com/roostbus/roost/modules/supervision"
)

// Module provides the kvstore.Store, which can be switched to another, the counters beside
// it, its Tail, the Guard of its epoch, and a running natskv.Replicator.
var Module = fx.Module("store",
	fx.Provide(New, NewReplicator),
	fx.Decorate(func(l *slog.Logger) *slog.Logger { return l.With(slog.String("component", "store")) }),
)

// Params are the dependencies of New.
type Params struct {
	fx.In

	Lifecycle fx.Lifecycle
	Config    config.Server
	Link      *nats.Link
	Subjects  bus.Subjects
	Log       *slog.Logger
}

// Result is what New provides.
type Result struct {
	fx.Out

	Store     kvstore.Store
	Switching *switching.Store
	Counters  kvstore.Counters
	Tail      *kvstore.Tail
	Guard     *epoch.Guard

	Feed  supervision.Service `group:"services"`
	Epoch supervision.Service `group:"services"`
	Moves supervision.Service `group:"services"`
}

// New opens the store and hands its feed and its guard to the supervisor. ctx bounds the
// opening alone.
func New(ctx context.Context, p Params) (Result, error) {
	o := &opener{config: p.Config, link: p.Link, subjects: p.Subjects, log: p.Log}
	store, err := o.home(ctx)
	if err != nil {
		return Result{}, p.Link.Explain(err)
	}
	p.Lifecycle.Append(fx.StopHook(store.Close))
	guard, err := newGuard(p.Config, store, o.memory(store.Where()), p.Log)
	if err != nil {
		return Result{}, fmt.Errorf("keep the epoch: %w", err)
	}
	tail := kvstore.NewTail(store, kvstore.WithLogger(p.Log))
	tail.Subscribe(epoch.Key, guard) // before whoever serves
	tail.Subscribe("", &publishing{Publisher: server.NewPublisher(p.Link.Writing, p.Subjects, p.Log), store: store})
	return Result{
		Store: store, Switching: store, Counters: store.Counters(), Tail: tail, Guard: guard,
		Feed:  supervision.Service{Name: "feed", Run: tail.Run, Ready: tail.Ready, Stage: supervision.Core},
		Epoch: supervision.Service{Name: "epoch", Run: guard.Run, Stage: supervision.Core},
		Moves: supervision.Service{Name: "switching", Run: store.Run, Stage: supervision.Core},
	}, nil
}
