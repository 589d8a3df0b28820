package durable

import (
	"context"
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
)

// Lookup implements [backend.Backend].
func (b *Backend) Lookup(ctx context.Context, key backend.Key, read backend.Read) (backend.Registration, backend.Stamp, error) {
	fail := func(err error) (backend.Registration, backend.Stamp, error) {
		return backend.Registration{}, backend.Stamp{}, err
	}
	if err := key.Validate(); err != nil {
		return fail(err)
	}
	if err := read.Validate(); err != nil {
		return fail(err)
	}
	until := time.Now().Add(read.Wait)
	ctx, leave, err := b.enter(ctx)
	if err != nil {
		return fail(err)
	}
	defer leave()
	r, err := b.read(ctx, read, 0, Prefix+key.String())
	if err != nil {
		return fail(err)
	}
	state := r.state()
	switch {
	case state.Alive && (read.Wait == 0 || state.Revision <= r.revision):
		return state.Registration, r.stamp(), nil
	case read.Wait == 0:
		return backend.Registration{}, r.stamp(), fmt.Errorf("%s: %w", key, backend.ErrNotFound)
	}
	// Who waits for a registration is answered as of when it appeared.
	return b.await(ctx, key, read, until)
}

// List implements [backend.Backend]. Every page reads all of the scope.
func (b *Backend) List(ctx context.Context, q backend.Query) (*backend.Page, backend.Stamp, error) {
	until := time.Now().Add(q.Wait)
	match, err := b.compile(&q)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	ctx, leave, err := b.enter(ctx)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	defer leave()
	if q.Since != nil && q.Wait > 0 && q.After == "" {
		return b.listChanged(ctx, q, match, until)
	}
	r, err := b.scope(ctx, &q)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	page, stamp, err := r.view().List(ctx, q, match)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	stamp.Age = r.age
	return page, stamp, nil
}

// scope reads all of q's scope, as new as q asks.
func (b *Backend) scope(ctx context.Context, q *backend.Query) (*reading, error) {
	cursor, err := backend.ParseCursor(q.After)
	if err != nil {
		return nil, err
	}
	least := cursor.Revision
	if q.Since != nil {
		least = max(least, *q.Since)
	}
	if err := b.feed.Serving(); err != nil {
		return nil, err
	}
	if at := b.feed.place(); cursor.Epoch != 0 && cursor.Epoch != at.epoch {
		return nil, elsewhere(cursor.Epoch, at.epoch)
	}
	return b.read(ctx, q.Read, least, patternsOf(q.Scope)...)
}

// Count implements [backend.Counter].
func (b *Backend) Count(ctx context.Context, q backend.Query) (int, backend.Stamp, error) {
	q.After, q.Since, q.Wait = "", nil, 0
	match, err := b.compile(&q)
	if err != nil {
		return 0, backend.Stamp{}, err
	}
	ctx, leave, err := b.enter(ctx)
	if err != nil {
		return 0, backend.Stamp{}, err
	}
	defer leave()
	r, err := b.scope(ctx, &q)
	if err != nil {
		return 0, backend.Stamp{}, err
	}
	n, stamp, err := r.view().Count(ctx, q, match)
	stamp.Age = r.age
	return n, stamp, err
}

// Services implements [backend.Cataloguer].
func (b *Backend) Services(ctx context.Context, q backend.Query) (*backend.ServicesPage, backend.Stamp, error) {
	if _, err := b.compile(&q); err != nil {
		return nil, backend.Stamp{}, err
	}
	ctx, leave, err := b.enter(ctx)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	defer leave()
	r, err := b.scope(ctx, &q)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	page, stamp, err := r.view().Services(ctx, q)
	stamp.Age = r.age
	return page, stamp, err
}
