package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// lateness is how long after a release a second one follows where an acquire may still be
// on its way, which would take hold for nobody.
const lateness = 5 * time.Second

// claim is what somebody wants of a lock or a semaphore.
type claim struct {
	object
	holder string
	want   func(bus.User, bus.Waiting) any // the body of an acquire
}

// claimed returns a claim by holder, or by one that nobody else has where that is "".
func (o *object) claimed(holder string, want func(bus.User, bus.Waiting) any) claim {
	if holder == "" {
		holder = rand.Text()
	}
	return claim{*o, holder, want}
}

// acquire waits for what cl wants, for wait, or with 0 as long as ctx goes on, and without
// waits not at all. lost says that some sending may still be on its way.
func (cl *claim) acquire(ctx context.Context, owner string, lease *Lease, waits bool, wait time.Duration) (token Token, lost bool, err error) {
	secret, err := cl.secretOf(owner)
	if err != nil {
		return "", false, err
	}
	if err := cl.c.partings.wait(ctx, cl.id(owner)); err != nil {
		return "", false, fmt.Errorf("%s: %w: %w", cl, backend.ErrUnavailable, err)
	}
	user := bus.User{Lease: secret, Holder: cl.holder}
	var a attempt
	if waits {
		v := &vigil{
			subject: cl.subject(bus.VerbAcquire), owner: owner, lease: lease, wait: wait,
			body: func(waitMs *int64) any { return cl.want(user, bus.Waiting{WaitMs: waitMs}) },
		}
		a = cl.c.keepVigil(ctx, v)
		lost = v.lost
	} else {
		a = cl.c.send(ctx, &request{subject: cl.subject(bus.VerbAcquire), idempotent: true}, Write{}, cl.want(user, bus.Waiting{}))
		cl.c.doubt(owner, a.err)
		lost = errors.Is(a.err, backend.ErrUnknownOutcome)
	}
	var reply bus.HeldReply
	if err = a.err; err == nil {
		err = cl.reply(bus.VerbAcquire, a.reply, &reply)
	}
	if err != nil && (lost || !definite(err)) {
		cl.letGo(ctx, owner, user, true)
	}
	return Token(reply.Token), lost, err
}

// release releases what owner holds or waits for as cl's holder.
func (cl *claim) release(ctx context.Context, owner string) error {
	return cl.do(ctx, owner, bus.VerbRelease, func(secret string) any {
		return bus.ReleaseRequest{User: bus.User{Lease: secret, Holder: cl.holder}}
	}, nil)
}

// id says whose claim of what it is.
func (cl *claim) id(owner string) string { return cl.String() + " " + owner + " " + cl.holder }

// letGo has released in the background what owner, who is user, holds or waits for, as
// often as it takes, until the client is closed or the lease has ended. Another acquire of
// the same holder waits for it. late says that an acquire may still be on its way.
func (cl *claim) letGo(ctx context.Context, owner string, user bus.User, late bool) {
	c := cl.c
	body := bus.ReleaseRequest{User: user}
	c.background(context.WithoutCancel(ctx), cl.id(owner), func(ctx context.Context) {
		release := func() error { return c.insist(ctx, owner, cl.subject(bus.VerbRelease), body) }
		if release() == nil && late && sleep(ctx, lateness) {
			_ = release()
		}
	})
}

// insist sends for owner what may be done any number of times until there is a definite answer, and
// returns what that is, or until ctx is over.
func (c *Client) insist(ctx context.Context, owner, subject string, body any) error {
	var again schedule
	var trouble complaint
	for {
		r := &request{subject: subject, idempotent: true}
		a := c.send(ctx, r, Write{}, body)
		if a.err == nil || ctx.Err() != nil || definite(a.err) && !transient(a.err) {
			return a.err
		}
		trouble.about(ctx, c.log, "not given up yet", slog.String("subject", subject), slog.String("owner", owner), slog.Any("err", a.err))
		again.again()
		sleep(ctx, time.Until(again.at))
	}
}
