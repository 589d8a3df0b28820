package engine

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
)

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
	always := func(_, _ *coordination.Proposals) bool { return true }
	return p.decided(ctx, id, &change[coordination.Proposals]{name: n, by: by, final: always, apply: func(x coordination.Proposals, turn *coordination.Turn) (coordination.Proposals, error) {
		return x.Vote(turn, id, ballot)
	}})
}

// decided has c made and returns the proposal of that id.
func (p Proposals) decided(ctx context.Context, id string, c *change[coordination.Proposals]) (coordination.Proposal, backend.Stamp, error) {
	stampOf := p.stamps()
	s, _, err := p.do(ctx, c)
	if err != nil {
		return coordination.Proposal{}, stampOf(s), err
	}
	found, ok := s.value.Find(id)
	if !ok {
		return coordination.Proposal{}, stampOf(s), fmt.Errorf("%w: no proposal %q is remembered", backend.ErrNotFound, id)
	}
	return found, stampOf(s), nil
}

// Clear aborts what is voted on.
func (p Proposals) Clear(ctx context.Context, n Name, by backend.Write) (Object[coordination.Proposals], backend.Stamp, error) {
	return p.clear(ctx, n, by, coordination.Proposals.Clear)
}
