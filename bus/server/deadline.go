package server

import (
	"context"
	"sync"
	"time"
)

// deadline is a context that ends at a point in time or with its parent, like that of
// context.WithDeadline, but costs a timer only if somebody waits for it. Most requests
// are answered from memory and never do.
type deadline struct {
	parent context.Context //nolint:containedctx // it is a context
	// waits, unless nil, is the parent of a request that waits.
	waits context.Context //nolint:containedctx // it is a context
	at    time.Time

	mu     sync.Mutex
	inner  context.Context //nolint:containedctx // it is a context
	cancel context.CancelFunc
	over   bool
}

var _ context.Context = (*deadline)(nil)

// Deadline implements [context.Context].
func (d *deadline) Deadline() (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at, true
}

// extend has d end at another time, with those that wait. Nobody has asked for Done yet.
func (d *deadline) extend(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = at
	if d.waits != nil {
		d.parent = d.waits
	}
}

// Done begins to measure the time.
func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inner == nil {
		d.inner, d.cancel = context.WithDeadline(d.parent, d.at)
		if d.over {
			d.cancel()
		}
	}
	return d.inner.Done()
}

func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.inner != nil:
		return d.inner.Err()
	case d.over:
		return context.Canceled
	case !time.Now().Before(d.at):
		return context.DeadlineExceeded
	}
	return d.parent.Err()
}

func (d *deadline) Value(key any) any {
	d.mu.Lock()
	c := d.inner
	d.mu.Unlock()
	if c == nil {
		c = d.parent
	}
	return c.Value(key)
}

// end frees what d holds; d is done then.
func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	if d.cancel != nil {
		d.cancel()
	}
}
