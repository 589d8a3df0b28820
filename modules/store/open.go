package store

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/memkv"
	"github.com/roostbus/roost/kvstore/natskv"
	"github.com/roostbus/roost/modules/config"
	"github.com/roostbus/roost/modules/nats"
)

// epochFile lies in the store directory.
const epochFile = "epoch.json"

// open returns the store that c asks for, with the memory of its epochs.
func open(ctx context.Context, c config.Server, link *nats.Link, s bus.Subjects, log *slog.Logger) (kvstore.Store, epoch.Memory, error) {
	node := backend.Token(c.Node)
	if !c.Kept() {
		return memkv.New(memkv.WithNode(node)), epoch.Forgetful(), nil
	}
	settings := natskv.DefaultConfig()
	settings.Bucket, settings.Prefix, settings.Node, settings.Replicas = s.Bucket(), s.Prefix(), node, c.Replicas
	store, err := natskv.Open(ctx, link.Writing, settings, natskv.WithLogger(log))
	if err != nil {
		return nil, nil, err
	}
	return store, epoch.File(filepath.Join(c.StoreDir, epochFile)), nil
}

// announce has the changes of a store published that no JetStream publishes.
func announce(c config.Server, link *nats.Link, s bus.Subjects, tail *kvstore.Tail, log *slog.Logger) {
	if !c.Kept() {
		tail.Subscribe("", server.NewPublisher(link.Writing, s, log))
	}
}

func newGuard(c config.Server, store kvstore.Store, memory epoch.Memory, log *slog.Logger) (*epoch.Guard, error) {
	opts := []epoch.Option{epoch.WithLogger(log)}
	if c.NewEpoch {
		opts = append(opts, epoch.WithRaise())
	}
	return epoch.NewGuard(store, memory, opts...)
}
