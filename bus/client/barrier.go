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

// Barrier has parties wait for each other: when as many have come as it is for, all are
// released together, and the next generation begins. Once for each generation.
type Barrier struct {
	object
	size int
}

// Barrier returns the barrier of that name for size parties. It asks nobody.
func (c *Client) Barrier(namespace, name string, size int) *Barrier {
	return &Barrier{c.object(bus.KindBarrier, namespace, name), size}
}

// ArriveOptions say how a party arrives. The zero value is a new party of the present
// generation that waits as long as that takes.
type ArriveOptions struct {
	// Holder tells several parties of one lease apart, in at most 64 characters. "" is a new
	// one for each arrival.
	Holder string

	// Generation is the one that is meant, from 1; 0 is the present one. An arrival in one
	// that was released is told so at once, and changes nothing: who counts generations can
	// arrive again whatever has happened, and is never taken for a party of the next.
	Generation uint64

	// Wait is how long is waited; 0 as long as the context goes on.
	Wait time.Duration
}

// BarrierRecord is what the registry knows of a barrier.
type BarrierRecord struct {
	Generation uint64 // the present one, from 1
	Size       int    // 0 while nobody waits
	Parties    []Party
}

// Get returns who waits at the barrier.
func (b *Barrier) Get(ctx context.Context, read Read) (BarrierRecord, Stamp, error) {
	var body bus.BarrierRecord
	stamp, err := b.get(ctx, read, plainly, &body)
	record := BarrierRecord{Generation: body.Done + 1, Size: body.Size}
	for i := range body.Parties {
		record.Parties = append(record.Parties, partyOf(&body.Parties[i]))
	}
	return record, stamp, err
}

// Arrive arrives at the barrier with lease and returns, when the generation is released,
// its number. It goes on waiting whatever becomes of the registry and of NATS. A party
// whose lease ends does not count any more, and neither does one whose Arrive returned an
// error: that is seen to in the background.
//
// ErrTimeout when o.Wait has passed; ErrConflict where others wait with another size, or
// o.Generation is none yet; an error of the lease when that has ended.
//
// Without o.Generation there must be no more parties than the size. A further one, which
// comes as a generation is released and whose reply is lost, cannot tell whether it was one
// of it, and is told that it was.
func (b *Barrier) Arrive(ctx context.Context, lease *Lease, o ArriveOptions) (generation uint64, err error) {
	secret, err := b.secretOf(lease.Owner())
	if err != nil {
		return 0, err
	}
	if o.Wait < 0 {
		return 0, backend.Invalid("wait", "%v must not be negative", o.Wait)
	}
	if o.Holder == "" {
		o.Holder = rand.Text()
	}
	p := &party{b: b, user: bus.User{Lease: secret, Holder: o.Holder}, lease: lease, generation: o.Generation}
	if err := b.c.partings.wait(ctx, p.id()); err != nil {
		return 0, fmt.Errorf("%s: %w: %w", b, backend.ErrUnavailable, err)
	}
	return p.arrive(ctx, o.Wait)
}

// party is one that arrives.
type party struct {
	b          *Barrier
	user       bus.User
	lease      *Lease
	generation uint64 // 0 while it is not known
}

func (p *party) id() string { return p.b.String() + " " + p.lease.Owner() + " " + p.user.Holder }

func (p *party) arrive(ctx context.Context, wait time.Duration) (uint64, error) {
	b := p.b
	var begun uint64 // the generation before p has come
	if p.generation == 0 {
		record, _, err := b.Get(ctx, Read{Consistency: backend.Linearizable})
		if err != nil {
			return 0, err
		}
		begun = record.Generation
	}
	v := &vigil{
		subject: b.subject(bus.VerbArrive), owner: p.lease.Owner(), lease: p.lease, wait: wait,
		body: func(waitMs *int64) any {
			return bus.ArriveRequest{User: p.user, Size: b.size, Generation: p.generation, Waiting: bus.Waiting{WaitMs: waitMs}}
		},
	}
	if p.generation == 0 {
		v.again = func(ctx context.Context) { p.find(ctx, begun) }
	}
	a := b.c.keepVigil(ctx, v)
	var reply bus.ArriveReply
	err := a.err
	if err == nil {
		err = b.reply(bus.VerbArrive, a.reply, &reply)
	}
	if err == nil && !reply.Released {
		err = b.c.unread(&request{subject: v.subject}, errors.New("it was answered before it was released"))
	}
	if err != nil {
		if v.lost || !definite(err) {
			p.withdraw(ctx, max(p.generation, begun))
		}
		return 0, err
	}
	return reply.Generation, nil
}

// find finds out which generation p has come in, if it has: the reply was lost. Where p is
// not among those who wait, the generation that was there before p is either still there,
// and p has not come, or was released, and p with it.
func (p *party) find(ctx context.Context, begun uint64) {
	if p.generation != 0 {
		return
	}
	record, _, err := p.b.Get(ctx, Read{Consistency: backend.Linearizable})
	if err != nil {
		return // what follows fails as well, and this is tried again
	}
	for _, here := range record.Parties {
		if here.Owner == p.lease.Owner() && here.Holder == p.user.Holder {
			p.generation = record.Generation
			return
		}
	}
	if record.Generation > begun {
		p.generation = begun
	}
}

// withdraw has p taken out, in the background, if it still waits in that generation: to
// arrive and not to wait is not to have come.
func (p *party) withdraw(ctx context.Context, generation uint64) {
	c := p.b.c
	body := bus.ArriveRequest{User: p.user, Size: p.b.size, Generation: generation}
	c.background(context.WithoutCancel(ctx), p.id(), func(ctx context.Context) {
		leave := func() error { return c.insist(ctx, p.lease.Owner(), p.b.subject(bus.VerbArrive), body) }
		if err := leave(); !errors.Is(err, backend.ErrLeaseExpired) && sleep(ctx, lateness) {
			_ = leave()
		}
	})
}
