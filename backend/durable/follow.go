package durable

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
)

// follow returns a loaded mirror of scope, in which changes show as they happen: who waits
// or watches asks the store once, and no more. The caller leaves it.
func (b *Backend) follow(ctx context.Context, scope backend.Scope) (*Mirror, error) {
	m := b.feed.use(scope)
	if m == nil {
		return nil, backend.ErrClosed
	}
	if err := b.load(ctx, m); err != nil {
		b.feed.leave(m)
		return nil, err
	}
	return m, nil
}

// load makes m show its scope, unless it does.
func (b *Backend) load(ctx context.Context, m *Mirror) error {
	select {
	case m.loading <- struct{}{}:
		defer func() { <-m.loading }()
	case <-ctx.Done():
		return unavailable(context.Cause(ctx))
	}
	if b.feed.isLoaded(m) {
		return nil
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		r, err := b.read(ctx, backend.Read{}, 0, patternsOf(m.scope)...)
		if err != nil {
			return err
		}
		if b.feed.load(m, r) {
			return nil
		}
		if err := sleep(ctx, pause); err != nil { // a snapshot is being collected
			return err
		}
	}
}

// reach waits until a mirror is as new as read asks.
func (b *Backend) reach(ctx context.Context, m *Mirror, read backend.Read) error {
	if err := b.begin(ctx, read); err != nil {
		return err
	}
	return m.View.Await(ctx, read)
}

// still returns why b can not, or not any more, answer as read asks after a wait.
func (b *Backend) still(read backend.Read) (age time.Duration, err error) {
	if err := b.feed.Serving(); err != nil {
		return 0, err
	}
	age = b.tail.Age()
	return age, b.feed.Young(read, age)
}

// await waits for a registration at key.
func (b *Backend) await(ctx context.Context, key backend.Key, read backend.Read, until time.Time) (backend.Registration, backend.Stamp, error) {
	m, err := b.follow(ctx, backend.Scope{Namespace: key.Namespace, Service: key.Service})
	if err != nil {
		return backend.Registration{}, backend.Stamp{}, err
	}
	defer b.feed.leave(m)
	for {
		waited := m.View.AwaitKey(ctx, key, until)
		age, err := b.still(read)
		if err != nil {
			return backend.Registration{}, backend.Stamp{}, err
		}
		r, stamp := m.View.Lookup(key)
		stamp.Age = age
		switch {
		case r == nil && waited != nil:
			return backend.Registration{}, stamp, waited
		case r == nil: // it has gone again
			continue
		case r.Revision <= stamp.Revision:
			return *r, stamp, nil
		}
		// It shows a moment before everything up to it is said to.
		if err := m.View.Wait(ctx, r.Revision); err != nil {
			return backend.Registration{}, backend.Stamp{}, err
		}
	}
}

// listChanged lists what has changed, as soon as there is something or the wait is over.
func (b *Backend) listChanged(ctx context.Context, q backend.Query, match view.Match, until time.Time) (*backend.Page, backend.Stamp, error) {
	m, err := b.follow(ctx, q.Scope)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	defer b.feed.leave(m)
	if err := b.reach(ctx, m, q.Read); err != nil {
		return nil, backend.Stamp{}, err
	}
	if err := m.View.AwaitChange(ctx, &q, until); err != nil {
		return nil, backend.Stamp{}, err
	}
	age, err := b.still(q.Read)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	page, stamp, err := m.View.List(ctx, q, match)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	stamp.Age = age
	return page, stamp, nil
}

// Watch implements [backend.Backend]. What is watched is held in memory for as long as it
// is, and for a moment longer, once for all who watch or wait in the same scope.
func (b *Backend) Watch(ctx context.Context, q backend.Query, since backend.Revision) iter.Seq2[backend.Event, error] {
	m, changes, err := b.watch(ctx, &q, &since)
	if err != nil {
		return func(yield func(backend.Event, error) bool) { yield(backend.Event{}, err) }
	}
	b.feed.leave(m) // nothing is held until the range begins
	return func(yield func(backend.Event, error) bool) {
		m, changes := m, changes
		if !b.feed.again(m) {
			if m, changes, err = b.watch(ctx, &q, &since); err != nil {
				yield(backend.Event{}, fmt.Errorf("watch: %w", err))
				return
			}
		}
		defer b.feed.leave(m)
		changes(yield)
	}
}

// watch begins a watch of q. It puts in the place of "from now on" which revision that is.
func (b *Backend) watch(ctx context.Context, q *backend.Query, since *backend.Revision) (*Mirror, iter.Seq2[backend.Event, error], error) {
	match, err := b.compile(q)
	if err != nil {
		return nil, nil, err
	}
	call, leave, err := b.enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	m, err := b.follow(call, q.Scope)
	if err != nil {
		return nil, nil, err
	}
	if err := b.reach(call, m, q.Read); err != nil {
		b.feed.leave(m)
		return nil, nil, err
	}
	changes := m.View.Watch(ctx, *q, match, *since)
	if *since == 0 {
		now := m.View.Stamp()
		*since, q.Epoch = now.Revision, now.Epoch
	}
	return m, changes, nil
}
