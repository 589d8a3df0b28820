package server

import (
	"context"
	"fmt"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// health answers also when the Backend cannot say how it is.
func (s *Server) health(ctx context.Context, r *request) (answer, error) {
	var q bus.HealthRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	h, err := s.b.Health(ctx)
	if err != nil {
		h.Status = backend.Unhealthy
		h.Problems = append(h.Problems, s.failure(ctx, r, err).Message)
	}
	keeper := s.knownKeeper(&h)
	reply := bus.HealthReply{
		Status: h.Status, Problems: h.Problems, Node: s.cfg.Node, Version: s.cfg.Version,
		Backend: h.Backend, State: h.State, Registrations: h.Registrations, Services: h.Services,
		Revision: h.Stamp.Revision, Epoch: h.Stamp.Epoch, AgeMs: milliseconds(h.Stamp.Age),
		Keeper: keeper, Requests: s.Stats(),
	}
	if s.leases != nil {
		addLeases(&reply, s.leases())
	}
	if s.cluster != nil {
		addCluster(&reply, s.cluster.Health())
	}
	s.addHistory(&reply)
	if s.operations != nil {
		reply.Operations = s.operations()
	}
	if s.tasks != nil {
		reply.Tasks = s.tasks()
	}
	body, err := encode(reply)
	return answer{body: body, stamp: h.Stamp}, err
}

// knownKeeper returns the keeper, and says so in h if there is to be one and none is known.
func (s *Server) knownKeeper(h *backend.Health) *bus.Keeper {
	if s.keeper == nil {
		return nil
	}
	known := s.keeper()
	if known == nil {
		h.Problems = append(h.Problems, "no keeper is known")
		h.Status = max(h.Status, backend.Degraded)
	}
	return known
}

// addLeases adds l to reply.
func addLeases(reply *bus.HealthReply, l LeaseHealth) {
	reply.Leases, reply.ConnectionEvents = l.Leases, &l.Events
	if !l.Events {
		reply.Notes = append(reply.Notes,
			"no connection events: that a process has died is noticed when the TTL of its lease has passed")
	}
	if !l.Keeper {
		return
	}
	reply.Suspects, reply.Held = &l.Suspects, &l.Held
	if l.Held > 0 {
		reply.Problems = append(reply.Problems, fmt.Sprintf("%d leases are held back, since too many would end at once", l.Held))
		reply.Status = max(reply.Status, backend.Degraded)
	}
}
