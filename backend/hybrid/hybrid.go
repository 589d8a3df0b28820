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

// Epochs says which epoch the store is in; package kvstore/epoch implements it. It must
// be subscribed to the tail before the Backend is made.
type Epochs interface {
	// Current returns the epoch of what the feed shows; none while it is being decided.
	Current() (epoch uint32, ok bool)
}

// Backend is a Backend on a store. Use New.
type Backend struct {
	tail    *kvstore.Tail
	view    *view.View
	writer  *durable.Writer
	filters *filter.Cache
	feed    *feed
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
)

// Option injects something into a Backend.
type Option func(*Backend)

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) Option { return func(b *Backend) { b.log = l } }

// WithName sets what Health calls the kind of backend. The default is "hybrid".
func WithName(name string) Option { return func(b *Backend) { b.name = name } }

// New returns a Backend that writes to store and reads what tail, the feed of that very
// store, shows. It subscribes to tail, which must not run yet, and answers once tail has
// shown everything; see Ready.
func New(store kvstore.Store, tail *kvstore.Tail, epochs Epochs, live backend.Liveness, opts ...Option) *Backend {
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
	b.writer = durable.NewWriter(&echoing{Store: store, tail: tail}, source{b}, live)
	b.feed = newFeed(b.view, epochs, b.log)
	b.cancel = live.OnEnd(b.feed.end)
	tail.Subscribe(durable.Prefix, b.feed)
	return b
}

// Ready waits until the Backend answers and knows how old its view is.
func (b *Backend) Ready(ctx context.Context) error {
	if err := b.tail.Ready(ctx); err != nil {
		return unavailable(err)
	}
	select {
	case <-b.feed.first:
	case <-ctx.Done():
		return unavailable(fmt.Errorf("the epoch of the bucket is not decided: %w", context.Cause(ctx)))
	}
	return b.sync(ctx)
}

// sync returns when everything acknowledged before the call is in the view.
func (b *Backend) sync(ctx context.Context) error {
	if err := b.tail.Barrier(ctx); err != nil {
		return unavailable(err)
	}
	return nil
}

func unavailable(cause error) error { return fmt.Errorf("%w: %w", backend.ErrUnavailable, cause) }

// reach returns when the view is as new as read asks for.
func (b *Backend) reach(ctx context.Context, read backend.Read) error {
	if err := b.feed.serving(); err != nil {
		return err
	}
	if read == (backend.Read{}) {
		return nil
	}
	if read.Consistency == backend.Linearizable {
		if err := b.sync(ctx); err != nil {
			return err
		}
	}
	if err := b.view.Await(ctx, read); err != nil {
		return err
	}
	return b.young(read)
}

// young returns why the view is older than read allows.
func (b *Backend) young(read backend.Read) error {
	if age := b.tail.Age(); read.MaxAge > 0 && age > read.MaxAge {
		return fmt.Errorf("%w: this node has not heard from the bucket for %v, and %v is asked for",
			backend.ErrUnavailable, age.Round(time.Millisecond), read.MaxAge)
	}
	return nil
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
	if err := b.feed.serving(); err != nil {
		return err
	}
	return b.young(read)
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
	why := b.feed.serving()
	if errors.Is(why, backend.ErrClosed) {
		return backend.Health{}, why
	}
	state := b.tail.State()
	h := backend.Health{Status: backend.Healthy, Backend: b.name, State: state.State.String(), Stamp: aged(b.view.Stamp(), b.tail.Age())}
	h.Registrations, h.Services = b.view.Size()
	if why != nil {
		h.Status, h.Problems = backend.Unhealthy, append(h.Problems, why.Error())
	} else if state.State != kvstore.Live {
		h.Status = backend.Degraded
		h.Problems = append(h.Problems, fmt.Sprintf("the bucket has not been heard for %v: %v", time.Since(state.Since).Round(time.Second), state.Cause))
	}
	if n := b.feed.foreign.Load(); n > 0 {
		h.Status = max(h.Status, backend.Degraded)
		h.Problems = append(h.Problems, fmt.Sprintf("%d entries of the bucket are no registrations and are left out; the log names them", n))
	}
	return h, nil
}

// Close implements [backend.Backend]. It leaves store and tail, which it did not make.
func (b *Backend) Close() error {
	b.cancel()
	b.feed.close()
	b.view.Close()
	return nil
}

// source is where the writer looks before it decides.
type source struct{ *Backend }

// Peek implements [durable.Source].
func (s source) Peek(_ context.Context, key backend.Key) (rules.State, error) { return s.Recall(key) }

// Recall implements [durable.Recaller].
func (s source) Recall(key backend.Key) (rules.State, error) {
	if err := s.feed.serving(); err != nil {
		return rules.State{}, err
	}
	return s.view.Row(key), nil
}

// Sync implements [durable.Source].
func (s source) Sync(ctx context.Context) error { return s.sync(ctx) }

// echoing tells the tail of the writes that this node makes: their coming back says how
// old the view is.
type echoing struct {
	kvstore.Store
	tail *kvstore.Tail
}

// Write implements [kvstore.Store].
func (e *echoing) Write(ctx context.Context, w kvstore.Write) (uint64, error) {
	sent := e.tail.Sent()
	revision, err := e.Store.Write(ctx, w)
	if err == nil {
		e.tail.Wrote(sent, revision)
	}
	return revision, err
}

// WriteEach implements [kvstore.Pipeliner].
func (e *echoing) WriteEach(ctx context.Context, writes []kvstore.Write) []kvstore.Written {
	sent := e.tail.Sent()
	results := kvstore.WriteEach(ctx, e.Store, writes)
	var newest uint64
	for i := range results {
		if results[i].Err == nil {
			newest = max(newest, results[i].Revision)
		}
	}
	if newest > 0 {
		e.tail.Wrote(sent, newest)
	}
	return results
}
