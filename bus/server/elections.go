package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination"
)

func (s *Server) campaign(ctx context.Context, r *request) (answer, error) {
	var q bus.CampaignRequest
	n, err := s.about(r, bus.KindElection, bus.VerbCampaign, &q)
	if err != nil {
		return answer{}, err
	}
	c := coordination.Candidate{Priority: int(q.Priority)}
	if c.Value, err = value(q.Value); err != nil {
		return answer{}, err
	}
	by, err := r.by(q.Lease)
	if err != nil {
		return answer{}, err
	}
	wait, err := s.waits(r, q.Waiting)
	if err != nil {
		return answer{}, err
	}
	c.Owner = by.Owner
	standing, stamp, err := s.coordination.Elections.Campaign(ctx, n, c, wait, by)
	if err != nil && wait > 0 && ctx.Err() != nil && errors.Is(err, backend.ErrUnavailable) {
		// It may be a candidate already, so this must not look as if it had not been done.
		err = fmt.Errorf("%w: a candidate, if at all, that does not lead yet: %v", backend.ErrUnknownOutcome, err) //nolint:errorlint // see above
	}
	reply := bus.CampaignReply{State: bus.StateCandidate, Term: standing.Term, Position: standing.Position}
	if standing.Leads {
		reply.State, reply.Token = bus.StateLeader, standing.Token.String()
	}
	if l := standing.Leader; l != nil {
		reply.Leader = &bus.ObjectLeader{Owner: l.Owner, Value: l.Value, Priority: l.Priority}
	}
	return said(&reply, stamp, err)
}

func (s *Server) resign(ctx context.Context, r *request) (answer, error) {
	var q bus.ResignRequest
	n, err := s.about(r, bus.KindElection, bus.VerbResign, &q)
	if err != nil {
		return answer{}, err
	}
	by, err := r.by(q.Lease)
	if err != nil {
		return answer{}, err
	}
	_, stamp, err := s.coordination.Elections.Resign(ctx, n, by.Owner, by)
	return said(bus.ResignReply{}, stamp, err)
}

func (s *Server) transfer(ctx context.Context, r *request) (answer, error) {
	var q bus.TransferRequest
	n, err := s.about(r, bus.KindElection, bus.VerbTransfer, &q)
	if err != nil {
		return answer{}, err
	}
	by, err := r.by(q.Lease)
	if err != nil {
		return answer{}, err
	}
	election, stamp, err := s.coordination.Elections.Transfer(ctx, n, by.Owner, q.To, by)
	return said(&election.Record, stamp, err)
}
