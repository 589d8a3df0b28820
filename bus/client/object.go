package client

import (
	"cmp"
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// object is something that programs coordinate through.
type object struct {
	c    *Client
	kind bus.Kind
	name bus.Object
}

func (c *Client) object(kind bus.Kind, namespace, name string) object {
	return object{c, kind, bus.Object{Namespace: namespace, Name: name}}
}

func (o *object) subject(v bus.Verb) string { return o.c.subjects.OfObject(o.kind, v, o.name) }

// String returns "<kind> <namespace>.<name>", the names as they are in subjects.
func (o *object) String() string { return string(o.kind) + " " + o.name.String() }

// secretOf returns what shows that this client may act as owner.
func (o *object) secretOf(owner string) (string, error) {
	if err := o.name.Validate(); err != nil {
		return "", err
	}
	secret, held := o.c.secret(owner)
	if !held {
		return "", fmt.Errorf("%s: owner %q: %w: this client holds no such lease", o, owner, backend.ErrLeaseExpired)
	}
	return secret, nil
}

// get reads the record into body, as new as read says: linearizable unless it says
// otherwise.
func (o *object) get(ctx context.Context, read Read, body func(bus.Freshness) any, into any) (Stamp, error) {
	if err := cmp.Or(o.name.Validate(), read.Validate()); err != nil {
		return Stamp{}, err
	}
	r := &request{subject: o.subject(bus.VerbGet)}
	reply, stamp, err := o.c.ask(ctx, r, read, body)
	if err != nil {
		return stamp, err
	}
	if err := decode(reply, into); err != nil {
		return Stamp{}, o.c.garbled(r, err)
	}
	return stamp, nil
}

// do makes a change that may be made any number of times, and reads the reply into into
// unless that is nil.
func (o *object) do(ctx context.Context, owner string, verb bus.Verb, body func(secret string) any, into any) error {
	secret, err := o.secretOf(owner)
	if err != nil {
		return err
	}
	r := &request{subject: o.subject(verb), idempotent: true}
	a := o.c.send(ctx, r, Write{}, body(secret))
	if a.err != nil {
		o.c.doubt(owner, a.err)
		return a.err
	}
	if into == nil {
		return nil
	}
	if err := decode(a.reply, into); err != nil {
		return o.c.unread(r, err)
	}
	return nil
}

// plainly is the body of a read that says nothing but how new its answer must be.
func plainly(f bus.Freshness) any { return bus.ObjectRequest{Freshness: f} }

// reply reads the reply to a vigil.
func (o *object) reply(verb bus.Verb, m *nats.Msg, into any) error {
	if err := decode(m, into); err != nil {
		return o.c.unread(&request{subject: o.subject(verb)}, err)
	}
	return nil
}
