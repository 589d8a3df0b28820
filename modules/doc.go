// Package modules is the registry's server as one fx module.
//
//	app := fx.New(
//		fx.Supply(config.DefaultServer(), config.Version("1.2.3"), slog.Default()),
//		fx.Provide(func() context.Context { return ctx }), // bounds the opening
//		modules.Server,
//	)
//
// Each part is a package of its own below this one and knows the others by what they
// provide.
package modules
