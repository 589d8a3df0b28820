package lease

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
)

// Module provides the *lease.Table.
var Module = fx.Module("lease",
	fx.Provide(NewTable),
	fx.Decorate(func(l *slog.Logger) *slog.Logger { return l.With(slog.String("component", "lease")) }),
)

// NewTable returns the Table of what tail shows.
func NewTable(tail *kvstore.Tail, log *slog.Logger) *lease.Table { return lease.NewTable(tail, log) }
