package engine

import (
	"github.com/roostbus/roost/coordination"
)

// kind is what the engine must know of records of one type.
type kind[T any] struct {
	name string

	advance func(T, *coordination.Turn) T
	strip   func(T, func(owner string) bool) T // for readers
	owners  func(*T) []string                  // whom the record names

	// mark differs between two states of which the later has given a token, released a
	// generation or decided something, or begun to: it may change once with a write.
	mark func(*T) any

	// pending are those who wait, by what they are called for [mirror.watch].
	pending func(*T) []string

	// kept and restore are of the marks that a backup keeps.
	kept    func(T) T
	restore func(x T, turn *coordination.Turn, kept T) (_ T, ok bool, err error)

	// The rest may be nil.

	tickets func(*T) []coordination.Ticket
	giveUp  func(T, *coordination.Turn, func(coordination.Ticket) bool) T

	// idle reports whether a record says nothing that a new one would not.
	idle func(*T) bool

	// voting returns what is aborted when it has been there for timeoutMs; "" if nothing is.
	voting func(*T) (id string, timeoutMs int64)
	expire func(x T, turn *coordination.Turn, id, reason string) T

	tokens bool // whether it gives tokens
}

var (
	elections = kind[coordination.Election]{
		name: "election", tokens: true,
		advance: coordination.Election.Advance,
		kept:    coordination.Election.Kept,
		restore: coordination.Election.Restore,
		strip:   coordination.Election.Strip,
		owners:  (*coordination.Election).Owners,
		mark:    func(e *coordination.Election) any { return e.Token },
		pending: func(e *coordination.Election) []string {
			waiting := make([]string, len(e.Candidates))
			for i := range e.Candidates {
				waiting[i] = e.Candidates[i].Owner
			}
			return waiting
		},
	}
	locks = kind[coordination.Lock]{
		name: "lock", tokens: true,
		advance: coordination.Lock.Advance,
		kept:    coordination.Lock.Kept,
		restore: coordination.Lock.Restore,
		strip:   coordination.Lock.Strip,
		owners:  func(l *coordination.Lock) []string { return l.Owners() },
		mark:    func(l *coordination.Lock) any { return l.Token },
		pending: func(l *coordination.Lock) []string { return ids(l.Tickets()) },
		tickets: func(l *coordination.Lock) []coordination.Ticket { return l.Tickets() },
		giveUp:  coordination.Lock.GiveUp,
		idle:    func(l *coordination.Lock) bool { return l.Idle() },
	}
	semaphores = kind[coordination.Semaphore]{
		name: "semaphore", tokens: true,
		advance: coordination.Semaphore.Advance,
		kept:    coordination.Semaphore.Kept,
		restore: coordination.Semaphore.Restore,
		strip:   coordination.Semaphore.Strip,
		owners:  func(s *coordination.Semaphore) []string { return s.Owners() },
		mark:    func(s *coordination.Semaphore) any { return s.Token },
		pending: func(s *coordination.Semaphore) []string { return ids(s.Tickets()) },
		tickets: func(s *coordination.Semaphore) []coordination.Ticket { return s.Tickets() },
		giveUp:  coordination.Semaphore.GiveUp,
		idle:    func(s *coordination.Semaphore) bool { return s.Idle() },
	}
	barriers = kind[coordination.Barrier]{
		name:    "barrier",
		advance: coordination.Barrier.Advance,
		kept:    coordination.Barrier.Kept,
		restore: coordination.Barrier.Restore,
		strip:   coordination.Barrier.Strip,
		owners:  (*coordination.Barrier).Owners,
		mark:    func(b *coordination.Barrier) any { return b.Done },
		pending: func(b *coordination.Barrier) []string { return ids(b.Tickets()) },
		tickets: (*coordination.Barrier).Tickets,
		giveUp:  coordination.Barrier.GiveUp,
	}
	proposals = kind[coordination.Proposals]{
		name:    "proposal",
		advance: coordination.Proposals.Advance,
		kept:    coordination.Proposals.Kept,
		restore: coordination.Proposals.Restore,
		strip:   func(s coordination.Proposals, _ func(string) bool) coordination.Proposals { return s },
		owners:  (*coordination.Proposals).Owners,
		mark: func(s *coordination.Proposals) any {
			if s.Latest == nil {
				return ballot{}
			}
			return ballot{s.Latest.ID, s.Latest.State}
		},
		pending: func(*coordination.Proposals) []string { return nil },
		voting: func(s *coordination.Proposals) (string, int64) {
			if s.Latest == nil || s.Latest.State != coordination.Voting {
				return "", 0
			}
			return s.Latest.ID, s.Latest.TimeoutMs
		},
		expire: coordination.Proposals.Expire,
	}
)

// ballot is what has become of a proposal.
type ballot struct {
	id    string
	state coordination.Decision
}

func ids(tickets []coordination.Ticket) []string {
	all := make([]string, len(tickets))
	for i := range tickets {
		all[i] = tickets[i].ID
	}
	return all
}
