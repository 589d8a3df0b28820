package registry

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/observed"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	stores "github.com/roostbus/roost/kvstore/switching"
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
	// Switching is Store.
	Switching *stores.Store
	// Leases hears of an ending before the Backend does.
	Leases *lease.Table
	Log    *slog.Logger
}

// Result is what New provides.
type Result struct {
	fx.Out

	Backend  backend.Backend
	Observed *observed.Backend
	Reading  *Reading
	Service  supervision.Service `group:"services"`
	Reads    supervision.Service `group:"services"`
}

// New opens the Backend. It is closed when all that asks it has stopped.
func New(p Params) Result {
	reading := newReading(&p)
	p.Lifecycle.Append(fx.StopHook(reading.into.Close))
	o := observed.New(reading.into)
	return Result{
		Backend: o, Observed: o, Reading: reading,
		Service: supervision.Service{Name: "registry", Ready: reading.ready, Stage: supervision.Core},
		Reads:   supervision.Service{Name: "reading", Run: reading.Run, Stage: supervision.Core},
	}
}
