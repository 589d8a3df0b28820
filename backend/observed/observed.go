package observed

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/backend"
)

// operation is what of a Backend is counted by itself.
type operation int

const (
	register operation = iota
	lookup
	update
	unregister
	list
	count
	services
	batch
	watch
	lookupWait // those that may wait say nothing about how fast the others are
	listWait
	reap
	operations // how many there are
)

var names = [operations]string{
	"register", "lookup", "update", "unregister", "list", "count", "services", "batch", "watch", "lookup_wait", "list_wait",
	"reap",
}

// waiting returns the operation that a read is counted as.
func waiting(plain, waits operation, read backend.Read) operation {
	if read.Wait > 0 {
		return waits
	}
	return plain
}

// Backend counts and times the calls of another. Use New.
type Backend struct {
	inner   backend.Backend
	meters  [operations]meter
	watches atomic.Int64 // under way
}

var (
	_ backend.Backend    = (*Backend)(nil)
	_ backend.Batcher    = (*Backend)(nil)
	_ backend.Counter    = (*Backend)(nil)
	_ backend.Cataloguer = (*Backend)(nil)
	_ backend.Prompter   = (*Backend)(nil)
	_ backend.Reaper     = (*Backend)(nil)
)

// New returns a Backend that asks b and counts.
func New(b backend.Backend) *Backend { return &Backend{inner: b} }

// meter counts one operation.
type meter struct {
	failed   atomic.Uint64 // for want of the registry, not of what was asked
	refused  atomic.Uint64
	duration histogram
}

// Operation sums up the calls of one operation.
type Operation struct {
	Name string
	// Count is how many calls have ended. Refused are those of them that were answered
	// with what the caller can do something about (not found, conflict, invalid, …);
	// Failed those that the registry could not answer.
	Count, Refused, Failed uint64
	P50, P99, Max          time.Duration
}

// Operations sums up every operation that was called.
func (b *Backend) Operations() []Operation {
	var all []Operation
	for i := range b.meters {
		m := &b.meters[i]
		s := m.duration.sum()
		if s.count == 0 {
			continue
		}
		all = append(all, Operation{
			Name: names[i], Count: s.count, Refused: m.refused.Load(), Failed: m.failed.Load(),
			P50: s.quantile(0.50), P99: s.quantile(0.99), Max: s.max,
		})
	}
	return all
}

// Watches returns how many watches are under way.
func (b *Backend) Watches() int { return int(b.watches.Load()) }

// done counts a call of op that began at start.
func (b *Backend) done(op operation, start time.Time, err error) {
	m := &b.meters[op]
	m.duration.add(time.Since(start))
	switch {
	case err == nil:
	case errors.Is(err, backend.ErrUnavailable), errors.Is(err, backend.ErrUnknownOutcome), !known(err):
		m.failed.Add(1)
	default:
		m.refused.Add(1)
	}
}

// known reports whether err is one that a Backend gives for what was asked.
func known(err error) bool {
	for _, sentinel := range []error{
		backend.ErrNotFound, backend.ErrExists, backend.ErrConflict, backend.ErrNotOwner, backend.ErrInvalid,
		backend.ErrTooLarge, backend.ErrLeaseExpired, backend.ErrCompacted, backend.ErrLimitExceeded, backend.ErrTimeout,
	} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// Register implements [backend.Backend].
func (b *Backend) Register(ctx context.Context, r backend.Registration, w backend.Write) (backend.Registration, backend.Stamp, error) {
	start := time.Now()
	stored, stamp, err := b.inner.Register(ctx, r, w)
	b.done(register, start, err)
	return stored, stamp, err
}

// Lookup implements [backend.Backend].
func (b *Backend) Lookup(ctx context.Context, key backend.Key, read backend.Read) (backend.Registration, backend.Stamp, error) {
	start := time.Now()
	r, stamp, err := b.inner.Lookup(ctx, key, read)
	b.done(waiting(lookup, lookupWait, read), start, err)
	return r, stamp, err
}

// Prompt implements [backend.Prompter].
func (b *Backend) Prompt(read backend.Read) bool { return backend.Prompt(b.inner, read) }

// Update implements [backend.Backend].
func (b *Backend) Update(ctx context.Context, key backend.Key, c backend.Change, w backend.Write) (backend.Registration, backend.Stamp, error) {
	start := time.Now()
	r, stamp, err := b.inner.Update(ctx, key, c, w)
	b.done(update, start, err)
	return r, stamp, err
}

// Unregister implements [backend.Backend].
func (b *Backend) Unregister(ctx context.Context, key backend.Key, w backend.Write) (backend.Removal, backend.Stamp, error) {
	start := time.Now()
	removal, stamp, err := b.inner.Unregister(ctx, key, w)
	b.done(unregister, start, err)
	return removal, stamp, err
}

// List implements [backend.Backend].
func (b *Backend) List(ctx context.Context, q backend.Query) (*backend.Page, backend.Stamp, error) {
	start := time.Now()
	page, stamp, err := b.inner.List(ctx, q)
	b.done(waiting(list, listWait, q.Read), start, err)
	return page, stamp, err
}

// Count implements [backend.Counter].
func (b *Backend) Count(ctx context.Context, q backend.Query) (int, backend.Stamp, error) {
	start := time.Now()
	n, stamp, err := backend.Count(ctx, b.inner, q)
	b.done(count, start, err)
	return n, stamp, err
}

// Services implements [backend.Cataloguer].
func (b *Backend) Services(ctx context.Context, q backend.Query) (*backend.ServicesPage, backend.Stamp, error) {
	start := time.Now()
	page, stamp, err := backend.Services(ctx, b.inner, q)
	b.done(services, start, err)
	return page, stamp, err
}

// Batch implements [backend.Batcher]. It counts as one call, whatever its operations come to.
func (b *Backend) Batch(ctx context.Context, ops []backend.Operation, atomic bool) ([]backend.Result, backend.Stamp, error) {
	start := time.Now()
	results, stamp, err := backend.Batch(ctx, b.inner, ops, atomic)
	b.done(batch, start, err)
	return results, stamp, err
}

// Watch implements [backend.Backend]. It is counted when it ends, without its duration.
func (b *Backend) Watch(ctx context.Context, q backend.Query, since backend.Revision) iter.Seq2[backend.Event, error] {
	events := b.inner.Watch(ctx, q, since)
	return func(yield func(backend.Event, error) bool) {
		b.watches.Add(1)
		var last error
		defer func() {
			b.watches.Add(-1)
			b.done(watch, time.Now(), last)
		}()
		for e, err := range events {
			if ctx.Err() == nil {
				last = err
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Health implements [backend.Backend].
func (b *Backend) Health(ctx context.Context) (backend.Health, error) { return b.inner.Health(ctx) }

// Close implements [backend.Backend].
func (b *Backend) Close() error { return b.inner.Close() }
