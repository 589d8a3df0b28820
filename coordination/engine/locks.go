package engine

import (
	"context"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
)

// Every method of a kind that changes something returns the errors of the transition that
// it makes, and ErrInvalid, ErrLeaseExpired, ErrLimitExceeded, ErrUnavailable, of which it
// is certain that nothing was done, and ErrUnknownOutcome. by.Owner is whose lease was shown;
// "" of an operator.

// Locks are all locks.
type Locks struct{ *Objects[coordination.Lock] }

// Acquire gives p the lock, waiting for it for as long as wait. Whoever holds it already is
// told so again. ErrTimeout where it is not to be had; ErrUnavailable also where somebody
// else, an operator or p itself, has taken p out of the queue.
//
// Where wait is over p is out of the queue when Acquire returns, unless another request of p
// waits, or it says ErrUnknownOutcome. With ctx it ends in the same way.
func (l Locks) Acquire(ctx context.Context, n Name, p coordination.Party, mode coordination.Mode, wait time.Duration, by backend.Write) (Grant, backend.Stamp, error) {
	return l.acquire(ctx, &demand[coordination.Lock]{
		name: n, party: p, wait: wait, by: by,
		apply: func(x coordination.Lock, turn *coordination.Turn, ticket *coordination.Ticket) (coordination.Lock, error) {
			return x.Acquire(turn, p, mode, ticket)
		},
		queue: func(x *coordination.Lock) queued { return x },
	})
}

// Release takes p out, whether it holds the lock, waits for it, or neither.
func (l Locks) Release(ctx context.Context, n Name, p coordination.Party, by backend.Write) (Object[coordination.Lock], backend.Stamp, error) {
	return l.release(ctx, n, p, by, coordination.Lock.Release)
}

// Clear takes everybody out.
func (l Locks) Clear(ctx context.Context, n Name, by backend.Write) (Object[coordination.Lock], backend.Stamp, error) {
	return l.clear(ctx, n, by, coordination.Lock.Clear)
}

// Semaphores are all semaphores.
type Semaphores struct {
	*Objects[coordination.Semaphore]
}

// Acquire gives p permits, as [Locks.Acquire] gives a lock.
func (s Semaphores) Acquire(ctx context.Context, n Name, p coordination.Party, permits, limit int, wait time.Duration, by backend.Write) (Grant, backend.Stamp, error) {
	return s.acquire(ctx, &demand[coordination.Semaphore]{
		name: n, party: p, wait: wait, by: by,
		apply: func(x coordination.Semaphore, turn *coordination.Turn, ticket *coordination.Ticket) (coordination.Semaphore, error) {
			return x.Acquire(turn, p, permits, limit, ticket)
		},
		queue: func(x *coordination.Semaphore) queued { return x },
	})
}

// Release takes p out, whether it holds permits, waits for some, or neither.
func (s Semaphores) Release(ctx context.Context, n Name, p coordination.Party, by backend.Write) (Object[coordination.Semaphore], backend.Stamp, error) {
	return s.release(ctx, n, p, by, coordination.Semaphore.Release)
}

// Clear takes everybody out.
func (s Semaphores) Clear(ctx context.Context, n Name, by backend.Write) (Object[coordination.Semaphore], backend.Stamp, error) {
	return s.clear(ctx, n, by, coordination.Semaphore.Clear)
}

// clear is what an operator does.
func (o *Objects[T]) clear(ctx context.Context, n Name, by backend.Write, apply func(T, *coordination.Turn) T) (Object[T], backend.Stamp, error) {
	return o.make(ctx, &change[T]{name: n, by: by, once: true, apply: func(x T, turn *coordination.Turn) (T, error) {
		return apply(x, turn), nil
	}})
}
