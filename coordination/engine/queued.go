package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
)

// Grant is what somebody holds.
type Grant struct {
	Token coordination.Token
}

// queued is a record that is a queue.
type queued interface {
	Held(coordination.Party) (coordination.Token, bool)
	TicketOf(coordination.Party) (coordination.Ticket, bool)
	// Taken reports whether whoever comes has to wait.
	Taken() bool
}

// demand is what somebody asks of a queue.
type demand[T any] struct {
	name  Name
	party coordination.Party
	wait  time.Duration
	by    backend.Write

	apply func(x T, turn *coordination.Turn, ticket *coordination.Ticket) (T, error)
	queue func(*T) queued
}

// acquire returns what d asks for as soon as it is granted.
func (o *Objects[T]) acquire(ctx context.Context, d *demand[T]) (Grant, backend.Stamp, error) {
	if err := validate(d.party, d.wait); err != nil {
		return Grant{}, backend.Stamp{}, err
	}
	until, stampOf := time.Now().Add(d.wait), o.stamps()
	var ticket *coordination.Ticket
	if d.wait > 0 {
		t := o.ticket()
		ticket = &t
	}
	c := &change[T]{name: d.name, by: d.by, apply: func(x T, turn *coordination.Turn) (T, error) {
		return d.apply(x, turn, ticket)
	}}
	if ticket != nil {
		c.queues = func(x *T) bool { return d.queue(x).Taken() }
	}
	s, _, err := o.do(ctx, c)
	if err != nil {
		if ticket != nil && errors.Is(err, backend.ErrUnknownOutcome) {
			o.abandon(d.name, *ticket)
		}
		return Grant{}, stampOf(s), err
	}
	if grant, ok, err := o.granted(ctx, d, s); ok {
		return grant, stampOf(s), err
	}
	if ticket == nil {
		return Grant{}, stampOf(s), fmt.Errorf("%w: it is not to be had now", backend.ErrTimeout)
	}
	entry := ticket.ID
	if t, ok := d.queue(&s.value).TicketOf(d.party); ok {
		entry = t.ID // that of an earlier request
	}
	waited, err := o.await(ctx, &waiting[T]{
		name: d.name, owner: d.party.Owner, entry: entry, from: s.revision, until: until,
		stands: func(x *T) (string, bool) {
			q := d.queue(x)
			_, held := q.Held(d.party)
			t, _ := q.TicketOf(d.party)
			return t.ID, held
		},
	})
	s, grant, err := o.over(ctx, d, *ticket, waited, err)
	return grant, stampOf(s), err
}

// granted returns what s gives to who asks, if it does.
func (o *Objects[T]) granted(ctx context.Context, d *demand[T], s *state[T]) (Grant, bool, error) {
	token, ok := d.queue(&s.value).Held(d.party)
	if !ok {
		return Grant{}, false, nil
	}
	if err := o.certain(ctx, d.party.Owner, s); err != nil {
		return Grant{}, true, err
	}
	return Grant{Token: token}, true, nil
}

// over ends a wait that ended with s and why, and returns the state that decides it. ctx may
// be done.
func (o *Objects[T]) over(ctx context.Context, d *demand[T], ticket coordination.Ticket, s *state[T], why error) (*state[T], Grant, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
	defer cancel()
	switch {
	case why == nil:
	case errors.Is(why, backend.ErrLeaseExpired), errors.Is(why, backend.ErrUnavailable):
		return s, Grant{}, why
	default:
		var err error
		if s, err = o.giveUp(ctx, d.name, ticket); err != nil {
			return s, Grant{}, err
		}
	}
	grant, ok, err := o.granted(ctx, d, s)
	switch {
	case ok:
	case errors.Is(why, errOver):
		err = fmt.Errorf("%w: it was not to be had in %v", backend.ErrTimeout, d.wait.Round(time.Millisecond))
	default:
		err = unavailable(why)
	}
	return s, grant, err
}

// abandon has Run take a request out that may be in the queue.
func (o *Objects[T]) abandon(n Name, t coordination.Ticket) {
	key := o.key(n)
	o.left.add(key, t)
	o.mirror.changed(key)
}

// release takes somebody out of a queue.
func (o *Objects[T]) release(ctx context.Context, n Name, p coordination.Party, by backend.Write, apply func(T, *coordination.Turn, coordination.Party) T) (Object[T], backend.Stamp, error) {
	if err := validate(p, 0); err != nil {
		return Object[T]{}, backend.Stamp{}, err
	}
	return o.make(ctx, &change[T]{name: n, by: by, once: true, apply: func(x T, turn *coordination.Turn) (T, error) {
		return apply(x, turn, p), nil
	}})
}

// make has c made and returns what it has left.
func (o *Objects[T]) make(ctx context.Context, c *change[T]) (Object[T], backend.Stamp, error) {
	stampOf := o.stamps()
	s, wrote, err := o.do(ctx, c)
	if err != nil {
		return Object[T]{}, stampOf(s), err
	}
	s = s.all()
	if err := o.tail.Wait(ctx, s.revision); err != nil { // without it nobody can tell who has ended
		if wrote {
			return Object[T]{}, stampOf(s), unknown(err)
		}
		return Object[T]{}, stampOf(s), unavailable(err)
	}
	return o.object(c.name, s), stampOf(s), nil
}

func validate(p coordination.Party, wait time.Duration) error {
	if p.Owner == "" {
		return backend.Invalid("lease", "must not be empty")
	}
	if err := p.Validate(); err != nil {
		return err
	}
	return backend.Read{Wait: wait}.Validate()
}
