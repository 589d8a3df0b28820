package modules

import (
	"go.uber.org/fx"

	"github.com/roostbus/roost/modules/bus"
	"github.com/roostbus/roost/modules/coordination"
	"github.com/roostbus/roost/modules/history"
	"github.com/roostbus/roost/modules/lease"
	"github.com/roostbus/roost/modules/nats"
	"github.com/roostbus/roost/modules/registry"
	"github.com/roostbus/roost/modules/store"
	"github.com/roostbus/roost/modules/supervision"
)

// Server is a whole node. It needs a config.Server, a config.Version, a *slog.Logger, and a
// context.Context that bounds the opening of NATS and of the store. Supervision comes last,
// so that what runs in its tree starts last and stops first.
var Server = fx.Module("server",
	nats.Module,
	store.Module,
	lease.Module,
	registry.Module,
	coordination.Module,
	history.Module,
	bus.Module,
	supervision.Module,
)
