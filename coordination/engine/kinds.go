package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
)

// Every method of this file that changes something returns the errors of the transition that
// it makes, and ErrInvalid, ErrLeaseExpired, ErrLimitExceeded, ErrUnavailable, of which it
// is certain that nothing was done, and ErrUnknownOutcome. by.Owner is whose lease was shown;
// "" of an operator.

// Locks are all locks.
type Locks struct{ *Objects[coordination.Lock] }

// Acquire gives p the lock, waiting for it for as long as wait. Whoever holds it already is
// told so again. ErrTimeout where it is not to be had; ErrUnavailable also where somebody
// else, an operator or p itself, has taken p out of the queue.
//
// Where wait is over p is out of the queue when Acquire returns, unless another request of p
// waits, or it says ErrUnknownOutcome. With ctx it ends in the same way.
func (l Locks) Acquire(ctx context.Context, n Name, p coordination.Party, mode coordination.Mode, wait time.Duration, by backend.Write) (Grant, backend.Stamp, error) {
	return l.acquire(ctx, &demand[coordination.Lock]{
		name: n, party: p, wait: wait, by: by,
		apply: func(x coordination.Lock, turn *coordination.Turn, ticket *coordination.Ticket) (coordination.Lock, error) {
			return x.Acquire(turn, p, mode, ticket)
		},
		queue: func(x *coordination.Lock) queued { return x },
	})
}

// Release takes p out, whether it holds the lock, waits for it, or neither.
func (l Locks) Release(ctx context.Context, n Name, p coordination.Party, by backend.Write) (Object[coordination.Lock], backend.Stamp, error) {
	return l.release(ctx, n, p, by, coordination.Lock.Release)
}

// Clear takes everybody out.
func (l Locks) Clear(ctx context.Context, n Name, by backend.Write) (Object[coordination.Lock], backend.Stamp, error) {
	return l.clear(ctx, n, by, coordination.Lock.Clear)
}

// Semaphores are all semaphores.
type Semaphores struct {
	*Objects[coordination.Semaphore]
}

// Acquire gives p permits, as [Locks.Acquire] gives a lock.
func (s Semaphores) Acquire(ctx context.Context, n Name, p coordination.Party, permits, limit int, wait time.Duration, by backend.Write) (Grant, backend.Stamp, error) {
	return s.acquire(ctx, &demand[coordination.Semaphore]{
		name: n, party: p, wait: wait, by: by,
		apply: func(x coordination.Semaphore, turn *coordination.Turn, ticket *coordination.Ticket) (coordination.Semaphore, error) {
			return x.Acquire(turn, p, permits, limit, ticket)
		},
		queue: func(x *coordination.Semaphore) queued { return x },
	})
}

// Release takes p out, whether it holds permits, waits for some, or neither.
func (s Semaphores) Release(ctx context.Context, n Name, p coordination.Party, by backend.Write) (Object[coordination.Semaphore], backend.Stamp, error) {
	return s.release(ctx, n, p, by, coordination.Semaphore.Release)
}

// Clear takes everybody out.
func (s Semaphores) Clear(ctx context.Context, n Name, by backend.Write) (Object[coordination.Semaphore], backend.Stamp, error) {
	return s.clear(ctx, n, by, coordination.Semaphore.Clear)
}

// Elections are all elections.
type Elections struct {
	*Objects[coordination.Election]
}

// Standing is how somebody stands in an election.
type Standing struct {
	coordination.Standing
	Term uint64
	// Token is that of the present leader.
	Token coordination.Token
	// Leader is nil where nobody leads.
	Leader *coordination.Candidate
}

