package bustest

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/hybrid"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/keeper/clock"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/natskv"
)

// drainTimeout is how long requests in hand may take when the registry is stopped.
const drainTimeout = time.Second

// startNode starts a node on the NATS server that runs, and returns when it answers.
func (r *Registry) startNode(ctx context.Context) (n *node, err error) {
	n = &node{}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.stop())
		}
	}()
	a := assembly{Registry: r, node: n}
	if err := a.build(ctx); err != nil {
		return nil, err
	}
	living := context.WithoutCancel(ctx)
	n.run(living, r.log,
		service{"feed", a.tail.Run}, service{"epoch", a.guard.Run}, service{"keeper", a.keeper.Run},
		service{"leases", a.clock.Run}, service{"reaper", a.reaper.Run}, service{"events", a.listen},
		service{"objects", a.engine.Run})
	if err := errors.Join(a.backend.Ready(ctx), a.keeper.Ready(ctx)); err != nil {
		return nil, err
	}
	n.run(living, r.log, service{"bus", a.server.Run})
	return n, a.server.Ready(ctx)
}

// assembly is the parts of a node, none of which runs yet. See package modules for how
// those of a server are put together.
type assembly struct {
	*Registry
	node *node

	answering, writing *nats.Conn
	disconnects        *nats.Subscription

	store    *natskv.Store
	counters *natskv.Counters
	tail     *kvstore.Tail
	guard    *epoch.Guard
	table    *lease.Table
	backend  seen
	keeper   *keeper.Keeper
	clock    *clock.Clock
	reaper   *clock.Reaper
	engine   *engine.Engine
	server   *server.Server
}

func (a *assembly) build(ctx context.Context) error {
	for _, step := range []func(context.Context) error{a.connect, a.keep, a.elect, a.serve} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// connect makes the node's connections.
func (a *assembly) connect(context.Context) (err error) {
	if a.answering, err = a.node.connect(a.nats, "answering"); err != nil {
		return err
	}
	if a.writing, err = a.node.connect(a.nats, "writing"); err != nil {
		return err
	}
	system, err := a.node.connect(a.nats, "system", nats.Token(a.nats.token))
	if err != nil {
		return err
	}
	a.disconnects, err = subscribeDisconnects(system)
	return err
}

// keep opens what registrations are kept in.
func (a *assembly) keep(ctx context.Context) (err error) {
	config := natskv.DefaultConfig()
	config.Bucket, config.Prefix, config.Node = a.subjects.Bucket(), a.prefix, nodeName
	if a.store, err = natskv.Open(ctx, a.writing, config, natskv.WithLogger(a.log)); err != nil {
		return err
	}
	a.node.onStop(a.store.Close)
	if a.counters, err = a.store.Counters(ctx); err != nil {
		return err
	}
	a.tail = kvstore.NewTail(a.store, kvstore.WithLogger(a.log))
	a.guard, err = epoch.NewGuard(a.store, epoch.File(filepath.Join(a.dir, "epoch.json")), epoch.WithLogger(a.log))
	if err != nil {
		return err
	}
	a.tail.Subscribe(epoch.Key, a.guard)
	// The table hears of an ending before the Backend does.
	a.table = lease.NewTable(a.tail, a.log)
	a.backend = seen{hybrid.New(a.store, a.tail, a.guard, a.table, hybrid.WithLogger(a.log))}
	a.node.onStop(a.backend.Close)
	return nil
}

// elect makes the keeper, and what else it has its node do.
func (a *assembly) elect(context.Context) error {
	announcer, err := server.NewAnnouncer(a.writing, a.subjects, a.subjects.Bucket, "")
	if err != nil {
		return err
	}
	a.keeper, err = keeper.New(a.store, a.tail, keeper.Self{Node: nodeName, Place: a.place},
		keeper.WithLogger(a.log), keeper.WithAnnouncer(announcer, a.guard))
	if err != nil {
		return err
	}
	a.engine, err = engine.New(a.store, a.tail, a.table, a.guard, a.keeper, backend.Token(nodeName), engine.WithLogger(a.log))
	return err
}

// serve makes what answers requests.
func (a *assembly) serve(context.Context) error {
	config := server.DefaultConfig()
	config.Prefix, config.Node, config.DrainTimeout = a.prefix, nodeName, drainTimeout
	from := backend.ReaperOf(a.backend)
	door, err := server.NewLeases(a.answering, a.backend, config, server.WithLogger(a.log), server.WithOwned(from.Owned))
	if err != nil {
		return err
	}
	if a.clock, err = clock.New(a.store, a.table, a.keeper, door, clock.DefaultConfig(), clock.WithLogger(a.log)); err != nil {
		return err
	}
	a.reaper = clock.NewReaper(a.store, a.table, a.keeper, from, clock.WithLogger(a.log))
	a.server, err = server.New(a.answering, a.backend, config, server.WithLogger(a.log),
		server.WithKeeper(a.current), server.WithLeases(a.leases), server.WithCoordination(server.CoordinationOf(a.engine, a.counters)))
	return err
}

// current is the keeper as the health reply shows it; nil if none is known.
func (a *assembly) current() *bus.Keeper {
	holder, ok := a.keeper.Current()
	if !ok {
		return nil
	}
	known := bus.Keeper(holder)
	return &known
}

// leases are the leases as the health reply shows them.
func (a *assembly) leases() server.LeaseHealth {
	now := a.clock.Health()
	return server.LeaseHealth{
		Leases: now.Leases, Suspects: now.Suspects, Held: now.Held,
		Keeper: a.keeper.Serving(), Events: a.disconnects.IsValid(),
	}
}
