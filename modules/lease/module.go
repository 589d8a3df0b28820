package lease

import (
	"context"
	"fmt"
	"log/slog"

	"go.uber.org/fx"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/keeper/clock"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/modules/config"
	"github.com/roostbus/roost/modules/nats"
	"github.com/roostbus/roost/modules/supervision"
)

// Module provides the *lease.Table, and a running *clock.Clock that is asked over the bus,
// told of closed connections, and tidied up after.
var Module = fx.Module("lease",
	fx.Provide(NewTable, New),
	fx.Decorate(func(l *slog.Logger) *slog.Logger { return l.With(slog.String("component", "lease")) }),
)

// NewTable returns the Table of what tail shows.
func NewTable(tail *kvstore.Tail, log *slog.Logger) *lease.Table { return lease.NewTable(tail, log) }

// Params are the dependencies of New.
type Params struct {
	fx.In

	Config  config.Server
	Link    *nats.Link
	Store   kvstore.Store
	Table   *lease.Table
	Keeper  *keeper.Keeper
	Backend backend.Backend
	Log     *slog.Logger
}

// Result is what New provides.
type Result struct {
	fx.Out

	Clock *clock.Clock

	Clocks supervision.Service `group:"services"`
	Reaper supervision.Service `group:"services"`
	Events supervision.Service `group:"services"`
}

// New builds the Clock and what it works with, and hands them to the supervisor.
func New(p Params) (Result, error) {
	reaper := backend.ReaperOf(p.Backend)
	c := server.DefaultConfig()
	c.Prefix, c.Node, c.DrainTimeout = p.Config.Prefix, p.Config.Node, p.Config.StopTimeout/3
	door, err := server.NewLeases(p.Link.Answering, p.Backend, c, server.WithLogger(p.Log), server.WithOwned(reaper.Owned))
	if err != nil {
		return Result{}, err
	}
	clocks, err := clock.New(p.Store, p.Table, p.Keeper, door, p.Config.Leases.Clock(), clock.WithLogger(p.Log))
	if err != nil {
		return Result{}, err
	}
	return Result{
		Clock:  clocks,
		Clocks: supervision.Service{Name: "leases", Run: clocks.Run, Stage: supervision.Core},
		Reaper: supervision.Service{
			Name: "reaper", Stage: supervision.Core,
			Run: clock.NewReaper(p.Store, p.Table, p.Keeper, reaper, clock.WithLogger(p.Log)).Run,
		},
		Events: supervision.Service{
			Name: "events", Stage: supervision.Core,
			Run: func(ctx context.Context) error { return listen(ctx, p.Link, clocks) },
		},
	}, nil
}

// listen tells the Clock of closed connections until ctx is done.
func listen(ctx context.Context, link *nats.Link, c *clock.Clock) error {
	err := link.Events(ctx, func(closed nats.Closed) {
		c.Disconnected(clock.Connection{Server: closed.Server, Client: closed.Client})
	})
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("hear of closed connections: %w", ctx.Err())
	}
	return err
}
