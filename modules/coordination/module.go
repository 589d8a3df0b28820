package coordination

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/switching"
	"github.com/roostbus/roost/modules/config"
	"github.com/roostbus/roost/modules/nats"
	"github.com/roostbus/roost/modules/store"
	"github.com/roostbus/roost/modules/supervision"
)

// Module provides a running *keeper.Keeper and *engine.Engine. The node is ready when a
// keeper is known.
var Module = fx.Module("coordination",
	fx.Provide(New, NewEngine),
	fx.Decorate(func(l *slog.Logger) *slog.Logger { return l.With(slog.String("component", "coordination")) }),
)

// Params are the dependencies of New.
type Params struct {
	fx.In

	Config   config.Server
	Link     *nats.Link
	Subjects bus.Subjects
	Store    kvstore.Store
	// Switching is Store.
	Switching *switching.Store
	Tail      *kvstore.Tail
	Guard     *epoch.Guard
	Log       *slog.Logger
}

// publisher returns the name of the bucket that publishes its changes; "" if none does.
func publisher(s *switching.Store) string {
	if p := s.Where(); !store.Unpublished(p) {
		return p.Bucket
	}
	return ""
}

// Result is what New provides.
type Result struct {
	fx.Out

	Keeper  *keeper.Keeper
	Service supervision.Service `group:"services"`
}

// New builds the Keeper and hands its Run to the supervisor.
func New(p Params) (Result, error) {
	self := keeper.Self{Node: p.Config.Node}
	var err error
	if self.Place, err = place(&p.Config); err != nil {
		return Result{}, err
	}
	announcer, err := server.NewAnnouncer(p.Link.Writing, p.Subjects, func() string { return publisher(p.Switching) }, p.Config.Domain)
	if err != nil {
		return Result{}, err
	}
	k, err := keeper.New(p.Store, p.Tail, self, keeper.WithLogger(p.Log), keeper.WithAnnouncer(announcer, p.Guard))
	if err != nil {
		return Result{}, err
	}
	return Result{
		Keeper:  k,
		Service: supervision.Service{Name: "keeper", Run: k.Run, Ready: k.Ready, Stage: supervision.Core},
	}, nil
}

// EngineParams are the dependencies of NewEngine.
type EngineParams struct {
	fx.In

	Config config.Server
	Store  kvstore.Store
	Tail   *kvstore.Tail
	Table  *lease.Table
	Guard  *epoch.Guard
	Keeper *keeper.Keeper
	Log    *slog.Logger
}

// EngineResult is what NewEngine provides.
type EngineResult struct {
	fx.Out

	Engine  *engine.Engine
	Service supervision.Service `group:"services"`
}

// NewEngine builds the Engine and hands its Run to the supervisor. It goes by the name
// under which the store writes the node's probes.
func NewEngine(p EngineParams) (EngineResult, error) {
	e, err := engine.New(p.Store, p.Tail, p.Table, p.Guard, p.Keeper, backend.Token(p.Config.Node), engine.WithLogger(p.Log))
	if err != nil {
		return EngineResult{}, err
	}
	return EngineResult{
		Engine:  e,
		Service: supervision.Service{Name: "objects", Run: e.Run, Stage: supervision.Core},
	}, nil
}
