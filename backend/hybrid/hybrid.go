package hybrid

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/backend/filter"
	"github.com/roostbus/roost/backend/rules"
	"github.com/roostbus/roost/backend/view"
	"github.com/roostbus/roost/kvstore"
)

// Backend is a Backend on a store. Use New.
type Backend struct {
	tail    *kvstore.Tail
	view    *view.View
	writer  *durable.Writer
	filters *filter.Cache
	feed    *durable.Feed
	log     *slog.Logger
	cancel  func() // of the subscription to endings
	name    string // in Health
}

var (
	_ backend.Backend    = (*Backend)(nil)
	_ backend.Batcher    = (*Backend)(nil)
	_ backend.Counter    = (*Backend)(nil)
	_ backend.Cataloguer = (*Backend)(nil)
	_ backend.Prompter   = (*Backend)(nil)
	_ backend.Reaper     = (*Backend)(nil)
)

// Option injects something into a Backend.
type Option func(*Backend)

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) Option { return func(b *Backend) { b.log = l } }

// WithName sets what Health calls the kind of backend. The default is "hybrid".
func WithName(name string) Option { return func(b *Backend) { b.name = name } }

// New returns a Backend that writes to store and reads what tail, the feed of that very
// store, shows. It subscribes to tail, and answers once tail has shown everything; see
// Ready.
func New(store kvstore.Store, tail *kvstore.Tail, epochs durable.Epochs, live backend.Liveness, opts ...Option) *Backend {
	b := &Backend{
		tail:    tail,
		view:    view.New(0),
		filters: filter.NewCache(),
		log:     slog.New(slog.DiscardHandler),
		name:    "hybrid",
	}
	for _, o := range opts {
		o(b)
	}
	b.writer = durable.NewWriter(durable.Echo(store, tail), source{b}, live)
	b.feed = durable.NewFeed(tail, epochs, live, b.log)
	b.feed.Mirror(b.view)
	b.cancel = live.OnEnd(b.feed.End)
	b.feed.Follow()
	return b
}

// Ready waits until the Backend answers and knows how old its view is.
func (b *Backend) Ready(ctx context.Context) error { return b.feed.Ready(ctx) }

func unavailable(cause error) error { return fmt.Errorf("%w: %w", backend.ErrUnavailable, cause) }

// reach returns when the view is as new as read asks for.
func (b *Backend) reach(ctx context.Context, read backend.Read) error {
	if err := b.feed.Serving(); err != nil {
		return err
	}
	if read == (backend.Read{}) {
		return nil
	}
	if read.Consistency == backend.Linearizable {
		if err := b.feed.Sync(ctx); err != nil {
			return err
		}
	}
	if err := b.view.Await(ctx, read); err != nil {
		return err
	}
	return b.feed.Young(read, b.tail.Age())
}

