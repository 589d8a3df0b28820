package history

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/journal"
	"github.com/roostbus/roost/kvstore/natskv"
	"github.com/roostbus/roost/kvstore/switching"
	"github.com/roostbus/roost/modules/config"
	"github.com/roostbus/roost/modules/supervision"
)

// Module provides the registry's *server.History and records it.
var Module = fx.Module("history",
	fx.Provide(New),
	fx.Decorate(func(l *slog.Logger) *slog.Logger { return l.With(slog.String("component", "history")) }),
)

// Params are the dependencies of New.
type Params struct {
	fx.In

	Config config.Server
	Tail   *kvstore.Tail
	Guard  *epoch.Guard
	Keeper *keeper.Keeper
	// Switching is the store, beside which the history is kept: in memory if it is.
	Switching *switching.Store
	Log       *slog.Logger
}

// Result is what New provides.
type Result struct {
	fx.Out

	// History is nil where none is kept.
	History  *server.History
	Services []supervision.Service `group:"services,flatten"`
}

// New subscribes a recorder to the feed and hands its Run to the supervisor. The keeper's
// node goes first.
func New(p Params) Result {
	if !p.Config.HasHistory() {
		return Result{}
	}
	log := open(p)
	recorder := journal.NewRecorder(log, p.Guard, journal.WithLogger(p.Log), journal.WithFirst(p.Keeper.Serving),
		journal.WithPrefixes(durable.Prefix, engine.Prefix))
	p.Tail.Subscribe("", recorder)
	return Result{
		History:  &server.History{Log: log, Recorder: recorder},
		Services: []supervision.Service{{Name: "history", Run: recorder.Run, Stage: supervision.Core}},
	}
}

// open returns the Log beside the store, wherever that is switched to.
func open(p Params) journal.Log {
	age, bytes := p.Config.HistoryAge, int64(p.Config.HistoryBytes)
	memory := journal.NewMemory(age, bytes)
	return journal.Whichever(func() journal.Log {
		if bucket, kept := p.Switching.Inner().(*natskv.Store); kept {
			return bucket.Journal(age, bytes)
		}
		return memory
	})
}
