package client

import (
	"context"
	"time"
)

// Valid reports whether the lease certainly lives: it turns false before the registry
// could give away what belongs to it. It is false when the TTL has passed since the newest
// acknowledged keepalive was sent, when half the grace has passed since the connection was
// lost over which that was (at once where the grace is 0), and when the lease has ended.
//
// A lease that is not Valid and not Done is uncertain: nobody has heard from the registry.
// It becomes Valid again when a keepalive is acknowledged.
func (l *Lease) Valid() bool {
	deadline := l.Deadline() // may take a while
	return time.Now().Before(deadline)
}

// Deadline is when Valid turns false if nothing is heard until then; the zero Time when
// the lease has ended. It moves with every keepalive, and back when the connection is lost.
func (l *Lease) Deadline() time.Time {
	k := &l.c.leases
	for {
		k.mu.Lock()
		deadline, heard := l.deadline(), l.heard
		known := l.err != nil || !l.lost.IsZero()
		k.mu.Unlock()
		if known {
			return deadline
		}
		// Whoever tells of a lost connection may be late, so it is looked at. That is not
		// done under the lock: a connection that is being restored answers late.
		now := time.Now()
		conn, connected := l.c.whereabouts()
		k.mu.Lock()
		if l.heard != heard {
			k.mu.Unlock()
			continue
		}
		if !connected || conn != l.conn {
			l.lose(now)
			k.shake()
		}
		deadline = l.deadline()
		k.mu.Unlock()
		return deadline
	}
}

// deadline is Deadline as far as it is known. The caller holds the lock.
func (l *Lease) deadline() time.Time {
	if l.err != nil {
		return time.Time{}
	}
	deadline := l.acked.Add(l.ttl)
	if !l.lost.IsZero() {
		if closed := l.lost.Add(l.grace / 2); closed.Before(deadline) {
			return closed
		}
	}
	return deadline
}

// Context returns a context that ends when the lease is not Valid any more, for work that
// must not go on then, and never comes back; context.Cause says why: what [Lease.Err] says,
// or an ErrUnavailable that the lease is uncertain. It ends a moment after Valid has turned
// false. It costs a goroutine that ends with it: call cancel.
func (l *Lease) Context(ctx context.Context) (_ context.Context, cancel context.CancelFunc) {
	return l.ContextBefore(ctx, 0)
}

// ContextBefore is [Lease.Context] for work that takes a while to stop: the context ends
// early, the time that is given, before Valid turns false unless the lease ends sooner. As
// a lease whose connection was lost is Valid for half its grace only, that is best less than
// half the grace and less than half the TTL; otherwise it ends with every lost connection,
// or between keepalives.
func (l *Lease) ContextBefore(ctx context.Context, early time.Duration) (_ context.Context, cancel context.CancelFunc) {
	return l.until(ctx, early, nil, nil)
}

// until is ContextBefore that ends as well when over is closed, because of why.
func (l *Lease) until(
	ctx context.Context, early time.Duration, over <-chan struct{}, why func() error,
) (_ context.Context, cancel context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		end(l.outlasted(ctx, early, over, why))
	}()
	return ctx, func() { end(context.Canceled) }
}

// outlasted returns when the lease will not be Valid any more early from now, over is
// closed, or ctx is over, and why.
func (l *Lease) outlasted(ctx context.Context, early time.Duration, over <-chan struct{}, why func() error) error {
	for {
		shaken := l.c.leases.signal()
		deadline := l.Deadline()
		left := time.Until(deadline) - early
		if left <= 0 {
			if err := l.Err(); err != nil {
				return err
			}
			return errUncertain
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-shaken:
		case <-l.done:
		case <-over:
			timer.Stop()
			return why()
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		timer.Stop()
	}
}

// ended reports whether the lease has ended, and with it all that belongs to it.
func (l *Lease) ended() bool { return l.Err() != nil }
