package server

import (
	"context"
	"fmt"
	"slices"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination"
)

func (s *Server) propose(ctx context.Context, a *asked, q *bus.ProposeRequest) (answer, error) {
	p := coordination.Proposal{Proposer: a.by.Owner, TimeoutMs: bus.DefaultProposalTimeoutMs}
	if q.TimeoutMs != nil {
		p.TimeoutMs = *q.TimeoutMs
	}
	var err error
	if p.Value, err = value(q.Value); err != nil {
		return answer{}, err
	}
	if p.Voters, err = s.voters(ctx, &q.Voters); err != nil {
		return answer{}, err
	}
	p.Quorum = q.Quorum.Of(len(p.Voters))
	proposal, stamp, err := s.coordination.Proposals.Propose(ctx, a.name, p, a.by)
	return said(&proposal, stamp, err)
}

// voters returns the owners that v means now.
func (s *Server) voters(ctx context.Context, v *bus.Voters) ([]string, error) {
	if v.Service == nil {
		return v.Owners, nil
	}
	var owners []string
	for r, err := range backend.All(ctx, s.b, backend.Query{
		Scope: backend.Scope{Namespace: v.Service.Namespace, Service: v.Service.Service},
		Read:  backend.Read{Consistency: backend.Linearizable},
	}) {
		if err != nil {
			return nil, fmt.Errorf("look for the voters: %w", err)
		}
		if r.Owner != "" {
			owners = append(owners, r.Owner)
		}
	}
	if len(owners) == 0 {
		return nil, fmt.Errorf("%w: no instance of %s.%s has an owner who could vote",
			backend.ErrNotFound, backend.Token(v.Service.Namespace), backend.Token(v.Service.Service))
	}
	slices.Sort(owners)
	return slices.Compact(owners), nil
}

func (s *Server) vote(ctx context.Context, a *asked, q *bus.VoteRequest) (answer, error) {
	ballot := coordination.Ballot{Owner: a.by.Owner, Accept: *q.Accept, Reason: q.Reason}
	proposal, stamp, err := s.coordination.Proposals.Vote(ctx, a.name, q.ID, ballot, a.by)
	return said(&proposal, stamp, err)
}

func (s *Server) proposal(ctx context.Context, r *request) (answer, error) {
	var q bus.ProposalRequest
	n, err := s.about(r, bus.KindProposal, bus.VerbGet, &q)
	if err != nil {
		return answer{}, err
	}
	read, err := r.freshRead(q.Freshness)
	if err != nil {
		return answer{}, err
	}
	object, stamp, err := s.coordination.Proposals.Get(ctx, n, read)
	if err != nil {
		return answer{stamp: stamp}, err
	}
	found, err := proposalOf(&object.Record, q.ID)
	return said(found, stamp, err)
}

// proposalOf returns the proposal of that id, the latest for "".
func proposalOf(all *coordination.Proposals, id string) (any, error) {
	p, ok := all.Find(id)
	switch {
	case ok:
		return &p, nil
	case id == "":
		return nil, fmt.Errorf("%w: nothing was proposed", backend.ErrNotFound)
	}
	return nil, fmt.Errorf("%w: no proposal %q is remembered", backend.ErrNotFound, id)
}

// latest shows the newest proposal.
func latest(all *coordination.Proposals) (any, error) { return proposalOf(all, "") }
