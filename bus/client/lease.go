package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// ErrRevoked is why a lease has ended that was given up with [Lease.Revoke].
var ErrRevoked = errors.New("lease revoked")

// errUncertain is why a context of [Lease.Context] ends before the lease does.
var errUncertain = fmt.Errorf("%w: the lease was not confirmed in time and may have ended", backend.ErrUnavailable)

// LeaseOptions say what lease is wanted. The zero value asks for the registry's usual one.
type LeaseOptions struct {
	// TTL is how long the lease lives without a keepalive; 0 leaves it to the registry.
	TTL time.Duration

	// Grace is how long it lives after its connection was closed; nil leaves it to the
	// registry. With 0 it ends on the spot: for roles that must pass on in milliseconds.
	Grace *time.Duration

	// Name is for people.
	Name string

	// Secret is that of the lease: 22 to 64 characters of A-Z a-z 0-9 _ - with at least 128
	// random bits, never used before. "" has one made. The grant of a lease that lives
	// returns it, as it was granted first.
	Secret string
}

// Lease is how the registry knows that this process lives. What is written with its
// [Lease.Owner] ends with it. It is kept alive in the background until it has ended; see
// the package comment for what [Lease.Valid] is for.
type Lease struct {
	c             *Client
	secret, owner string
	ttl, grace    time.Duration
	done          chan struct{}

	// checks has an entry when the lease was confirmed over another connection or in
	// another epoch: what belongs to it may be gone.
	checks chan struct{}

	// What follows is guarded by c.leases.mu.

	acked time.Time      // when the newest acknowledged keepalive was sent
	conn  bus.Connection // over which
	heard uint64         // counts acknowledgements
	lost  time.Time      // when conn was lost; zero while it stands
	epoch backend.Epoch  // of the newest acknowledgement
	next  time.Time      // when it is to be kept alive
	told  bus.Connection // what the keeper of term was told
	term  uint64
	err   error // why it has ended
}

// Grant is granted a lease and keeps it alive until it has ended: until [Lease.Revoke],
// [Client.Close], or the registry says that it has. It waits for a keeper as a write waits
// for a registry. ErrInvalid, ErrLimitExceeded, ErrUnavailable; after ErrUnknownOutcome
// there may be a lease, which nobody holds and which ends by itself. ErrLeaseExpired if
// the lease with o.Secret has ended.
//
// A Client keeps all its leases alive with one message.
func (c *Client) Grant(ctx context.Context, o LeaseOptions) (*Lease, error) {
	if o.Secret != "" {
		return c.grant(ctx, o)
	}
	o.Secret = rand.Text()
	l, err := c.grant(ctx, o)
	if errors.Is(err, backend.ErrLeaseExpired) { // the reply was lost for longer than it lived
		o.Secret = rand.Text()
		return c.grant(ctx, o)
	}
	return l, err
}

// Adopt keeps alive a lease that was granted to somebody who knew secret, or returns the
// one that this client holds already. ErrLeaseExpired if it has ended or never was.
func (c *Client) Adopt(ctx context.Context, secret string) (*Lease, error) {
	if err := bus.ValidateSecret(secret); err != nil {
		return nil, err
	}
	r := &request{subject: c.subjects.LeaseKeepalive(), idempotent: true}
	if a := c.send(ctx, r, Write{}, bus.KeepaliveRequest{Lease: secret}); a.err != nil {
		return nil, a.err
	}
	// Now it lives. If it ends before it is granted again the grant fails; it cannot make
	// another one of that secret.
	return c.grant(ctx, LeaseOptions{Secret: secret})
}

func (c *Client) grant(ctx context.Context, o LeaseOptions) (*Lease, error) {
	conn, _ := c.whereabouts()
	r := &request{subject: c.subjects.LeaseGrant(), idempotent: true}
	reply, a, err := c.askGrant(ctx, r, o, conn)
	if err != nil {
		return nil, err
	}
	l := &Lease{
		c: c, secret: o.Secret, owner: bus.Owner(o.Secret),
		ttl:    time.Duration(reply.TTLMs) * time.Millisecond,
		grace:  time.Duration(reply.GraceMs) * time.Millisecond,
		done:   make(chan struct{}),
		checks: make(chan struct{}, 1),
		acked:  a.sent, conn: conn, told: conn, term: reply.Term, epoch: a.stamp.Epoch,
		next: a.sent.Add(jittered(time.Duration(reply.TTLMs) * time.Millisecond / 3)),
	}
	if now, _ := c.whereabouts(); now != conn {
		// The keeper was told of a connection that was lost meanwhile, and may have heard so.
		l.lost, l.next = time.Now(), time.Now()
	}
	return c.hold(ctx, l)
}

// askGrant asks for the lease of o.Secret, bound to conn unless that is none.
func (c *Client) askGrant(ctx context.Context, r *request, o LeaseOptions, conn bus.Connection) (reply bus.GrantReply, a attempt, err error) {
	body := bus.GrantRequest{Lease: o.Secret, Name: o.Name, Connection: told(conn)}
	if o.TTL != 0 {
		body.TTLMs = new(o.TTL.Milliseconds())
	}
	if o.Grace != nil {
		body.GraceMs = new(o.Grace.Milliseconds())
	}
	if err := body.Validate(); err != nil {
		return reply, a, err
	}
	if a = c.send(ctx, r, Write{}, body); a.err != nil {
		return reply, a, a.err
	}
	if err := decode(a.reply, &reply); err != nil {
		return reply, a, c.unread(r, err)
	}
	if reply.TTLMs <= 0 {
		return reply, a, c.unread(r, errors.New("it grants no time"))
	}
	return reply, a, nil
}

// Owner is the public name of the lease, to be used in [Write].Owner with this client.
func (l *Lease) Owner() string { return l.owner }

// Secret is what whoever knows it keeps alive, revokes, and acts as Owner with.
func (l *Lease) Secret() string { return l.secret }

// TTL is how long the lease lives without a keepalive.
func (l *Lease) TTL() time.Duration { return l.ttl }

// Grace is how long it lives after its connection was closed.
func (l *Lease) Grace() time.Duration { return l.grace }

// Done is closed when the lease has ended for certain; [Lease.Err] then says why. A lease
// that could not be kept alive for longer than its TTL is not Done before the registry has
// said so, because an outage of the registry ends no lease.
func (l *Lease) Done() <-chan struct{} { return l.done }

// Err returns nil before Done is closed, and then ErrLeaseExpired, [ErrRevoked], or
// ErrClosed: nobody keeps it alive any more, because the client or its connection was
// closed.
func (l *Lease) Err() error {
	k := &l.c.leases
	k.mu.Lock()
	defer k.mu.Unlock()
	return l.err
}

// Revoke gives the lease up. From the call on it is not kept alive, not Valid, and Done.
// When Revoke returns nil, also for one that has ended before, nothing of it is there any
// more. After an error it ends by itself within its TTL, or Revoke may be called again.
func (l *Lease) Revoke(ctx context.Context) error {
	switch err := l.c.leases.end(l, ErrRevoked); {
	case errors.Is(err, backend.ErrLeaseExpired):
		return nil
	case err != nil && !errors.Is(err, ErrRevoked):
		return err
	}
	r := &request{subject: l.c.subjects.LeaseRevoke(), idempotent: true}
	a := l.c.send(ctx, r, Write{}, bus.RevokeRequest{Lease: l.secret})
	if errors.Is(a.err, backend.ErrLeaseExpired) {
		return nil
	}
	return a.err
}
