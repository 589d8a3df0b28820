package coordination

import "github.com/roostbus/roost/backend"

// Semaphore has permits that are given to several parties at once, up to a limit, in the
// order of coming: one that waits for many holds back those who want few. Its zero value is
// one that nobody holds, of which the first who comes says the limit.
type Semaphore struct {
	queue
	Limit int `json:"limit,omitempty"`
}

// MaxPermits is the greatest limit of a semaphore.
const MaxPermits = 1 << 30

// Acquire gives p permits, or has it wait with the ticket; without one p does not wait. What
// p holds already it keeps, with its token. ErrInvalid, ErrConflict where the limit is
// another or p has, or waits for, another number, ErrLimitExceeded.
func (s Semaphore) Acquire(turn *Turn, p Party, permits, limit int, ticket *Ticket) (Semaphore, error) {
	switch {
	case limit < 1 || limit > MaxPermits:
		return s, backend.Invalid("limit", "%d must be 1 to %d", limit, MaxPermits)
	case permits < 1 || permits > limit:
		return s, backend.Invalid("permits", "%d must be 1 to the limit, which is %d", permits, limit)
	}
	r := s.rules(turn, s.enough)
	if s = s.of(s.advance(r)); s.Limit != 0 && s.Limit != limit {
		return s, conflict("the limit is %d", s.Limit)
	}
	s.Limit = limit
	r.fit = s.enough
	q, err := s.acquire(r, p, Demand{Permits: permits}, ticket)
	return s.of(q), err
}

// Release takes p out, whether it holds permits, waits for some, or neither.
func (s Semaphore) Release(turn *Turn, p Party) Semaphore {
	return s.of(s.leave(s.rules(turn, s.enough), p))
}

// GiveUp takes out of the queue whoever waits with a ticket that is gone.
func (s Semaphore) GiveUp(turn *Turn, gone func(Ticket) bool) Semaphore {
	return s.of(s.giveUp(s.rules(turn, s.enough), gone))
}

// Clear takes everybody out.
func (s Semaphore) Clear(*Turn) Semaphore { return s.of(s.clear()) }

// Advance takes out whoever's lease has ended, and serves those who wait.
func (s Semaphore) Advance(turn *Turn) Semaphore {
	return s.of(s.advance(s.rules(turn, s.enough)))
}

// Strip takes out whoever's lease has ended and does nothing else: it is for readers.
func (s Semaphore) Strip(ended func(owner string) bool) Semaphore { return s.of(s.strip(ended)) }

// of returns the semaphore of q: one that is empty has no limit.
func (s Semaphore) of(q queue) Semaphore {
	s.queue = q
	if s.Idle() {
		s.Limit = 0
	}
	return s
}

// Taken reports whether whoever comes has to wait, because somebody does.
func (s *Semaphore) Taken() bool { return len(s.Waiters) > 0 }

func (s Semaphore) enough(holders []Hold, d Demand) bool {
	taken := 0
	for i := range holders {
		taken += holders[i].Permits
	}
	return taken+d.Permits <= s.Limit
}
