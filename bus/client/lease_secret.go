package client

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/roostbus/roost/bus"
)

// Granted is a lease that nobody keeps alive yet.
type Granted struct {
	Secret string // to keep it alive, revoke it and act as Owner with
	Owner  string
	TTL    time.Duration
	Grace  time.Duration
}

// GrantLoose is [Client.Grant] of a lease that is bound neither to this client nor to its
// connection: it lives for its TTL and whoever knows its secret keeps it alive, in this
// process or in another, with [Client.KeepAlive] or [Client.Adopt]. A script has use for it.
func (c *Client) GrantLoose(ctx context.Context, o LeaseOptions) (Granted, error) {
	if o.Secret == "" {
		o.Secret = rand.Text()
	}
	r := &request{subject: c.subjects.LeaseGrant(), idempotent: true}
	reply, _, err := c.askGrant(ctx, r, o, bus.Connection{})
	if err != nil {
		return Granted{}, err
	}
	return Granted{
		Secret: o.Secret, Owner: reply.Owner,
		TTL: time.Duration(reply.TTLMs) * time.Millisecond, Grace: time.Duration(reply.GraceMs) * time.Millisecond,
	}, nil
}

// KeepAlive says once that the leases of secrets live, at most 1000 of them, and returns the
// owners of those that have ended or never were.
func (c *Client) KeepAlive(ctx context.Context, secrets ...string) (expired []string, err error) {
	body := bus.KeepaliveRequest{Leases: secrets}
	if err := body.Validate(); err != nil {
		return nil, err
	}
	r := &request{subject: c.subjects.LeaseKeepalive(), idempotent: true}
	a := c.send(ctx, r, Write{}, body)
	if a.err != nil {
		return nil, a.err
	}
	var reply bus.KeepalivesReply
	if err := decode(a.reply, &reply); err != nil {
		return nil, c.unread(r, err)
	}
	return reply.Expired, nil
}

// RevokeSecret ends the lease of secret with all that belongs to it, and returns how many
// registrations that were: 0 also where that is not known, because the reply was lost.
// ErrLeaseExpired if it had ended before, or never was.
func (c *Client) RevokeSecret(ctx context.Context, secret string) (removed int, err error) {
	body := bus.RevokeRequest{Lease: secret}
	if err := body.Validate(); err != nil {
		return 0, err
	}
	r := &request{subject: c.subjects.LeaseRevoke(), idempotent: true, gone: ErrLeaseExpired}
	a := c.send(ctx, r, Write{}, body)
	if a.err != nil || a.reply == nil {
		return 0, a.err
	}
	var reply bus.RevokeReply
	if err := decode(a.reply, &reply); err != nil {
		return 0, c.unread(r, err)
	}
	return reply.Removed, nil
}

// WithSecrets has the client act as the owners of leases that somebody else keeps alive:
// [Write].Owner is the [OwnerOf] one of secrets.
func WithSecrets(secrets ...string) Option {
	return optionFunc(func(o *options) { o.secrets = append(o.secrets, secrets...) })
}

// OwnerOf returns the public name of whoever knows secret. ErrInvalid.
func OwnerOf(secret string) (string, error) {
	if err := bus.ValidateSecret(secret); err != nil {
		return "", err
	}
	return bus.Owner(secret), nil
}

// ownersOf returns secrets by their owners.
func ownersOf(secrets []string) (map[string]string, error) {
	known := make(map[string]string, len(secrets))
	for _, secret := range secrets {
		owner, err := OwnerOf(secret)
		if err != nil {
			return nil, err
		}
		known[owner] = secret
	}
	return known, nil
}

// secret returns the secret of owner's lease, if this client may act as owner.
func (c *Client) secret(owner string) (string, bool) {
	if secret, held := c.leases.secret(owner); held {
		return secret, true
	}
	secret, known := c.known[owner]
	return secret, known
}
