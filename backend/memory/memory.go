package memory

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/filter"
	"github.com/roostbus/roost/backend/view"
)

// Backend is a backend.Backend with all optional abilities. Use New.
type Backend struct {
	live    backend.Liveness
	view    *view.View
	filters *filter.Cache
	cancel  func()
	closed  atomic.Bool

	mu  sync.Mutex       // held from a decision to its effect
	seq backend.Revision // the newest one
}

var (
	_ backend.Backend    = (*Backend)(nil)
	_ backend.Batcher    = (*Backend)(nil)
	_ backend.Counter    = (*Backend)(nil)
	_ backend.Cataloguer = (*Backend)(nil)
	_ backend.Reaper     = (*Backend)(nil)
)

// Option changes what New makes.
type Option interface{ apply(*options) }

type options struct {
	epoch backend.Epoch
	view  []view.Option
}

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

// WithEpoch sets the epoch. Unless set it is the time of the start in Unix seconds.
func WithEpoch(e backend.Epoch) Option { return optionFunc(func(o *options) { o.epoch = e }) }

// WithView sets options of the table behind the Backend.
func WithView(opts ...view.Option) Option {
	return optionFunc(func(o *options) { o.view = append(o.view, opts...) })
}

// New returns an empty Backend whose owners are those that live says; Close ends its use
// of live.
func New(live backend.Liveness, opts ...Option) *Backend {
	o := options{epoch: backend.Epoch(time.Now().Unix())}
	for _, opt := range opts {
		opt.apply(&o)
	}
	b := &Backend{live: live, view: view.New(o.epoch, o.view...), filters: filter.NewCache()}
	b.cancel = live.OnEnd(b.end)
	return b
}

// end removes what belonged to an owner, at one revision.
func (b *Backend) end(e backend.Ending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.view.Ended(e.Owner) {
		return
	}
	b.seq++
	e.Revision = b.seq
	b.view.End(e)
	var removals []view.Change
	for r := range b.view.Owned(e.Owner) {
		removals = append(removals, view.Change{
			Registration: r, Kind: backend.Expired, Reason: e.Reason, Revision: b.seq, Removed: true,
		})
	}
	b.view.Apply(b.seq, removals...)
}

// ready reports why nothing can be asked of b.
func (b *Backend) ready(ctx context.Context) error {
	if b.closed.Load() {
		return backend.ErrClosed
	}
	if ctx.Err() != nil {
		return fmt.Errorf("memory: %w: %w", backend.ErrUnavailable, context.Cause(ctx))
	}
	return nil
}

// query prepares a read of q.
func (b *Backend) query(ctx context.Context, q *backend.Query) (view.Match, error) {
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	match, err := b.filters.Query(q)
	return view.Match(match), err
}

// Lookup implements [backend.Backend].
func (b *Backend) Lookup(ctx context.Context, key backend.Key, read backend.Read) (backend.Registration, backend.Stamp, error) {
	if err := b.ready(ctx); err != nil {
		return backend.Registration{}, backend.Stamp{}, err
	}
	if err := key.Validate(); err != nil {
		return backend.Registration{}, backend.Stamp{}, err
	}
	if err := read.Validate(); err != nil {
		return backend.Registration{}, backend.Stamp{}, err
	}
	until := time.Now().Add(read.Wait)
	if err := b.view.Await(ctx, read); err != nil {
		return backend.Registration{}, backend.Stamp{}, err
	}
	for {
		r, stamp := b.view.Lookup(key)
		switch {
		case r != nil:
			return *r, stamp, nil
		case read.Wait == 0:
			return backend.Registration{}, stamp, fmt.Errorf("%s: %w", key, backend.ErrNotFound)
		}
		if err := b.view.AwaitKey(ctx, key, until); err != nil {
			return backend.Registration{}, b.view.Stamp(), err
		}
	}
}

// List implements [backend.Backend].
func (b *Backend) List(ctx context.Context, q backend.Query) (*backend.Page, backend.Stamp, error) {
	match, err := b.query(ctx, &q)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	if err := b.view.AwaitChange(ctx, &q, time.Now().Add(q.Wait)); err != nil {
		return nil, backend.Stamp{}, err
	}
	return b.view.List(ctx, q, match)
}

// Count implements [backend.Counter].
func (b *Backend) Count(ctx context.Context, q backend.Query) (int, backend.Stamp, error) {
	q.Limit, q.MaxBytes, q.After, q.Since, q.Wait = 0, 0, "", nil, 0
	match, err := b.query(ctx, &q)
	if err != nil {
		return 0, backend.Stamp{}, err
	}
	return b.view.Count(ctx, q, match)
}

// Services implements [backend.Cataloguer].
func (b *Backend) Services(ctx context.Context, q backend.Query) (*backend.ServicesPage, backend.Stamp, error) {
	if _, err := b.query(ctx, &q); err != nil {
		return nil, backend.Stamp{}, err
	}
	return b.view.Services(ctx, q)
}

// Watch implements [backend.Backend].
func (b *Backend) Watch(ctx context.Context, q backend.Query, since backend.Revision) iter.Seq2[backend.Event, error] {
	match, err := b.query(ctx, &q)
	if err != nil {
		return func(yield func(backend.Event, error) bool) { yield(backend.Event{}, err) }
	}
	return b.view.Watch(ctx, q, match, since)
}

// Health implements [backend.Backend].
func (b *Backend) Health(ctx context.Context) (backend.Health, error) {
	if err := b.ready(ctx); err != nil {
		return backend.Health{}, err
	}
	h := backend.Health{Status: backend.Healthy, Backend: "memory", State: "live", Stamp: b.view.Stamp()}
	h.Registrations, h.Services = b.view.Size()
	return h, nil
}

// Close implements [backend.Backend].
func (b *Backend) Close() error {
	if !b.closed.Swap(true) {
		b.cancel()
		b.view.Close()
	}
	return nil
}