// aged completes a stamp of the view. The age is taken before the answer is looked up.
func aged(stamp backend.Stamp, age time.Duration) backend.Stamp {
	stamp.Age = age
	return stamp
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

// Lookup implements [backend.Backend].
func (b *Backend) Lookup(ctx context.Context, key backend.Key, read backend.Read) (backend.Registration, backend.Stamp, error) {
	if err := key.Validate(); err != nil {
		return backend.Registration{}, backend.Stamp{}, err
	}
	if err := read.Validate(); err != nil {
		return backend.Registration{}, backend.Stamp{}, err
	}
	until := time.Now().Add(read.Wait)
	if err := b.begin(ctx, read); err != nil {
		return backend.Registration{}, backend.Stamp{}, err
	}
	for {
		age := b.tail.Age()
		r, stamp := b.view.Lookup(key)
		switch {
		case r != nil:
			return *r, aged(stamp, age), nil
		case read.Wait == 0:
			return backend.Registration{}, aged(stamp, age), fmt.Errorf("%s: %w", key, backend.ErrNotFound)
		}
		err := b.view.AwaitKey(ctx, key, until)
		if still := b.still(read); still != nil {
			return backend.Registration{}, backend.Stamp{}, still
		}
		if err != nil {
			return backend.Registration{}, aged(stamp, age), err
		}
	}
}

// still returns why b can not, or not any more, answer as read asks after a wait.
func (b *Backend) still(read backend.Read) error {
	if err := b.feed.Serving(); err != nil {
		return err
	}
	return b.feed.Young(read, b.tail.Age())
}

// Prompt implements [backend.Prompter].
func (b *Backend) Prompt(read backend.Read) bool {
	return read.Consistency == backend.Local && read.Wait == 0 && read.MinRevision <= b.view.Stamp().Revision
}

// begin begins a read: it fails a context that is done already, and waits as read asks.
func (b *Backend) begin(ctx context.Context, read backend.Read) error {
	if ctx.Err() != nil {
		return unavailable(context.Cause(ctx))
	}
	return b.reach(ctx, read)
}

// prepare begins a read of what q selects and returns its compiled filter.
func (b *Backend) prepare(ctx context.Context, q *backend.Query) (view.Match, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	match, err := b.filters.Compile(q.Filter)
	if err != nil {
		return nil, err
	}
	return view.Match(match), b.begin(ctx, q.Read)
}

// List implements [backend.Backend].
func (b *Backend) List(ctx context.Context, q backend.Query) (*backend.Page, backend.Stamp, error) {
	until := time.Now().Add(q.Wait)
	match, err := b.prepare(ctx, &q)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	if q.Since != nil {
		if err := b.view.AwaitChange(ctx, &q, until); err != nil {
			return nil, backend.Stamp{}, err
		}
		if err := b.still(q.Read); err != nil {
			return nil, backend.Stamp{}, err
		}
	}
	age := b.tail.Age()
	page, stamp, err := b.view.List(ctx, q, match)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	return page, aged(stamp, age), nil
}

// Count implements [backend.Counter].
func (b *Backend) Count(ctx context.Context, q backend.Query) (int, backend.Stamp, error) {
	q.Since, q.Wait = nil, 0
	match, err := b.prepare(ctx, &q)
	if err != nil {
		return 0, backend.Stamp{}, err
	}
	age := b.tail.Age()
	n, stamp, err := b.view.Count(ctx, q, match)
	return n, aged(stamp, age), err
}

// Services implements [backend.Cataloguer].
func (b *Backend) Services(ctx context.Context, q backend.Query) (*backend.ServicesPage, backend.Stamp, error) {
	if _, err := b.prepare(ctx, &q); err != nil {
		return nil, backend.Stamp{}, err
	}
	age := b.tail.Age()
	page, stamp, err := b.view.Services(ctx, q)
	return page, aged(stamp, age), err
}

// Watch implements [backend.Backend].
func (b *Backend) Watch(ctx context.Context, q backend.Query, since backend.Revision) iter.Seq2[backend.Event, error] {
	match, err := b.prepare(ctx, &q)
	if err != nil {
		return func(yield func(backend.Event, error) bool) { yield(backend.Event{}, err) }
	}
	return b.view.Watch(ctx, q, match, since)
}

// Health implements [backend.Backend].
func (b *Backend) Health(ctx context.Context) (backend.Health, error) {
	if ctx.Err() != nil {
		return backend.Health{}, unavailable(context.Cause(ctx))
	}
	if why := b.feed.Serving(); errors.Is(why, backend.ErrClosed) {
		return backend.Health{}, why
	}
	h := b.feed.Health(b.name)
	h.Stamp = aged(b.view.Stamp(), b.tail.Age())
	h.Registrations, h.Services = b.view.Size()
	return h, nil
}

// Close implements [backend.Backend]. It leaves store and tail, which it did not make.
func (b *Backend) Close() error {
	b.cancel()
	b.feed.Close()
	return nil
}

// source is where the writer looks before it decides.
type source struct{ *Backend }

// Peek implements [durable.Source].
func (s source) Peek(_ context.Context, key backend.Key) (rules.State, error) { return s.Recall(key) }

// Recall implements [durable.Recaller].
func (s source) Recall(key backend.Key) (rules.State, error) {
	if err := s.feed.Serving(); err != nil {
		return rules.State{}, err
	}
	return s.view.Row(key), nil
}

// Sync implements [durable.Source].
func (s source) Sync(ctx context.Context) error { return s.feed.Sync(ctx) }
