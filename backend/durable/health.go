package durable

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/roostbus/roost/backend"
)

// counted is what a Backend has counted last. Counting reads everything, so it is not done
// again until something may have changed.
type counted struct {
	mu                      sync.Mutex
	at                      place
	valid                   bool
	registrations, services int
}

// countTimeout bounds the counting for a Health.
const countTimeout = 5 * time.Second

// Health implements [backend.Backend]. It reads everything where something has changed.
func (b *Backend) Health(ctx context.Context) (backend.Health, error) {
	if ctx.Err() != nil {
		return backend.Health{}, unavailable(context.Cause(ctx))
	}
	ctx, leave, err := b.enter(ctx)
	if err != nil {
		return backend.Health{}, err
	}
	defer leave()
	h := b.feed.Health("durable")
	at := b.feed.place()
	h.Stamp = backend.Stamp{Epoch: at.epoch, Age: b.tail.Age(), Revision: backend.Revision(b.tail.Revision())}
	if h.Status == backend.Unhealthy {
		return h, nil
	}
	h.Registrations, h.Services, err = b.count(ctx, at)
	switch {
	case errors.Is(err, backend.ErrClosed):
		return backend.Health{}, err
	case err != nil:
		h.Status, h.Problems = backend.Unhealthy, append(h.Problems, err.Error())
	}
	return h, nil
}

func (b *Backend) count(ctx context.Context, at place) (registrations, services int, err error) {
	c := &b.counted
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.valid || c.at.changes != at.changes {
		ctx, cancel := context.WithTimeout(ctx, countTimeout)
		defer cancel()
		r, err := b.read(ctx, backend.Read{}, 0, patternsOf(backend.Scope{})...)
		if err != nil {
			return c.registrations, c.services, err
		}
		c.registrations, c.services = r.view().Size()
		c.at, c.valid = at, true
	}
	return c.registrations, c.services, nil
}
