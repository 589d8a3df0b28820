package coordination

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/modules/config"
	"github.com/roostbus/roost/modules/nats"
	"github.com/roostbus/roost/modules/supervision"
)

// Module provides a running *keeper.Keeper. The node is ready when a keeper is known.
var Module = fx.Module("coordination",
	fx.Provide(New),
	fx.Decorate(func(l *slog.Logger) *slog.Logger { return l.With(slog.String("component", "coordination")) }),
)

// Params are the dependencies of New.
type Params struct {
	fx.In

	Config   config.Server
	Link     *nats.Link
	Subjects bus.Subjects
	Store    kvstore.Store
	Tail     *kvstore.Tail
	Guard    *epoch.Guard
	Log      *slog.Logger
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
	announcer, err := server.NewAnnouncer(p.Link.Writing, p.Subjects, p.Config.Kept())
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
