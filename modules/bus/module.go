package bus

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/observed"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/keeper/clock"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/natskv"
	"github.com/roostbus/roost/kvstore/switching"
	"github.com/roostbus/roost/modules/config"
	"github.com/roostbus/roost/modules/nats"
	"github.com/roostbus/roost/modules/registry"
	"github.com/roostbus/roost/modules/supervision"
)

// Module provides the registry's bus.Subjects and a running *server.Server.
var Module = fx.Module("bus",
	fx.Provide(New, NewSubjects),
	fx.Decorate(func(l *slog.Logger) *slog.Logger { return l.With(slog.String("component", "bus")) }),
)

// NewSubjects returns the subjects under the configured prefix.
func NewSubjects(c config.Server) (bus.Subjects, error) { return bus.NewSubjects(c.Prefix) }

// Params are the dependencies of New.
type Params struct {
	fx.In

	Config  config.Server
	Version config.Version
	Link    *nats.Link
	Backend backend.Backend
	// Observed counts what Backend is asked.
	Observed *observed.Backend
	Keeper   *keeper.Keeper
	Table    *lease.Table
	Clock    *clock.Clock
	Engine   *engine.Engine
	Counters kvstore.Counters
	Guard    *epoch.Guard
	// Switching is the store, and Reading says where it is read from.
	Switching *switching.Store
	Reading   *registry.Reading
	// History is nil where none is kept.
	History    *server.History
	Replicator *natskv.Replicator
	Tree       *supervision.Tree
	Log        *slog.Logger
}

// Result is what New provides.
type Result struct {
	fx.Out

	Server  *server.Server
	Service supervision.Service `group:"services"`
}

// New builds the Server and hands its Run to the supervisor. Requests in hand get two
// thirds of the time that a stop may take.
func New(p Params) (Result, error) {
	c := server.DefaultConfig()
	c.Prefix, c.Node, c.Version = p.Config.Prefix, p.Config.Node, string(p.Version)
	c.DrainTimeout = p.Config.StopTimeout * 2 / 3
	subjects, err := NewSubjects(p.Config)
	if err != nil {
		return Result{}, err
	}
	coordination := server.CoordinationOf(p.Engine, p.Counters)
	coordination.Epoch = p.Guard.Current
	s, err := server.New(p.Link.Answering, p.Backend, c, server.WithLogger(p.Log),
		server.WithTasks(p.Tree.Tasks), server.WithKeeper(func() *bus.Keeper { return current(p.Keeper) }),
		server.WithCoordination(coordination), server.WithBackups(server.BackupsOf(p.Engine, p.Guard.Raise)),
		server.WithHistory(p.History),
		server.WithCluster(&cluster{config: p.Config, link: p.Link, replicator: p.Replicator}),
		server.WithSwitching(server.SwitcherOf(p.Switching, p.Config.Node, subjects.Bucket(), p.Reading.Kind)),
		server.WithLeases(func() server.LeaseHealth { return leases(&p) }),
		server.WithOperations(func() []bus.Operation { return operations(p.Observed) }))
	if err != nil {
		return Result{}, err
	}
	return Result{
		Server:  s,
		Service: supervision.Service{Name: "bus", Run: s.Run, Ready: s.Ready, Stage: supervision.Front},
	}, nil
}

// operations returns what the backend was asked as the wire shows it.
func operations(b *observed.Backend) []bus.Operation {
	var all []bus.Operation
	for _, o := range b.Operations() {
		all = append(all, bus.Operation{
			Name: o.Name, Count: o.Count, Refused: o.Refused, Failed: o.Failed,
			P50Us: o.P50.Microseconds(), P99Us: o.P99.Microseconds(), MaxUs: o.Max.Microseconds(),
		})
	}
	return all
}

// leases returns what the node knows of leases: all of it only the keeper's does.
func leases(p *Params) server.LeaseHealth {
	h := server.LeaseHealth{Leases: p.Table.Len(), Events: p.Link.HasEvents()}
	if h.Keeper = p.Keeper.Serving(); h.Keeper {
		now := p.Clock.Health()
		h.Suspects, h.Held = now.Suspects, now.Held
	}
	return h
}

// current returns the keeper as the wire shows it; nil if none is known.
func current(k *keeper.Keeper) *bus.Keeper {
	holder, ok := k.Current()
	if !ok {
		return nil
	}
	known := bus.Keeper(holder)
	return &known
}
