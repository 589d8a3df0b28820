package supervision

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.uber.org/fx"
)

// Module provides a *Tree and has it run every Service in the group "services" from the
// application's start, which waits until they are ready, to its stop.
var Module = fx.Module("supervision",
	fx.Provide(New),
	fx.Invoke(Run),
	fx.Decorate(func(l *slog.Logger) *slog.Logger {
		return l.With(slog.String("component", "supervision"))
	}),
)

// Params are the dependencies of New.
type Params struct {
	fx.In

	Log        *slog.Logger
	Shutdowner fx.Shutdowner
}

// New returns a Tree that ends the application with exit code 1 when it gives up.
func New(p Params) *Tree {
	return NewTree(p.Log, func(cause error) {
		if err := p.Shutdowner.Shutdown(fx.ExitCode(1)); err != nil {
			p.Log.LogAttrs(context.Background(), slog.LevelError, "cannot end the application",
				slog.Any("err", err), slog.Any("cause", cause))
		}
	})
}

// RunParams are the dependencies of Run.
type RunParams struct {
	fx.In

	Lifecycle fx.Lifecycle
	Tree      *Tree
	Services  []Service `group:"services"`
}

// stopAfterFailure bounds the stop of what was started before a start failed.
const stopAfterFailure = 5 * time.Second

// Run ties the Tree to the application's life. It must be the last hook: what the services
// stand on has to be there before they start and after they have stopped.
func Run(p RunParams) {
	p.Lifecycle.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			err := p.Tree.Start(ctx, p.Services)
			if err != nil {
				// fx stops only what has started.
				stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopAfterFailure)
				defer cancel()
				err = errors.Join(err, p.Tree.Stop(stopping))
			}
			return err
		},
		OnStop: p.Tree.Stop,
	})
}
