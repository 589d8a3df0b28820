package registry

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/observed"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/modules/config"
	"github.com/roostbus/roost/modules/supervision"
)

// Module provides the backend.Backend.
var Module = fx.Module("registry",
	fx.Provide(New),
	fx.Decorate(func(l *slog.Logger) *slog.Logger { return l.With(slog.String("component", "registry")) }),
)

// Params are the dependencies of New.
type Params struct {
	fx.In

	Lifecycle fx.Lifecycle
	Config    config.Server
	Store     kvstore.Store
	Tail      *kvstore.Tail
	Guard     *epoch.Guard
	// Leases hears of an ending before the Backend does.
	Leases *lease.Table
	Log    *slog.Logger
}

// Result is what New provides.
type Result struct {
	fx.Out

	Backend  backend.Backend
	Observed *observed.Backend
	Service  supervision.Service `group:"services"`
}

// New opens the Backend. It is closed when all that asks it has stopped.
func New(p Params) Result {
	b := open(p)
	p.Lifecycle.Append(fx.StopHook(b.Close))
	o := observed.New(b)
	return Result{
		Backend: o, Observed: o,
		Service: supervision.Service{Name: "registry", Ready: b.Ready, Stage: supervision.Core},
	}
}
