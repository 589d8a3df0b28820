package client

import (
	"cmp"
	"context"
	"time"

	"github.com/roostbus/roost/bus"
)

// Semaphore has permits that are given to several at once, up to a limit, in the order of
// coming: one that waits for many holds back those who want few. Its permits are held with
// leases, and certain as little as a [Lock] is: those who are given some in one transition
// share a token, and a resource that refuses tokens lower than it has seen refuses, of a
// semaphore, whoever was given permits before others and still rightly holds them. So what
// a semaphore protects is a number that must not be passed by much, like connections to a
// database, and not its consistency.
type Semaphore struct {
	object
	limit int
}

// Semaphore returns the semaphore of that name with limit permits. The first who acquires
// some fixes the limit until nobody holds any or waits. It asks nobody.
func (c *Client) Semaphore(namespace, name string, limit int) *Semaphore {
	return &Semaphore{c.object(bus.KindSemaphore, namespace, name), limit}
}

// SemaphoreOptions say which permits are wanted. The zero value is one, by a new holder,
// however long that takes.
type SemaphoreOptions struct {
	Permits int           // 0 is 1
	Holder  string        // as in LockOptions
	Wait    time.Duration // as in LockOptions
}

func (s *Semaphore) want(o SemaphoreOptions) func(bus.User, bus.Waiting) any {
	permits := cmp.Or(o.Permits, 1)
	return func(u bus.User, w bus.Waiting) any {
		return bus.SemaphoreRequest{User: u, Permits: &permits, Limit: s.limit, Waiting: w}
	}
}

// Acquire acquires permits with lease, as [Lock.Lock] does a lock. ErrInvalid where more
// are wanted than there are, ErrConflict where the limit is another.
func (s *Semaphore) Acquire(ctx context.Context, lease *Lease, o SemaphoreOptions) (*Hold, error) {
	cl := s.claimed(o.Holder, s.want(o))
	return cl.hold(ctx, lease, true, o.Wait)
}

// TryAcquire acquires permits if that needs no waiting. ErrTimeout if it does.
func (s *Semaphore) TryAcquire(ctx context.Context, lease *Lease, o SemaphoreOptions) (*Hold, error) {
	cl := s.claimed(o.Holder, s.want(o))
	return cl.hold(ctx, lease, false, 0)
}

// Do is to a semaphore what [Lock.Do] is to a lock.
func (s *Semaphore) Do(ctx context.Context, lease *Lease, o SemaphoreOptions, f func(ctx context.Context, token Token) error) error {
	h, err := s.Acquire(ctx, lease, o)
	if err != nil {
		return err
	}
	return h.run(ctx, f)
}

// AcquireAs is to a semaphore what [Lock.AcquireAs] is to a lock.
func (s *Semaphore) AcquireAs(ctx context.Context, owner string, o SemaphoreOptions) (Token, error) {
	cl := claim{s.object, o.Holder, s.want(o)}
	token, _, err := cl.acquire(ctx, owner, nil, o.Wait > 0, o.Wait)
	return token, err
}

// ReleaseAs is to a semaphore what [Lock.ReleaseAs] is to a lock.
func (s *Semaphore) ReleaseAs(ctx context.Context, owner, holder string) error {
	cl := claim{object: s.object, holder: holder}
	return cl.release(ctx, owner)
}

// Get returns who holds permits and who waits for some.
func (s *Semaphore) Get(ctx context.Context, read Read) (Queue, Stamp, error) {
	return s.queue(ctx, read)
}
