package nats

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/modules/config"
)

// Module provides a *Link, and closes it when all that uses it has stopped.
var Module = fx.Module("nats",
	fx.Provide(New),
	fx.Decorate(func(l *slog.Logger) *slog.Logger { return l.With(slog.String("component", "nats")) }),
)

// Params are the dependencies of New.
type Params struct {
	fx.In

	Lifecycle fx.Lifecycle
	Config    config.Server
	Subjects  bus.Subjects
	Log       *slog.Logger
}

// New opens the Link. It does so at once and not at the application's start, because what
// is built on it needs it then; a process that goes no further just ends, which the store
// takes as well as any crash.
func New(p Params) (*Link, error) {
	l, err := Open(p.Config, p.Subjects, p.Log)
	if err != nil {
		return nil, err
	}
	p.Lifecycle.Append(fx.StopHook(l.Close))
	return l, nil
}
