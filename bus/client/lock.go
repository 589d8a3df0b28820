package client

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Mode is how a lock is held.
type Mode string

// The modes of a lock.
const (
	Exclusive Mode = bus.ModeExclusive // by one alone
	Shared    Mode = bus.ModeShared    // beside others who share it
)

// Lock is a lock of the registry's, under which programs on many machines exclude each
// other. Who comes first has it first; one who waits for it exclusively holds back those
// who come later to share it.
//
// What it is held with is a lease: when that ends, so does the hold. What is done under a
// lock is never certain to be done by one alone, because whoever holds it may be stopped,
// or be cut off, while it acts; see [Token], which what is acted upon must check.
type Lock struct{ object }

// Lock returns the lock of that name. It asks nobody.
func (c *Client) Lock(namespace, name string) *Lock {
	return &Lock{c.object(bus.KindLock, namespace, name)}
}

// LockOptions say how a lock is wanted. The zero value is exclusively, by a new holder,
// however long that takes.
type LockOptions struct {
	// Mode is Exclusive unless it is said.
	Mode Mode

	// Holder tells several users of one lease apart, in at most 64 characters. "" is a new
	// one for each acquire. The same Holder acquires the same lock again and again, and
	// releases it once: what it holds it keeps, with its token.
	Holder string

	// Wait is how long it is waited for; 0 as long as the context goes on.
	Wait time.Duration
}

func (o LockOptions) want(u bus.User, w bus.Waiting) any {
	return bus.LockRequest{User: u, Mode: string(cmp.Or(o.Mode, Exclusive)), Waiting: w}
}

// Lock acquires the lock with lease, when it is its turn. It goes on waiting whatever
// becomes of the registry and of NATS, and keeps its place in the queue unless the node
// that it waits at has died for longer than some seconds.
//
// ErrTimeout when o.Wait has passed; ErrLeaseExpired, [ErrRevoked] or ErrClosed when the
// lease has ended; ErrConflict where o.Holder has the lock in another mode;
// ErrLimitExceeded where too many wait. After an error nothing is held and nobody waits, or
// that is seen to in the background, until the lease has ended.
func (l *Lock) Lock(ctx context.Context, lease *Lease, o LockOptions) (*Hold, error) {
	cl := l.claimed(o.Holder, o.want)
	return cl.hold(ctx, lease, true, o.Wait)
}

// TryLock acquires the lock if that needs no waiting. ErrTimeout if it does.
func (l *Lock) TryLock(ctx context.Context, lease *Lease, o LockOptions) (*Hold, error) {
	cl := l.claimed(o.Holder, o.want)
	return cl.hold(ctx, lease, false, 0)
}

func (cl *claim) hold(ctx context.Context, lease *Lease, waits bool, wait time.Duration) (*Hold, error) {
	if wait < 0 {
		return nil, backend.Invalid("wait", "%v must not be negative", wait)
	}
	token, lost, err := cl.acquire(ctx, lease.Owner(), lease, waits, wait)
	if err != nil {
		return nil, err
	}
	return newHold(*cl, lease, token, lost), nil
}

// Do acquires the lock as [Lock.Lock] does, runs f, and releases it. f's context ends when
// the lock is not certainly held any more: f must then stop, because another holder may
// follow. f shows the token to what it acts upon.
//
// Do returns what f returns, or, where f returned nil although the lock had not certainly
// been held until then, an error that says so: what f did may have been refused, or have
// happened beside another holder if nothing checks tokens.
func (l *Lock) Do(ctx context.Context, lease *Lease, o LockOptions, f func(ctx context.Context, token Token) error) error {
	h, err := l.Lock(ctx, lease, o)
	if err != nil {
		return err
	}
	return h.run(ctx, f)
}

// AcquireAs is [Lock.Lock], or with no wait [Lock.TryLock], for the owner of a lease that
// somebody else keeps alive; see [WithSecrets]. What it acquires is held by o.Holder, which
// may be "" here, until [Lock.ReleaseAs].
func (l *Lock) AcquireAs(ctx context.Context, owner string, o LockOptions) (Token, error) {
	cl := claim{l.object, o.Holder, o.want}
	token, _, err := cl.acquire(ctx, owner, nil, o.Wait > 0, o.Wait)
	return token, err
}

// ReleaseAs releases what owner holds or waits for as holder. One who does neither changes
// nothing.
func (l *Lock) ReleaseAs(ctx context.Context, owner, holder string) error {
	cl := claim{object: l.object, holder: holder}
	return cl.release(ctx, owner)
}

// Holding is what somebody has of a lock or of a semaphore.
type Holding struct {
	Party
	Token Token
}

// Party is who has something, or waits for it, and of what.
type Party struct {
	Owner   string
	Holder  string
	Mode    Mode // of a lock
	Permits int  // of a semaphore
}

func partyOf(p *bus.ObjectParty) Party {
	return Party{Owner: p.Owner, Holder: p.Holder, Mode: Mode(p.Mode), Permits: p.Permits}
}

// Queue is who has a lock or permits of a semaphore, and who waits.
type Queue struct {
	Token   Token // the newest that was given
	Holders []Holding
	Waiters []Party // in the order of their turns
	Limit   int     // of a semaphore; 0 while nobody has permits or waits
}

// queue reads the record of a lock or a semaphore.
func (o *object) queue(ctx context.Context, read Read) (Queue, Stamp, error) {
	var record bus.QueueRecord
	stamp, err := o.get(ctx, read, plainly, &record)
	q := Queue{Token: Token(record.Token), Limit: record.Limit}
	for i := range record.Holders {
		h := &record.Holders[i]
		q.Holders = append(q.Holders, Holding{partyOf(h), Token(h.Token)})
	}
	for i := range record.Waiters {
		q.Waiters = append(q.Waiters, partyOf(&record.Waiters[i]))
	}
	return q, stamp, err
}

// Get returns who holds the lock and who waits for it. A lock that nobody holds is there
// as well. The answer may be old when it arrives: it says nothing of whether the caller may
// act.
func (l *Lock) Get(ctx context.Context, read Read) (Queue, Stamp, error) { return l.queue(ctx, read) }

// lostWhile is why what lease was for may have been lost.
func lostWhile(lease *Lease) error {
	if err := lease.Err(); err != nil {
		return fmt.Errorf("its lease: %w", err)
	}
	return errUncertain
}
