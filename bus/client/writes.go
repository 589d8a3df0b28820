package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Register implements backend.Backend. The wire has no reason for a register: w.Reason
// must be empty.
func (c *Client) Register(ctx context.Context, r Registration, w Write) (Registration, Stamp, error) {
	r = r.Normalize()
	if err := r.Validate(); err != nil {
		return Registration{}, Stamp{}, err
	}
	guard, err := c.guardOf(w, bus.VerbRegister)
	if err != nil {
		return Registration{}, Stamp{}, err
	}
	req := &request{subject: c.subjects.OfKey(bus.VerbRegister, r.Key), key: r.Key, ofKey: true}
	return c.change(ctx, req, w, bus.RegisterRequest{Content: bus.ContentOf(&r), Guard: guard})
}

// Update implements backend.Backend. The wire has no reason for an update: w.Reason must
// be empty.
func (c *Client) Update(ctx context.Context, key Key, change Change, w Write) (Registration, Stamp, error) {
	if err := key.Validate(); err != nil {
		return Registration{}, Stamp{}, err
	}
	if err := change.Validate(); err != nil {
		return Registration{}, Stamp{}, err
	}
	guard, err := c.guardOf(w, bus.VerbUpdate)
	if err != nil {
		return Registration{}, Stamp{}, err
	}
	req := &request{subject: c.subjects.OfKey(bus.VerbUpdate, key), key: key, ofKey: true}
	return c.change(ctx, req, w, bus.UpdateRequest{Content: bus.ContentOfChange(change), Guard: guard})
}

func (c *Client) change(ctx context.Context, r *request, w Write, body any) (Registration, Stamp, error) {
	a := c.send(ctx, r, w, body)
	if a.err != nil {
		c.doubt(w.Owner, a.err)
		return Registration{}, a.stamp, a.err
	}
	made, err := backend.ParseRegistration(a.reply.Data)
	if err != nil {
		return Registration{}, Stamp{}, c.unread(r, err)
	}
	return made, a.stamp, nil
}

// Unregister implements backend.Backend. With w.Force it is the operator's, which the
// server allows to operators.
func (c *Client) Unregister(ctx context.Context, key Key, w Write) (Removal, Stamp, error) {
	if err := key.Validate(); err != nil {
		return Removal{}, Stamp{}, err
	}
	guard, err := c.guardOf(w, bus.VerbUnregister)
	if err != nil {
		return Removal{}, Stamp{}, err
	}
	r := &request{subject: c.subjects.OfKey(bus.VerbUnregister, key), key: key, ofKey: true}
	if w.Force {
		r.subject = c.subjects.AdminUnregister(key)
	}
	a := c.send(ctx, r, w, bus.UnregisterRequest{Guard: guard, Reason: w.Reason})
	if a.err != nil {
		c.doubt(w.Owner, a.err)
		return Removal{}, a.stamp, a.err
	}
	var body bus.UnregisterReply
	if err := decode(a.reply, &body); err != nil {
		return Removal{}, Stamp{}, c.unread(r, err)
	}
	return Removal{Removed: body.Removed, Revision: body.Revision}, a.stamp, nil
}

// guardOf checks w and returns what of it travels in the body: of an owner the secret of
// its lease, which this client holds.
func (c *Client) guardOf(w Write, verb bus.Verb) (bus.Guard, error) {
	if err := w.Validate(); err != nil {
		return bus.Guard{}, err
	}
	if verb != bus.VerbUnregister {
		switch {
		case w.Reason != "":
			return bus.Guard{}, backend.Invalid("reason", "belongs to unregister")
		case w.Force:
			return bus.Guard{}, backend.Invalid("force", "belongs to unregister")
		}
	}
	if w.Owner == "" {
		return bus.GuardOf("", w.If), nil
	}
	secret, held := c.secret(w.Owner)
	if !held {
		return bus.Guard{}, fmt.Errorf("owner %q: %w: this client holds no such lease", w.Owner, backend.ErrLeaseExpired)
	}
	return bus.GuardOf(secret, w.If), nil
}

// doubt has the keeper asked about the lease of a write that was refused because it has
// ended.
func (c *Client) doubt(owner string, err error) {
	if errors.Is(err, backend.ErrLeaseExpired) {
		c.leases.doubt(owner)
	}
}

// send makes a write: one request id however often it is sent, and the epoch and
// revision known when it was first sent.
//
// The epoch that the client knows is sent along only with a revision that belongs to it:
// it may be an old one, and must not fail a write that asks for a free name.
func (c *Client) send(ctx context.Context, r *request, w Write, body any) attempt {
	ctx, end, err := c.begin(ctx, c.writeTimeout)
	if err != nil {
		return attempt{err: fmt.Errorf("%s: %w", c.what(r), err)}
	}
	defer end()
	if r.body, err = encode(body); err != nil {
		return attempt{err: err}
	}
	if r.id = w.ID.String(); r.id == "" {
		r.id = rand.Text()
	}
	now := c.seen.now()
	revision, _ := w.If.Revision()
	r.epoch, r.anyEpoch = w.Epoch, w.Epoch == 0 && revision == 0
	if r.epoch == 0 {
		r.epoch = now.epoch
	}
	if r.epoch == now.epoch {
		r.known = now.known
	}
	return c.write(ctx, r)
}

// date has a sending of r, none of which may have been executed yet, say what this client
// knows: it may be held up on its way, be repeated and done, and arrive when others have
// changed the key since. A condition that names a revision guards against that by itself,
// and who knows nothing yet says nothing.
func (c *Client) date(r *request) {
	now := c.seen.now()
	if r.ofEpoch {
		r.epoch = now.epoch
	}
	if r.dated = r.ofKey && r.anyEpoch && now.known > 0; r.dated {
		r.epoch, r.known = now.epoch, now.known
	}
}

// unread is the error of a write that was done and whose reply cannot be read.
func (c *Client) unread(r *request, err error) error {
	return hide(c.what(r)+": the reply cannot be read", backend.ErrUnknownOutcome, err)
}
