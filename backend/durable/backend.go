package durable

import (
	"context"
	"log/slog"
	"sync"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/filter"
	"github.com/roostbus/roost/backend/rules"
	"github.com/roostbus/roost/backend/view"
	"github.com/roostbus/roost/kvstore"
)

// Backend is a Backend whose reads go to the store. Use New.
type Backend struct {
	store   kvstore.Store
	tail    *kvstore.Tail
	live    backend.Liveness
	feed    *Feed
	writer  *Writer
	filters *filter.Cache
	log     *slog.Logger
	cancel  func() // of the subscription to endings
	counted counted

	mu    sync.Mutex
	calls uint64
	under map[uint64]context.CancelCauseFunc // the calls under way, by number; nil after Close
}

var (
	_ backend.Backend    = (*Backend)(nil)
	_ backend.Batcher    = (*Backend)(nil)
	_ backend.Counter    = (*Backend)(nil)
	_ backend.Cataloguer = (*Backend)(nil)
	_ backend.Reaper     = (*Backend)(nil)
)

// Option injects something into a Backend.
type Option func(*Backend)

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) Option { return func(b *Backend) { b.log = l } }

// New returns a Backend on store. tail, the feed of that very store, says how far this node
// has come; New subscribes to it. The Backend answers once tail has
// shown everything; see Ready.
func New(store kvstore.Store, tail *kvstore.Tail, epochs Epochs, live backend.Liveness, opts ...Option) *Backend {
	b := &Backend{
		store: store, tail: tail, live: live, filters: filter.NewCache(),
		log: slog.New(slog.DiscardHandler), under: map[uint64]context.CancelCauseFunc{},
	}
	for _, o := range opts {
		o(b)
	}
	b.writer = NewWriter(Echo(store, tail), source{b}, live)
	b.feed = NewFeed(tail, epochs, live, b.log)
	b.feed.owners = newOwners(live)
	b.cancel = live.OnEnd(b.feed.End)
	b.feed.Follow()
	return b
}

// Ready waits until the Backend answers and knows how old its answers are.
func (b *Backend) Ready(ctx context.Context) error { return b.feed.Ready(ctx) }

// enter begins a call that ends with the Backend.
func (b *Backend) enter(ctx context.Context) (context.Context, func(), error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.under == nil {
		return nil, nil, backend.ErrClosed
	}
	b.calls++
	id := b.calls
	ctx, cancel := context.WithCancelCause(ctx)
	b.under[id] = cancel
	return ctx, func() {
		cancel(nil)
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.under, id)
	}, nil
}

// Close implements [backend.Backend]. It leaves store and tail, which it did not make.
func (b *Backend) Close() error {
	b.cancel()
	b.feed.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, end := range b.under {
		end(backend.ErrClosed)
	}
	b.under = nil
	return nil
}

// Register implements [backend.Backend].
func (b *Backend) Register(ctx context.Context, r backend.Registration, w backend.Write) (backend.Registration, backend.Stamp, error) {
	return b.writer.Register(ctx, r, w)
}

// Update implements [backend.Backend].
func (b *Backend) Update(ctx context.Context, key backend.Key, c backend.Change, w backend.Write) (backend.Registration, backend.Stamp, error) {
	return b.writer.Update(ctx, key, c, w)
}

// Unregister implements [backend.Backend].
func (b *Backend) Unregister(ctx context.Context, key backend.Key, w backend.Write) (backend.Removal, backend.Stamp, error) {
	return b.writer.Unregister(ctx, key, w)
}

// Batch implements [backend.Batcher].
func (b *Backend) Batch(ctx context.Context, operations []backend.Operation, atomic bool) ([]backend.Result, backend.Stamp, error) {
	return b.writer.Batch(ctx, operations, atomic)
}

// source is where the writer looks before it decides.
type source struct{ *Backend }

// Peek implements [Source].
func (s source) Peek(ctx context.Context, key backend.Key) (rules.State, error) {
	r, err := s.read(ctx, backend.Read{}, 0, Prefix+key.String())
	if err != nil {
		return rules.State{}, err
	}
	return r.state(), nil
}

// Sync implements [Source].
func (s source) Sync(ctx context.Context) error { return s.feed.Sync(ctx) }

// compile validates q and returns its compiled filter.
func (b *Backend) compile(q *backend.Query) (view.Match, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	match, err := b.filters.Compile(q.Filter)
	return view.Match(match), err
}
