package coordination

import "github.com/roostbus/roost/backend"

// Mode is how a lock is held.
type Mode string

// The modes of a lock.
const (
	Exclusive Mode = "exclusive" // by one alone
	Shared    Mode = "shared"    // beside others who share it
)

// Lock is held by one party exclusively, or by several that share it. It is had in the
// order of coming: whoever waits for it exclusively holds back those who come to share it.
// Its zero value is one that nobody holds.
type Lock struct{ queue }

// Acquire gives p the lock, or has it wait with the ticket; without one p does not wait.
// What p holds already it keeps, with its token. ErrInvalid, ErrConflict where p has it, or
// waits for it, in another mode, ErrLimitExceeded.
func (l Lock) Acquire(turn *Turn, p Party, mode Mode, ticket *Ticket) (Lock, error) {
	if mode != Exclusive && mode != Shared {
		return l, backend.Invalid("mode", "%.20q is neither exclusive nor shared", mode)
	}
	q, err := l.acquire(l.rules(turn, sharable), p, Demand{Mode: mode}, ticket)
	return Lock{q}, err
}

// Release takes p out, whether it holds the lock, waits for it, or neither.
func (l Lock) Release(turn *Turn, p Party) Lock { return Lock{l.leave(l.rules(turn, sharable), p)} }

// GiveUp takes out of the queue whoever waits with a ticket that is gone.
func (l Lock) GiveUp(turn *Turn, gone func(Ticket) bool) Lock {
	return Lock{l.giveUp(l.rules(turn, sharable), gone)}
}

// Clear takes everybody out.
func (l Lock) Clear(*Turn) Lock { return Lock{l.clear()} }

// Advance takes out whoever's lease has ended, and serves those who wait.
func (l Lock) Advance(turn *Turn) Lock { return Lock{l.advance(l.rules(turn, sharable))} }

// Strip takes out whoever's lease has ended and does nothing else: it is for readers.
func (l Lock) Strip(ended func(owner string) bool) Lock { return Lock{l.strip(ended)} }

// Taken reports whether whoever comes has to wait: somebody does, or has it exclusively.
func (l *Lock) Taken() bool {
	return len(l.Waiters) > 0 || len(l.Holders) > 0 && l.Holders[0].Mode == Exclusive
}

func sharable(holders []Hold, d Demand) bool {
	return len(holders) == 0 || d.Mode == Shared && holders[0].Mode == Shared
}
