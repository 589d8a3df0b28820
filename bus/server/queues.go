package server

import (
	"context"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/coordination/engine"
)

func (s *Server) acquireLock(ctx context.Context, a *asked, q *bus.LockRequest) (answer, error) {
	wait, err := s.waits(a.request, q.Waiting)
	if err != nil {
		return answer{}, err
	}
	return held(s.coordination.Locks.Acquire(ctx, a.name, a.party(&q.User), coordination.Mode(q.Mode), wait, a.by))
}

func (s *Server) acquireSemaphore(ctx context.Context, a *asked, q *bus.SemaphoreRequest) (answer, error) {
	permits := 1
	if q.Permits != nil {
		permits = *q.Permits
	}
	switch {
	case q.Limit < 1 || q.Limit > coordination.MaxPermits:
		return answer{}, backend.Invalid("limit", "is %d, must be 1 to %d", q.Limit, coordination.MaxPermits)
	case permits < 1 || permits > q.Limit:
		return answer{}, backend.Invalid("permits", "is %d, must be 1 to the limit, which is %d", permits, q.Limit)
	}
	wait, err := s.waits(a.request, q.Waiting)
	if err != nil {
		return answer{}, err
	}
	return held(s.coordination.Semaphores.Acquire(ctx, a.name, a.party(&q.User), permits, q.Limit, wait, a.by))
}

// held is the answer to an acquire.
func held(grant engine.Grant, stamp backend.Stamp, err error) (answer, error) {
	return said(bus.HeldReply{State: bus.StateHeld, Token: grant.Token.String()}, stamp, err)
}

// releaser is what gives back what a party has of an object.
type releaser[T any] func(ctx context.Context, n engine.Name, p coordination.Party, by backend.Write) (engine.Object[T], backend.Stamp, error)

// released answers requests to release an object of a kind.
func released[T any](release releaser[T]) func(context.Context, *asked, *bus.ReleaseRequest) (answer, error) {
	return func(ctx context.Context, a *asked, q *bus.ReleaseRequest) (answer, error) {
		object, stamp, err := release(ctx, a.name, a.party(&q.User), a.by)
		return said(&object.Record, stamp, err)
	}
}

func (s *Server) arrive(ctx context.Context, a *asked, q *bus.ArriveRequest) (answer, error) {
	if q.Size < 1 || q.Size > coordination.MaxWaiters {
		return answer{}, backend.Invalid("size", "is %d, must be 1 to %d", q.Size, coordination.MaxWaiters)
	}
	wait, err := s.waits(a.request, q.Waiting)
	if err != nil {
		return answer{}, err
	}
	arrival, stamp, err := s.coordination.Barriers.Arrive(ctx, a.name, a.party(&q.User), q.Size, q.Generation, wait, a.by)
	return said(bus.ArriveReply(arrival), stamp, err)
}
