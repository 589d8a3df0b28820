package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/switching"
	"github.com/roostbus/roost/modules/config"
	"github.com/roostbus/roost/modules/nats"
)

// epochFile lies in the store directory.
const epochFile = "epoch.json"

// maxMoves is how many switches are followed at a start.
const maxMoves = 100

// home opens the store that the registry lies in: where the node knows it to be, and from
// there wherever it has been switched to.
func (o *opener) home(ctx context.Context) (*switching.Store, error) {
	p, err := o.recall()
	if err != nil {
		return nil, err
	}
	if p.Kind == switching.Memory {
		if err := alone(ctx, o.config, o.link, o.subjects); err != nil {
			return nil, err
		}
	}
	h, err := o.first(ctx, p)
	for range maxMoves {
		if err != nil {
			return nil, err
		}
		var r switching.Record
		if r, _, err = kvstore.CellAt[switching.Record](h.Store, switching.Key).Get(ctx); err != nil || r.State != switching.Moved {
			break
		}
		o.log.LogAttrs(ctx, slog.LevelInfo, "the registry has been switched to another store", slog.String("bucket", r.To.Bucket))
		if err = errors.Join(h.Free(), o.Remember(r.To)); err == nil {
			p = r.To
			h, err = o.Open(ctx, p)
		}
	}
	if err != nil {
		return nil, err
	}
	return switching.New(h, switching.Config{
		Node: backend.Token(o.config.Node), Registry: o.subjects.Prefix(), Place: p,
	}, o, switching.WithLogger(o.log))
}

// first opens what lies at p, and makes it if that is where a new registry begins.
func (o *opener) first(ctx context.Context, p switching.Place) (switching.Home, error) {
	if p.Kind == switching.Memory || p != o.configured() {
		h, err := o.Open(ctx, p)
		if err != nil && p != o.configured() {
			err = fmt.Errorf("%w; the registry was switched there, as %s says", err, filepath.Join(o.config.StoreDir, homeFile))
		}
		return h, err
	}
	return o.open(ctx, o.link.Writing, func() {}, o.settings(p))
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

// memory returns what remembers the epochs of a store at p.
func (o *opener) memory(p switching.Place) epoch.Memory {
	if p.Kind == switching.Memory {
		return epoch.Forgetful()
	}
	return epoch.File(filepath.Join(o.config.StoreDir, epochFile))
}

// publishing passes changes on to a Publisher while no JetStream within the reach of this
// node's clients publishes them.
type publishing struct {
	*server.Publisher
	store  *switching.Store
	active bool
}

// Begin implements [kvstore.Follower].
func (p *publishing) Begin(g kvstore.Generation) {
	if p.active = Unpublished(p.store.Shown()); p.active {
		p.Publisher.Begin(g)
	}
}

// Apply implements [kvstore.Follower].
func (p *publishing) Apply(e kvstore.Entry) {
	if p.active {
		p.Publisher.Apply(e)
	}
}

// Unpublished reports whether no JetStream publishes the changes of a store at p to the
// clients of this node.
func Unpublished(p switching.Place) bool { return p.Kind == switching.Memory || p.URL != "" }

func newGuard(c config.Server, store kvstore.Store, memory epoch.Memory, log *slog.Logger) (*epoch.Guard, error) {
	opts := []epoch.Option{epoch.WithLogger(log)}
	if c.NewEpoch {
		opts = append(opts, epoch.WithRaise())
	}
	if c.Embedded() && c.Kept() {
		opts = append(opts, epoch.WithBoot(boot(), c.Sync != config.SyncAlways))
	}
	return epoch.NewGuard(store, memory, opts...)
}

// boot returns what is another with each start of the machine, "" where that is not known.
func boot() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "" // it is Linux that says so
	}
	return strings.TrimSpace(string(text))
}
