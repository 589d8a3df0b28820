package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

var (
	// ErrResigned is why a leadership is over that was given up with [Leadership.Resign].
	ErrResigned = errors.New("resigned")

	// ErrSuperseded is why a leadership is over whose term is: somebody else leads, or
	// nobody.
	ErrSuperseded = errors.New("another term has begun")
)

// CampaignOptions say how a candidate stands.
type CampaignOptions struct {
	// Value is what it says about itself, any JSON of at most 4 KiB: where it is reached,
	// for example. [Election.Observe] shows it.
	Value json.RawMessage

	// Priority puts it before those who have less. It pushes nobody out who leads already.
	Priority int32
}

// Campaign makes lease's owner a candidate and returns when it leads. It goes on whatever
// becomes of the registry and of NATS, until ctx is over, the lease has ended
// (ErrLeaseExpired, [ErrRevoked], ErrClosed), or the registry refuses it (ErrInvalid,
// ErrTooLarge).
//
// A candidate stays one when Campaign returns an error, because of ctx for example, and may
// be elected later: [Election.Resign] or the end of the lease takes it out. Another call of
// Campaign with the same lease goes on where it was, with the new options, or returns the
// leadership that it has.
func (e *Election) Campaign(ctx context.Context, lease *Lease, o CampaignOptions) (*Leadership, error) {
	secret, err := e.secretOf(lease.Owner())
	if err != nil {
		return nil, err
	}
	var won bus.CampaignReply
	var garbled error
	v := &vigil{
		subject: e.subject(bus.VerbCampaign), owner: lease.Owner(), lease: lease, stays: true,
		body: func(waitMs *int64) any {
			return bus.CampaignRequest{Lease: secret, Value: o.Value, Priority: o.Priority, Waiting: bus.Waiting{WaitMs: waitMs}}
		},
		granted: func(m *nats.Msg) bool {
			won = bus.CampaignReply{}
			garbled = e.reply(bus.VerbCampaign, m, &won)
			return garbled != nil || won.State == bus.StateLeader
		},
	}
	a := e.c.keepVigil(ctx, v)
	if err := cmp.Or(a.err, garbled); err != nil {
		return nil, err
	}
	l := &Leadership{election: e, lease: lease, term: won.Term, token: Token(won.Token), done: make(chan struct{})}
	e.c.background(context.WithoutCancel(ctx), fmt.Sprintf("%s %s %d %p", e, lease.Owner(), won.Term, l), l.observe)
	return l, nil
}

// Leadership is a term in which a lease's owner leads. It has a goroutine until it is Done,
// which hears of the end of the term.
type Leadership struct {
	election *Election
	lease    *Lease
	term     uint64
	token    Token
	done     chan struct{}

	mu  sync.Mutex
	err error
}

// Term is the number of the term.
func (l *Leadership) Term() uint64 { return l.term }

// Token is what to show to whatever is acted upon.
func (l *Leadership) Token() Token { return l.token }

// Owner is who leads: the lease's owner.
func (l *Leadership) Owner() string { return l.lease.Owner() }

// Done is closed when the term is over for certain; [Leadership.Err] then says why.
func (l *Leadership) Done() <-chan struct{} { return l.done }

// Err returns nil before Done is closed, and then [ErrResigned], [ErrSuperseded], or why the
// lease has ended.
func (l *Leadership) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *Leadership) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		close(l.done)
	}
}

// Valid reports whether the term is not over, as far as anybody has said, and the lease is
// [Lease.Valid]: then nobody else leads, unless an operator has had it so a moment ago. It
// turns true again when the registry is heard again and the term goes on.
func (l *Leadership) Valid() bool { return l.Err() == nil && l.lease.Valid() }

// Context returns a context that ends when the leadership is not certain any more, for work
// that only the leader may do, and never comes back: when the lease is not Valid, when
// another term was heard of, or when this one was given up. context.Cause says why. If the
// leadership is not Done then, it may turn out to go on, and a new context can be had.
//
// It does not hold the process back: it may be stopped between any two instructions, and
// act after another leader was elected. What it acts upon must check the [Leadership.Token].
//
// It costs a goroutine that ends with it: call cancel.
func (l *Leadership) Context(ctx context.Context) (_ context.Context, cancel context.CancelFunc) {
	return l.ContextBefore(ctx, 0)
}

// ContextBefore is to [Leadership.Context] what [Lease.ContextBefore] is to
// [Lease.Context]: for work that takes a while to stop before the role can pass on.
func (l *Leadership) ContextBefore(ctx context.Context, early time.Duration) (_ context.Context, cancel context.CancelFunc) {
	return l.lease.until(ctx, early, l.done, l.Err)
}

// Resign gives the leadership up; the next candidate follows in the same moment. From the
// call on it is not Valid. After an error the owner may still lead, until Resign was called
// again or its lease has ended.
func (l *Leadership) Resign(ctx context.Context) error {
	l.end(ErrResigned)
	if l.lease.ended() {
		return nil
	}
	err := l.election.Resign(ctx, l.lease)
	if errors.Is(err, backend.ErrLeaseExpired) {
		return nil
	}
	return err
}

// Transfer has the candidate to lead instead, and makes this owner a candidate, who may
// call [Election.Campaign] to go on. From the call on the leadership is over, except after
// ErrNotFound: to is no candidate. See [Election.Transfer].
func (l *Leadership) Transfer(ctx context.Context, to string) error {
	_, err := l.election.Transfer(ctx, l.lease, to)
	if !errors.Is(err, backend.ErrNotFound) {
		l.end(ErrSuperseded)
	}
	return err
}

// observe hears of the end of the term, until it is over.
func (l *Leadership) observe(ctx context.Context) {
	c := l.election.c
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // ends with this call
		defer stop()
		select {
		case <-l.lease.Done():
			l.end(l.lease.Err())
		case <-l.done:
		case <-ctx.Done():
		}
	}()
	err := l.election.records(ctx, func(r *bus.ElectionRecord, _ bool) error {
		if r.Term != l.term || Token(r.Token) != l.token || r.Leader == nil || r.Leader.Owner != l.lease.Owner() {
			return ErrSuperseded
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrSuperseded):
		l.end(ErrSuperseded)
	case ctx.Err() == nil:
		c.log.LogAttrs(ctx, slog.LevelWarn, "the end of a term will not be heard of",
			slog.String("key", l.election.String()), slog.Uint64("term", l.term), slog.Any("err", err))
	}
}
