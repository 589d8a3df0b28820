package server

import (
	"context"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/coordination/engine"
)

func (s *Server) acquireLock(ctx context.Context, r *request) (answer, error) {
	var q bus.LockRequest
	n, err := s.about(r, bus.KindLock, bus.VerbAcquire, &q)
	if err != nil {
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
	return held(s.coordination.Locks.Acquire(ctx, n, party(&by, &q.User), coordination.Mode(q.Mode), wait, by))
}

func (s *Server) acquireSemaphore(ctx context.Context, r *request) (answer, error) {
	var q bus.SemaphoreRequest
	n, err := s.about(r, bus.KindSemaphore, bus.VerbAcquire, &q)
	if err != nil {
		return answer{}, err
	}
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
	by, err := r.by(q.Lease)
	if err != nil {
		return answer{}, err
	}
	wait, err := s.waits(r, q.Waiting)
	if err != nil {
		return answer{}, err
	}
	return held(s.coordination.Semaphores.Acquire(ctx, n, party(&by, &q.User), permits, q.Limit, wait, by))
}

// held is the answer to an acquire.
func held(grant engine.Grant, stamp backend.Stamp, err error) (answer, error) {
	return said(bus.HeldReply{State: bus.StateHeld, Token: grant.Token.String()}, stamp, err)
}

// releaser is what gives back what a party has of an object.
type releaser[T any] func(ctx context.Context, n engine.Name, p coordination.Party, by backend.Write) (engine.Object[T], backend.Stamp, error)

// released answers requests to release an object of a kind.
func released[T any](s *Server, kind bus.Kind, release releaser[T]) handler {
	return func(ctx context.Context, r *request) (answer, error) {
		var q bus.ReleaseRequest
		n, err := s.about(r, kind, bus.VerbRelease, &q)
		if err != nil {
			return answer{}, err
		}
		by, err := r.by(q.Lease)
		if err != nil {
			return answer{}, err
		}
		object, stamp, err := release(ctx, n, party(&by, &q.User), by)
		return said(&object.Record, stamp, err)
	}
}

func (s *Server) arrive(ctx context.Context, r *request) (answer, error) {
	var q bus.ArriveRequest
	n, err := s.about(r, bus.KindBarrier, bus.VerbArrive, &q)
	if err != nil {
		return answer{}, err
	}
	if q.Size < 1 || q.Size > coordination.MaxWaiters {
		return answer{}, backend.Invalid("size", "is %d, must be 1 to %d", q.Size, coordination.MaxWaiters)
	}
	by, err := r.by(q.Lease)
	if err != nil {
		return answer{}, err
	}
	wait, err := s.waits(r, q.Waiting)
	if err != nil {
		return answer{}, err
	}
	arrival, stamp, err := s.coordination.Barriers.Arrive(ctx, n, party(&by, &q.User), q.Size, q.Generation, wait, by)
	return said(bus.ArriveReply(arrival), stamp, err)
}
