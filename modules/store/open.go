package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

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

// opened is a store, the counters beside it, and the memory of its epochs.
type opened struct {
	kvstore.Store
	counters kvstore.Counters
	memory   epoch.Memory
	bucket   *natskv.Store // the store itself, if it is a bucket
}

// open opens the store that c asks for.
func open(ctx context.Context, c config.Server, link *nats.Link, s bus.Subjects, log *slog.Logger) (opened, error) {
	node := backend.Token(c.Node)
	if !c.Kept() {
		if err := alone(ctx, c, link, s); err != nil {
			return opened{}, err
		}
		return opened{memkv.New(memkv.WithNode(node)), memkv.NewCounters(), epoch.Forgetful(), nil}, nil
	}
	settings := natskv.DefaultConfig()
	settings.Bucket, settings.Prefix, settings.Node = s.Bucket(), s.Prefix(), node
	settings.Replicas, settings.Scale, settings.Domain, settings.Placement.Tags = c.Replicas, true, c.Domain, c.Tags
	settings.Synced = c.Sync == config.SyncAlways
	store, err := natskv.Open(ctx, link.Writing, settings, natskv.WithLogger(log))
	if err != nil {
		return opened{}, err
	}
	counters, err := store.Counters(ctx)
	if err != nil {
		return opened{}, errors.Join(err, store.Close())
	}
	return opened{store, counters, epoch.File(filepath.Join(c.StoreDir, epochFile)), store}, nil
}

// aloneTimeout is how long a registry that is there may take to answer.
const aloneTimeout = time.Second

// alone fails if another node serves the registry that c keeps in memory, which only one can.
// Where NATS does not let it ask, nobody answers.
func alone(ctx context.Context, c config.Server, link *nats.Link, s bus.Subjects) error {
	if c.Embedded() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, aloneTimeout)
	defer cancel()
	reply, err := link.Answering.RequestWithContext(ctx, s.Health(), []byte("{}"))
	if err != nil {
		return nil // nobody answers
	}
	var other bus.HealthReply
	if err := json.Unmarshal(reply.Data, &other); err != nil {
		return nil // whoever answers is no node
	}
	return fmt.Errorf("serve the registry under prefix %s: node %s serves it already, and with --backend memory only one node can; "+
		"stop that one, choose another --prefix, or use --backend hybrid on all nodes", c.Prefix, other.Node)
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
