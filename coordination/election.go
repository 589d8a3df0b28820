package coordination

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/roostbus/roost/backend"
)

// Candidate is who leads or would lead.
type Candidate struct {
	Owner string `json:"owner"`
	// Value is what the candidate says about itself, any JSON.
	Value    json.RawMessage `json:"value,omitempty"`
	Priority int             `json:"priority,omitempty"`
	// Came numbers the candidates in the order of their coming.
	Came uint64 `json:"came"`
}

// Leadership is one that was.
type Leadership struct {
	Term  uint64 `json:"term"`
	Owner string `json:"owner"`
	Token Token  `json:"token"`
}

// Election decides who of several leads. Its zero value is one that nobody has taken part
// in. Its record is never removed, only emptied, so that terms go on.
type Election struct {
	// Leader is nil while there is no candidate.
	Leader *Candidate `json:"leader"`
	// Term counts the changes of the leader.
	Term uint64 `json:"term"`
	// Token is that of the newest leader.
	Token Token `json:"token,omitzero"`
	// Candidates wait to lead, in the order in which they would: the highest priority
	// first, then the first to come.
	Candidates []Candidate `json:"candidates,omitempty"`
	// Arrivals counts those who have come.
	Arrivals uint64 `json:"arrivals,omitempty"`
	// Recent are the newest leaderships, the present one last.
	Recent []Leadership `json:"recent,omitempty"`
}

// Standing is how somebody stands in an election.
type Standing struct {
	Leads bool
	// Position among the candidates, from 1; 0 for a leader.
	Position int
}

// Campaign makes c a candidate, or the leader where there is none. Of one that takes part it
// replaces what it said before, and keeps when it came. ErrInvalid, ErrTooLarge,
// ErrLimitExceeded.
func (e Election) Campaign(turn *Turn, c Candidate) (Election, error) {
	if len(c.Value) > MaxValue {
		return e, &backend.TooLargeError{Field: "value", Size: int64(len(c.Value)), Limit: MaxValue}
	}
	if c.Value != nil && !json.Valid(c.Value) {
		return e, backend.Invalid("value", "is not JSON")
	}
	e = e.Advance(turn)
	if e.Leader != nil && e.Leader.Owner == c.Owner {
		c.Came = e.Leader.Came
		e.Leader = &c
		return e, nil
	}
	if i := e.position(c.Owner); i >= 0 {
		c.Came = e.Candidates[i].Came
		return e.without(c.Owner).with(c), nil
	}
	if len(e.Candidates) >= MaxWaiters {
		return e, tooMany("candidates")
	}
	return e.come(c).elect(turn), nil
}

// Resign takes owner out; a leader is followed by the next candidate. Somebody who takes
// no part changes nothing.
func (e Election) Resign(turn *Turn, owner string) Election {
	return e.Strip(turn.Ended).without(owner).elect(turn)
}

// Transfer makes the candidate to the leader, and owner, who leads, a candidate.
// ErrNotOwner, ErrNotFound.
func (e Election) Transfer(turn *Turn, owner, to string) (Election, error) {
	// Nobody is elected before: whoever leads only within this transition leads nothing.
	e = e.Strip(turn.Ended)
	if e.Leader == nil || e.Leader.Owner != owner {
		return e, fmt.Errorf("transfer: %w: %q does not lead", backend.ErrNotOwner, owner)
	}
	if to == owner {
		return e, nil
	}
	i := e.position(to)
	if i < 0 {
		return e, fmt.Errorf("transfer: %w: no candidate %q", backend.ErrNotFound, to)
	}
	next, former := e.Candidates[i], *e.Leader
	e = e.without(to)
	e.Leader = nil
	return e.led(turn, next).come(former), nil
}

// Clear has the leader, whoever it is, resign.
func (e Election) Clear(turn *Turn) Election {
	if e.Leader != nil {
		e = e.without(e.Leader.Owner)
	}
	return e.Advance(turn)
}

// Advance takes out whoever's lease has ended, and has the first candidate lead where
// nobody does.
func (e Election) Advance(turn *Turn) Election { return e.Strip(turn.Ended).elect(turn) }

// Strip takes out whoever's lease has ended and does nothing else: it is for readers.
func (e Election) Strip(ended func(owner string) bool) Election {
	if e.Leader != nil && ended(e.Leader.Owner) {
		e.Leader = nil
	}
	e.Candidates = without(e.Candidates, func(c *Candidate) bool { return ended(c.Owner) })
	return e
}

// Standing returns how owner stands, or false: it takes no part.
func (e *Election) Standing(owner string) (Standing, bool) {
	if e.Leader != nil && e.Leader.Owner == owner {
		return Standing{Leads: true}, true
	}
	i := e.position(owner)
	return Standing{Position: i + 1}, i >= 0
}

// Owners returns everybody whom the record names.
func (e *Election) Owners() (owners []string) {
	if e.Leader != nil {
		owners = append(owners, e.Leader.Owner)
	}
	for i := range e.Candidates {
		owners = append(owners, e.Candidates[i].Owner)
	}
	return owners
}

func (e *Election) position(owner string) int {
	return slices.IndexFunc(e.Candidates, func(c Candidate) bool { return c.Owner == owner })
}

// without returns e without owner in any part.
func (e Election) without(owner string) Election {
	if e.Leader != nil && e.Leader.Owner == owner {
		e.Leader = nil
	}
	e.Candidates = without(e.Candidates, func(c *Candidate) bool { return c.Owner == owner })
	return e
}

// come returns e with c as the newest of the candidates.
func (e Election) come(c Candidate) Election {
	e.Arrivals++
	c.Came = e.Arrivals
	return e.with(c)
}

// with returns e with c among the candidates, where it belongs.
func (e Election) with(c Candidate) Election {
	at, _ := slices.BinarySearchFunc(e.Candidates, c, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Came, b.Came))
	})
	e.Candidates = slices.Insert(slices.Clone(e.Candidates), at, c)
	return e
}

// elect has the first candidate lead where nobody does.
func (e Election) elect(turn *Turn) Election {
	if e.Leader != nil || len(e.Candidates) == 0 {
		return e
	}
	next := e.Candidates[0]
	return e.without(next.Owner).led(turn, next)
}

// led has c lead, in the next term.
func (e Election) led(turn *Turn, c Candidate) Election {
	e.Leader, e.Term, e.Token = &c, e.Term+1, e.Token.next(turn)
	e.Recent = latest(e.Recent, Leadership{Term: e.Term, Owner: c.Owner, Token: e.Token})
	return e
}
