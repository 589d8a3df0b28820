package modules_test

import (
	"context"
	"log/slog"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/observed"
	buspkg "github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/modules"
	"github.com/roostbus/roost/modules/config"
	"github.com/roostbus/roost/modules/nats"
	"github.com/roostbus/roost/modules/supervision"
)

// world is what a program adds to the bundle.
func world(t *testing.T, backendKind string) fx.Option {
	t.Helper()
	c := config.DefaultServer()
	c.Listen, c.StoreDir, c.Backend, c.Node = "127.0.0.1:0", t.TempDir(), backendKind, "test"
	return fx.Options(
		fx.Supply(c, config.Version("0.0.0"), slog.New(slog.DiscardHandler)),
		fx.Provide(func() context.Context { return t.Context() }),
		fx.NopLogger,
	)
}

// exported invokes every type that the bundle exports: fx checks only what is asked for.
var exported = fx.Invoke(func(
	*nats.Link, buspkg.Subjects, kvstore.Store, *kvstore.Tail, *epoch.Guard, backend.Backend, *observed.Backend, *keeper.Keeper, *server.Server, *supervision.Tree,
) {
})

func TestTheBundleIsClosed(t *testing.T) {
	t.Parallel()
	if err := fx.ValidateApp(world(t, config.BackendHybrid), modules.Server, exported); err != nil {
		t.Fatal(err)
	}
}

func TestTheBundleStartsServesAndStops(t *testing.T) {
	for _, kind := range []string{config.BackendHybrid, config.BackendMemory} {
		t.Run(kind, func(t *testing.T) {
			var b backend.Backend
			app := fxtest.New(t, world(t, kind), modules.Server, exported, fx.Populate(&b)).RequireStart()
			key := backend.Key{Namespace: "default", Service: "orders", Instance: "i-1"}
			if _, _, err := b.Register(t.Context(), backend.Registration{Key: key}, backend.Write{}); err != nil {
				t.Errorf("Register() = %v", err)
			}
			app.RequireStop()
		})
	}
}

func TestAStoppedBundleLeavesNothingBehind(t *testing.T) {
	c := config.DefaultServer()
	c.Listen, c.StoreDir, c.Node = "127.0.0.1:0", t.TempDir(), "test"
	for range 2 { // the second finds the directory unlocked
		fxtest.New(t, fx.Supply(c, config.Version("0.0.0"), slog.New(slog.DiscardHandler)),
			fx.Provide(func() context.Context { return t.Context() }), fx.NopLogger,
			modules.Server).RequireStart().RequireStop()
	}
}