// Campaign makes c a candidate, and waits until it leads for as long as wait. Afterwards it
// is one still. ErrUnavailable also where somebody else, an operator or c itself, has taken
// it out meanwhile.
func (e Elections) Campaign(ctx context.Context, n Name, c coordination.Candidate, wait time.Duration, by backend.Write) (Standing, backend.Stamp, error) {
	if err := validate(coordination.Party{Owner: c.Owner}, wait); err != nil {
		return Standing{}, backend.Stamp{}, err
	}
	until := time.Now().Add(wait)
	s, _, err := e.do(ctx, &change[coordination.Election]{name: n, by: by, apply: func(x coordination.Election, turn *coordination.Turn) (coordination.Election, error) {
		return x.Campaign(turn, c)
	}})
	if err != nil {
		return Standing{}, e.stampOf(s), err
	}
	if stands, _ := s.value.Standing(c.Owner); !stands.Leads && wait > 0 {
		later, err := e.await(ctx, &waiting[coordination.Election]{
			name: n, owner: c.Owner, entry: c.Owner, from: s.revision, until: until,
			stands: func(x *coordination.Election) (string, bool) {
				stands, ok := x.Standing(c.Owner)
				if !ok {
					return "", false
				}
				return c.Owner, stands.Leads
			},
		})
		if later.revision > s.revision {
			s = later
		}
		if err != nil && !errors.Is(err, errOver) {
			if ctx.Err() != nil {
				err = unavailable(err)
			}
			return Standing{}, e.stampOf(s), err
		}
	}
	if err := e.certain(ctx, c.Owner, s); err != nil {
		return Standing{}, e.stampOf(s), err
	}
	stands, ok := s.value.Standing(c.Owner)
	if !ok {
		return Standing{}, e.stampOf(s), errOut
	}
	shown := e.object(n, s).Record
	return Standing{Standing: stands, Term: s.value.Term, Token: s.value.Token, Leader: shown.Leader}, e.stampOf(s), nil
}

// Resign takes owner out.
func (e Elections) Resign(ctx context.Context, n Name, owner string, by backend.Write) (Object[coordination.Election], backend.Stamp, error) {
	return e.make(ctx, &change[coordination.Election]{name: n, by: by, once: true, apply: func(x coordination.Election, turn *coordination.Turn) (coordination.Election, error) {
		return x.Resign(turn, owner), nil
	}})
}

// Transfer makes the candidate to the leader, and owner, who leads, a candidate.
func (e Elections) Transfer(ctx context.Context, n Name, owner, to string, by backend.Write) (Object[coordination.Election], backend.Stamp, error) {
	return e.make(ctx, &change[coordination.Election]{name: n, by: by, once: true, apply: func(x coordination.Election, turn *coordination.Turn) (coordination.Election, error) {
		return x.Transfer(turn, owner, to)
	}})
}

// Clear has the leader, whoever it is, resign.
func (e Elections) Clear(ctx context.Context, n Name, by backend.Write) (Object[coordination.Election], backend.Stamp, error) {
	return e.clear(ctx, n, by, coordination.Election.Clear)
}

// Barriers are all barriers.
type Barriers struct{ *Objects[coordination.Barrier] }

