package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination"
)

func (s *Server) campaign(ctx context.Context, a *asked, q *bus.CampaignRequest) (answer, error) {
	c := coordination.Candidate{Owner: a.by.Owner, Priority: int(q.Priority)}
	var err error
	if c.Value, err = value(q.Value); err != nil {
		return answer{}, err
	}
	wait, err := s.waits(a.request, q.Waiting)
	if err != nil {
		return answer{}, err
	}
	standing, stamp, err := s.coordination.Elections.Campaign(ctx, a.name, c, wait, a.by)
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

func (s *Server) resign(ctx context.Context, a *asked, _ *bus.ResignRequest) (answer, error) {
	_, stamp, err := s.coordination.Elections.Resign(ctx, a.name, a.by.Owner, a.by)
	return said(bus.ResignReply{}, stamp, err)
}

func (s *Server) transfer(ctx context.Context, a *asked, q *bus.TransferRequest) (answer, error) {
	election, stamp, err := s.coordination.Elections.Transfer(ctx, a.name, a.by.Owner, q.To, a.by)
	return said(&election.Record, stamp, err)
}
