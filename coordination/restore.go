package coordination

import (
	"math"

	"github.com/roostbus/roost/backend"
)

// What is kept of an object beyond the lives of those who use it, as a backup keeps it, is
// its marks: what may only grow. Kept returns a record with nothing else in it, and Restore
// raises a record's marks to those that were kept. Restoring is idempotent and in any order
// comes to the same; an object that somebody uses is left alone, which is ok == false.

// SomeEpoch is the epoch of a [Turn] in which any token may be restored: to see what would
// come of it.
const SomeEpoch = math.MaxUint32

// restorable checks a token that was kept. One of the present epoch, or of a later one,
// would stand among tokens that the present one gives.
func (t Token) restorable(turn *Turn) error {
	if t.Epoch >= turn.Epoch {
		return conflict("a token of epoch %d cannot be restored in epoch %d", t.Epoch, turn.Epoch)
	}
	return nil
}

// maxCount is the greatest count that is restored: every reader of JSON tells it from its
// neighbours, and there is room above it.
const maxCount = 1<<53 - 1

func countable(field string, n uint64) error {
	if n > maxCount {
		return backend.Invalid(field, "is %d, must be 0 to %d", n, uint64(maxCount))
	}
	return nil
}

// Kept returns e without its leader and candidates.
func (e Election) Kept() Election {
	return Election{Term: e.Term, Token: e.Token, Recent: e.Recent}
}

// Restore raises the term and the token of e, which nobody leads, to those of kept.
// ErrInvalid, ErrConflict.
func (e Election) Restore(turn *Turn, kept Election) (_ Election, ok bool, err error) {
	if len(kept.Recent) > Remembered {
		return e, false, backend.Invalid("recent", "has %d entries, at most %d are remembered", len(kept.Recent), Remembered)
	}
	if err := countable("term", kept.Term); err != nil {
		return e, false, err
	}
	if kept.Term <= e.Term && kept.Token.Compare(e.Token) <= 0 {
		return e, true, nil
	}
	if err := kept.Token.restorable(turn); err != nil {
		return e, false, err
	}
	if e = e.Strip(turn.Ended); e.Leader != nil || len(e.Candidates) > 0 {
		return e, false, nil
	}
	if kept.Term > e.Term {
		e.Term, e.Recent = kept.Term, kept.Recent
	}
	if kept.Token.Compare(e.Token) > 0 {
		e.Token = kept.Token
	}
	return e, true, nil
}

// Kept returns l without those who hold it and wait for it.
func (l Lock) Kept() Lock { return Lock{queue{Token: l.Token}} }

// Restore raises the token of l, which nobody uses, to that of kept. ErrConflict.
func (l Lock) Restore(turn *Turn, kept Lock) (_ Lock, ok bool, err error) {
	q, ok, err := l.restore(turn, kept.Token)
	return Lock{q}, ok, err
}

// Kept returns s without those who hold permits and wait for some.
func (s Semaphore) Kept() Semaphore { return Semaphore{queue: queue{Token: s.Token}} }

// Restore raises the token of s, which nobody uses, to that of kept. ErrConflict.
func (s Semaphore) Restore(turn *Turn, kept Semaphore) (_ Semaphore, ok bool, err error) {
	q, ok, err := s.restore(turn, kept.Token)
	return s.of(q), ok, err
}

func (q queue) restore(turn *Turn, kept Token) (_ queue, ok bool, err error) {
	if kept.Compare(q.Token) <= 0 {
		return q, true, nil
	}
	if err := kept.restorable(turn); err != nil {
		return q, false, err
	}
	if q = q.strip(turn.Ended); !q.Idle() {
		return q, false, nil
	}
	q.Token = kept
	return q, true, nil
}

// Kept returns b without those who wait.
func (b Barrier) Kept() Barrier { return Barrier{Done: b.Done} }

// Restore raises the number of generations that b, at which nobody waits, has released.
// ErrInvalid.
func (b Barrier) Restore(turn *Turn, kept Barrier) (_ Barrier, ok bool, err error) {
	if err := countable("done", kept.Done); err != nil {
		return b, false, err
	}
	if kept.Done <= b.Done {
		return b, true, nil
	}
	if b = b.Strip(turn.Ended); len(b.Parties) > 0 {
		return b, false, nil
	}
	return Barrier{Done: kept.Done}, true, nil
}

// Kept returns s without what is being voted on: who votes has gone when it is restored.
func (s Proposals) Kept() Proposals {
	if s.Latest == nil || s.Latest.State != Voting {
		return s
	}
	s.Latest = nil
	if n := len(s.Past); n > 0 {
		last := s.Past[n-1]
		s.Latest, s.Past = &last, s.Past[:n-1]
	}
	if len(s.Past) == 0 {
		s.Past = nil
	}
	return s
}

// Restore gives s the decisions of kept where nothing was ever proposed. ErrInvalid.
func (s Proposals) Restore(_ *Turn, kept Proposals) (_ Proposals, ok bool, err error) {
	if kept.Latest == nil {
		return s, true, nil
	}
	if len(kept.Past) > Remembered {
		return s, false, backend.Invalid("past", "has %d entries, at most %d are remembered", len(kept.Past), Remembered)
	}
	for _, p := range append([]Proposal{*kept.Latest}, kept.Past...) {
		if p.ID == "" || p.State != Committed && p.State != Aborted || len(p.Voters) > MaxVoters {
			return s, false, backend.Invalid("proposal", "%.40q is none that was decided", p.ID)
		}
	}
	if _, known := s.Find(kept.Latest.ID); known {
		return s, true, nil
	}
	if s.Latest != nil {
		return s, false, nil
	}
	return kept.fitting(), true, nil
}
