package engine

import (
	"context"
	"errors"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
)

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
	until, stampOf := time.Now().Add(wait), e.stamps()
	s, _, err := e.do(ctx, &change[coordination.Election]{name: n, by: by, apply: func(x coordination.Election, turn *coordination.Turn) (coordination.Election, error) {
		return x.Campaign(turn, c)
	}})
	if err != nil {
		return Standing{}, stampOf(s), err
	}
	s = s.all()
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
			return Standing{}, stampOf(s), err
		}
	}
	if err := e.certain(ctx, c.Owner, s); err != nil {
		return Standing{}, stampOf(s), err
	}
	stands, ok := s.value.Standing(c.Owner)
	if !ok {
		return Standing{}, stampOf(s), errOut
	}
	shown := e.object(n, s).Record
	return Standing{Standing: stands, Term: s.value.Term, Token: s.value.Token, Leader: shown.Leader}, stampOf(s), nil
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
