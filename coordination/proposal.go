package coordination

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/roostbus/roost/backend"
)

// Decision is what a proposal has come to.
type Decision string

// The decisions.
const (
	Voting    Decision = "voting"
	Committed Decision = "committed"
	Aborted   Decision = "aborted"
)

// Why a proposal was aborted.
const (
	ReasonRefused = "refused" // the quorum cannot be reached any more
	ReasonTimeout = "timeout"
	ReasonAdmin   = backend.ReasonAdmin
)

// Ballot is what a voter has said.
type Ballot struct {
	Owner  string `json:"owner"`
	Accept bool   `json:"accept"`
	Reason string `json:"reason,omitempty"`
}

// Proposal is a value that its voters accept or not.
type Proposal struct {
	ID       string          `json:"id"`
	Proposer string          `json:"proposer"`
	Value    json.RawMessage `json:"value,omitempty"`
	Voters   []string        `json:"voters"`
	// Quorum is how many of them must accept.
	Quorum    int      `json:"quorum"`
	TimeoutMs int64    `json:"timeout_ms"`
	State     Decision `json:"state"`
	Reason    string   `json:"reason,omitempty"`
	Votes     []Ballot `json:"votes,omitempty"`
}

// Proposals are those under one name, one after the other. Its zero value is a name that
// nothing was proposed under.
type Proposals struct {
	// Latest is nil before the first.
	Latest *Proposal `json:"latest"`
	// Past are those before, the newest last.
	Past []Proposal `json:"past,omitempty"`
}

// Propose puts p to the vote. One whose ID is remembered is a repeat and changes nothing.
// Where a record has no room for all
// that are remembered the oldest are forgotten. ErrInvalid, ErrTooLarge, ErrExists while another one is voted
// on.
func (s Proposals) Propose(turn *Turn, p Proposal) (Proposals, error) {
	switch {
	case p.ID == "":
		return s, backend.Invalid("id", "must not be empty")
	case len(p.Voters) == 0 || len(p.Voters) > MaxVoters:
		return s, backend.Invalid("voters", "are %d, must be 1 to %d", len(p.Voters), MaxVoters)
	case slices.ContainsFunc(p.Voters, func(v string) bool { return v == "" || len(v) > maxOwner }):
		return s, backend.Invalid("voters", "names one that is no owner")
	case len(slices.Compact(slices.Sorted(slices.Values(p.Voters)))) != len(p.Voters):
		return s, backend.Invalid("voters", "names one twice")
	case p.Quorum < 1 || p.Quorum > len(p.Voters):
		return s, backend.Invalid("quorum", "%d must be 1 to the number of voters, which is %d", p.Quorum, len(p.Voters))
	case p.TimeoutMs < 1:
		return s, backend.Invalid("timeout_ms", "%d must be positive", p.TimeoutMs)
	case len(p.Value) > MaxValue:
		return s, &backend.TooLargeError{Field: "value", Size: int64(len(p.Value)), Limit: MaxValue}
	case p.Value != nil && !json.Valid(p.Value):
		return s, backend.Invalid("value", "is not JSON")
	}
	s = s.Advance(turn)
	if _, ok := s.Find(p.ID); ok {
		return s, nil
	}
	if s.Latest != nil {
		if s.Latest.State == Voting {
			return s, fmt.Errorf("propose: %w: %s is being voted on", backend.ErrExists, s.Latest.ID)
		}
		s.Past = latest(s.Past, *s.Latest)
	}
	p.State, p.Votes, p.Reason = Voting, nil, ""
	s.Latest = &p
	return s.Advance(turn).fitting(), nil
}

// fitting returns s without the oldest of the past proposals for which a record has no room.
func (s Proposals) fitting() Proposals {
	for len(s.Past) > 0 {
		text, err := json.Marshal(s)
		if err != nil || len(text) <= MaxRecord {
			break
		}
		s.Past = s.Past[1:]
	}
	return s
}

// Vote has owner vote on the proposal of that id. The first vote of each counts, and none
// after the decision. ErrInvalid, ErrNotFound, ErrNotOwner, ErrConflict.
func (s Proposals) Vote(turn *Turn, id string, b Ballot) (Proposals, error) {
	if text, err := json.Marshal(b.Reason); err != nil || len(text)-len(`""`) > backend.MaxReason {
		return s, backend.Invalid("reason", "is longer than %d bytes as JSON", backend.MaxReason)
	}
	s = s.Advance(turn)
	p, ok := s.Find(id)
	if !ok {
		return s, fmt.Errorf("vote: %w: no proposal %q is remembered", backend.ErrNotFound, id)
	}
	if !slices.Contains(p.Voters, b.Owner) {
		return s, fmt.Errorf("vote: %w: %q is none of the voters", backend.ErrNotOwner, b.Owner)
	}
	if p.State != Voting {
		return s, nil
	}
	if i := slices.IndexFunc(p.Votes, func(v Ballot) bool { return v.Owner == b.Owner }); i >= 0 {
		if p.Votes[i].Accept != b.Accept {
			return s, conflict("%q has voted otherwise", b.Owner)
		}
		return s, nil
	}
	p.Votes = append(slices.Clip(p.Votes), b)
	s.Latest = &p
	return s.Advance(turn).fitting(), nil
}

// Expire aborts the proposal of that id if it is still voted on.
func (s Proposals) Expire(turn *Turn, id, reason string) Proposals {
	s = s.Advance(turn)
	if s.Latest != nil && s.Latest.ID == id && s.Latest.State == Voting {
		p := *s.Latest
		p.State, p.Reason = Aborted, reason
		s.Latest = &p
	}
	return s
}

// Clear aborts what is voted on.
func (s Proposals) Clear(turn *Turn) Proposals {
	if s.Latest == nil {
		return s
	}
	return s.Expire(turn, s.Latest.ID, ReasonAdmin)
}

// Advance decides what can be decided. A voter whose lease has ended before it voted counts
// as one that has refused.
func (s Proposals) Advance(turn *Turn) Proposals {
	if s.Latest == nil || s.Latest.State != Voting {
		return s
	}
	p := *s.Latest
	yes, open := 0, 0
	for _, voter := range p.Voters {
		i := slices.IndexFunc(p.Votes, func(v Ballot) bool { return v.Owner == voter })
		switch {
		case i >= 0 && p.Votes[i].Accept:
			yes++
		case i < 0 && !turn.Ended(voter):
			open++
		}
	}
	switch {
	case yes >= p.Quorum:
		p.State = Committed
	case yes+open < p.Quorum:
		p.State, p.Reason = Aborted, ReasonRefused
	default:
		return s
	}
	s.Latest = &p
	return s
}

// Find returns the proposal of that id, the latest for "".
func (s *Proposals) Find(id string) (Proposal, bool) {
	if s.Latest != nil && (id == "" || s.Latest.ID == id) {
		return *s.Latest, true
	}
	for i := range s.Past {
		if s.Past[i].ID == id {
			return s.Past[i], true
		}
	}
	return Proposal{}, false
}

// Owners returns everybody whose end may decide something.
func (s *Proposals) Owners() []string {
	if s.Latest == nil || s.Latest.State != Voting {
		return nil
	}
	return s.Latest.Voters
}
