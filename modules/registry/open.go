package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/backend/hybrid"
	"github.com/roostbus/roost/backend/switching"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/kvstore"
	stores "github.com/roostbus/roost/kvstore/switching"
	"github.com/roostbus/roost/modules/config"
)

// storeBackend is a Backend on the node's store.
type storeBackend interface {
	backend.Backend
	Ready(ctx context.Context) error
}

// open returns the Backend of that kind.
func open(p *Params, kind string) storeBackend {
	if kind == config.BackendDurable {
		return durable.New(p.Store, p.Tail, p.Guard, p.Leases, durable.WithLogger(p.Log))
	}
	return hybrid.New(p.Store, p.Tail, p.Guard, p.Leases, hybrid.WithLogger(p.Log), hybrid.WithName(kind))
}

// Reading is where the node reads registrations from. The settings say it, and after them
// what the store holds under [server.ReadsKey], which all nodes go by.
type Reading struct {
	params *Params
	wake   chan struct{}
	ready  func(ctx context.Context) error

	mu     sync.Mutex
	kind   string // that is used
	wanted string // by the store; "" if it says nothing
	into   *switching.Backend
}

var _ kvstore.Subscriber = (*Reading)(nil)

func newReading(p *Params) *Reading {
	r := &Reading{params: p, wake: make(chan struct{}, 1), kind: p.Config.Backend}
	b := open(p, r.kind)
	r.ready, r.into = b.Ready, switching.New(b)
	p.Tail.Subscribe(server.ReadsKey, r)
	return r
}

// Kind returns where the node reads from: one of the Backend constants of package config.
func (r *Reading) Kind() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kind == config.BackendMemory && r.params.Switching.Where().Kind != stores.Memory {
		return config.BackendHybrid // which it is, on another store by now
	}
	return r.kind
}

// Run exchanges the Backend as the store says, until ctx is done.
func (r *Reading) Run(ctx context.Context) error {
	for {
		r.mu.Lock()
		kind, wanted := r.kind, r.wanted
		r.mu.Unlock()
		var again <-chan time.Time
		if wanted != "" && wanted != kind && (wanted == config.BackendDurable) != (kind == config.BackendDurable) {
			if err := r.exchange(ctx, wanted); err != nil && ctx.Err() == nil {
				r.params.Log.LogAttrs(ctx, slog.LevelWarn, "registrations are not read from elsewhere yet",
					slog.String("backend", wanted), slog.Any("err", err))
				again = time.After(time.Second)
			}
		}
		select {
		case <-r.wake:
		case <-again:
		case <-ctx.Done():
			return fmt.Errorf("read as the store says: %w", ctx.Err())
		}
	}
}

func (r *Reading) exchange(ctx context.Context, kind string) error {
	next := open(r.params, kind)
	if err := next.Ready(ctx); err != nil {
		_ = next.Close()
		return err
	}
	err := r.into.Exchange(next)
	r.mu.Lock()
	r.kind = kind
	r.mu.Unlock()
	r.params.Log.LogAttrs(ctx, slog.LevelInfo, "registrations are read from elsewhere", slog.String("backend", kind))
	return err
}

// Begin implements [kvstore.Follower].
func (r *Reading) Begin(kvstore.Generation) {}

// Apply implements [kvstore.Follower].
func (r *Reading) Apply(e kvstore.Entry) {
	var reads server.Reads
	if err := json.Unmarshal(e.Value, &reads); err != nil || e.Removed || e.Key != server.ReadsKey {
		return
	}
	if reads.Backend != config.BackendDurable && reads.Backend != config.BackendHybrid {
		return
	}
	r.mu.Lock()
	r.wanted = reads.Backend
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Live implements [kvstore.Follower].
func (r *Reading) Live(uint64) {}

// Stale implements [kvstore.Follower].
func (r *Reading) Stale(error) {}

// Advance implements [kvstore.Subscriber].
func (r *Reading) Advance(uint64) {}
