package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
)

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
	until, stampOf := time.Now().Add(wait), b.stamps()
	ticket := b.ticket()
	var here coordination.Arrival
	s, _, err := b.do(ctx, &change[coordination.Barrier]{
		name: n, by: by, once: generation == 0,
		final: func(was, next *coordination.Barrier) bool { return next.Done != was.Done },
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
		return here, stampOf(s), err
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
		return here, stampOf(s), nil
	case wait == 0 || !waits:
		return here, stampOf(s), fmt.Errorf("%w: generation %d is not complete", backend.ErrTimeout, here.Generation)
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
		return here, stampOf(later), nil
	case errors.Is(why, backend.ErrLeaseExpired), errors.Is(why, backend.ErrUnavailable):
		return here, stampOf(later), why
	}
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
	defer cancel()
	if s, err = b.giveUp(rest, n, ticket); err != nil {
		return here, stampOf(s), err
	}
	switch {
	case s.value.Done >= here.Generation:
		here.Released = true
		return here, stampOf(s), nil
	case errors.Is(why, errOver):
		return here, stampOf(s), fmt.Errorf("%w: generation %d was not complete in %v", backend.ErrTimeout, here.Generation, wait.Round(time.Millisecond))
	}
	return here, stampOf(s), unavailable(why)
}

// Clear sends everybody away.
func (b Barriers) Clear(ctx context.Context, n Name, by backend.Write) (Object[coordination.Barrier], backend.Stamp, error) {
	return b.clear(ctx, n, by, coordination.Barrier.Clear)
}