// Arrive has p come to a generation, 0 for the present one, and waits until it is released
// for as long as wait: ErrTimeout. Then, and where ctx has ended, p has not come, unless
// another request of p waits, or it says ErrUnknownOutcome. The Arrival says which generation
// it was in any case.
func (b Barriers) Arrive(ctx context.Context, n Name, p coordination.Party, size int, generation uint64, wait time.Duration, by backend.Write) (coordination.Arrival, backend.Stamp, error) {
	if err := validate(p, wait); err != nil {
		return coordination.Arrival{}, backend.Stamp{}, err
	}
	until := time.Now().Add(wait)
	ticket := b.ticket()
	var here coordination.Arrival
	s, _, err := b.do(ctx, &change[coordination.Barrier]{
		name: n, by: by, once: generation == 0,
		apply: func(x coordination.Barrier, turn *coordination.Turn) (next coordination.Barrier, err error) {
			with := &ticket
			if wait == 0 {
				with = nil
			}
			next, here, err = x.Arrive(turn, p, size, generation, with)
			return next, err
		},
	})
	if err != nil {
		if wait > 0 && errors.Is(err, backend.ErrUnknownOutcome) {
			b.abandon(n, ticket)
		}
		return here, b.stampOf(s), err
	}
	mine, waits := s.value.TicketOf(p)
	if here.Generation == 0 { // a repeat of what was done: it has come, or released all
		here = coordination.Arrival{Generation: s.value.Done, Released: true}
		if waits {
			here = coordination.Arrival{Generation: s.value.Generation()}
		}
	}
	switch {
	case here.Released:
		return here, b.stampOf(s), nil
	case wait == 0 || !waits:
		return here, b.stampOf(s), fmt.Errorf("%w: generation %d is not complete", backend.ErrTimeout, here.Generation)
	}
	later, why := b.await(ctx, &waiting[coordination.Barrier]{
		name: n, owner: p.Owner, entry: mine.ID, from: s.revision, until: until,
		stands: func(x *coordination.Barrier) (string, bool) {
			t, _ := x.TicketOf(p)
			return t.ID, x.Done >= here.Generation
		},
	})
	switch {
	case why == nil:
		here.Released = true
		return here, b.stampOf(later), nil
	case errors.Is(why, backend.ErrLeaseExpired), errors.Is(why, backend.ErrUnavailable):
		return here, b.stampOf(later), why
	}
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
	defer cancel()
	if s, err = b.giveUp(rest, n, ticket); err != nil {
		return here, b.stampOf(s), err
	}
	switch {
	case s.value.Done >= here.Generation:
		here.Released = true
		return here, b.stampOf(s), nil
	case errors.Is(why, errOver):
		return here, b.stampOf(s), fmt.Errorf("%w: generation %d was not complete in %v", backend.ErrTimeout, here.Generation, wait.Round(time.Millisecond))
	}
	return here, b.stampOf(s), unavailable(why)
}

// Clear sends everybody away.
func (b Barriers) Clear(ctx context.Context, n Name, by backend.Write) (Object[coordination.Barrier], backend.Stamp, error) {
	return b.clear(ctx, n, by, coordination.Barrier.Clear)
}

// Proposals are all proposals.
type Proposals struct {
	*Objects[coordination.Proposals]
}

// Propose puts p to the vote and gives it its ID.
func (p Proposals) Propose(ctx context.Context, n Name, what coordination.Proposal, by backend.Write) (coordination.Proposal, backend.Stamp, error) {
	what.ID = rand.Text()
	if id := by.ID.String(); id != "" {
		what.ID = id[:32]
	}
	return p.decided(ctx, what.ID, &change[coordination.Proposals]{name: n, by: by, apply: func(x coordination.Proposals, turn *coordination.Turn) (coordination.Proposals, error) {
		return x.Propose(turn, what)
	}})
}

// Vote has ballot.Owner vote on the proposal of that id.
func (p Proposals) Vote(ctx context.Context, n Name, id string, ballot coordination.Ballot, by backend.Write) (coordination.Proposal, backend.Stamp, error) {
	return p.decided(ctx, id, &change[coordination.Proposals]{name: n, by: by, apply: func(x coordination.Proposals, turn *coordination.Turn) (coordination.Proposals, error) {
		return x.Vote(turn, id, ballot)
	}})
}

// decided has c made and returns the proposal of that id.
func (p Proposals) decided(ctx context.Context, id string, c *change[coordination.Proposals]) (coordination.Proposal, backend.Stamp, error) {
	s, _, err := p.do(ctx, c)
	if err != nil {
		return coordination.Proposal{}, p.stampOf(s), err
	}
	found, ok := s.value.Find(id)
	if !ok {
		return coordination.Proposal{}, p.stampOf(s), fmt.Errorf("%w: no proposal %q is remembered", backend.ErrNotFound, id)
	}
	return found, p.stampOf(s), nil
}

// Clear aborts what is voted on.
func (p Proposals) Clear(ctx context.Context, n Name, by backend.Write) (Object[coordination.Proposals], backend.Stamp, error) {
	return p.clear(ctx, n, by, coordination.Proposals.Clear)
}

// clear is what an operator does.
func (o *Objects[T]) clear(ctx context.Context, n Name, by backend.Write, apply func(T, *coordination.Turn) T) (Object[T], backend.Stamp, error) {
	return o.make(ctx, &change[T]{name: n, by: by, once: true, apply: func(x T, turn *coordination.Turn) (T, error) {
		return apply(x, turn), nil
	}})
}
