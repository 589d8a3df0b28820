package server

import (
	"context"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/kvstore"
)

// Coordination is what requests about objects are answered from: an [engine.Engine], and
// counters. A kind that is nil has no endpoints.
type Coordination struct {
	Elections  Elections
	Locks      Locks
	Semaphores Semaphores
	Barriers   Barriers
	Proposals  Proposals
	Counters   kvstore.Counters
	// Epoch returns the epoch of what the feed shows, if it is decided. Where it is nil,
	// additions that are of another one are not told.
	Epoch func() (epoch uint32, ok bool)
}

// CoordinationOf returns what e and counters answer.
func CoordinationOf(e *engine.Engine, counters kvstore.Counters) Coordination {
	return Coordination{
		Elections: e.Elections, Locks: e.Locks, Semaphores: e.Semaphores, Barriers: e.Barriers, Proposals: e.Proposals,
		Counters: counters,
	}
}

// WithCoordination has a [Server] answer requests about objects from c.
func WithCoordination(c Coordination) Option {
	return optionFunc(func(o *options) { o.coordination = c })
}

// Objects is what all kinds of records have in common. by.Owner is whose lease was shown, ""
// of an operator.
type Objects[T any] interface {
	Get(ctx context.Context, n engine.Name, read backend.Read) (engine.Object[T], backend.Stamp, error)
	List(ctx context.Context, namespace, after string, limit int, read backend.Read) (engine.Page, backend.Stamp, error)
	Clear(ctx context.Context, n engine.Name, by backend.Write) (engine.Object[T], backend.Stamp, error)
}

// Elections are all elections: [engine.Elections].
type Elections interface {
	Objects[coordination.Election]
	Campaign(ctx context.Context, n engine.Name, c coordination.Candidate, wait time.Duration, by backend.Write) (engine.Standing, backend.Stamp, error)
	Resign(ctx context.Context, n engine.Name, owner string, by backend.Write) (engine.Object[coordination.Election], backend.Stamp, error)
	Transfer(ctx context.Context, n engine.Name, owner, to string, by backend.Write) (engine.Object[coordination.Election], backend.Stamp, error)
}

// Locks are all locks: [engine.Locks].
type Locks interface {
	Objects[coordination.Lock]
	Acquire(ctx context.Context, n engine.Name, p coordination.Party, mode coordination.Mode, wait time.Duration, by backend.Write) (engine.Grant, backend.Stamp, error)
	Release(ctx context.Context, n engine.Name, p coordination.Party, by backend.Write) (engine.Object[coordination.Lock], backend.Stamp, error)
}

// Semaphores are all semaphores: [engine.Semaphores].
type Semaphores interface {
	Objects[coordination.Semaphore]
	Acquire(ctx context.Context, n engine.Name, p coordination.Party, permits, limit int, wait time.Duration, by backend.Write) (engine.Grant, backend.Stamp, error)
	Release(ctx context.Context, n engine.Name, p coordination.Party, by backend.Write) (engine.Object[coordination.Semaphore], backend.Stamp, error)
}

// Barriers are all barriers: [engine.Barriers].
type Barriers interface {
	Objects[coordination.Barrier]
	Arrive(ctx context.Context, n engine.Name, p coordination.Party, size int, generation uint64, wait time.Duration, by backend.Write) (coordination.Arrival, backend.Stamp, error)
}

// Proposals are all proposals: [engine.Proposals].
type Proposals interface {
	Objects[coordination.Proposals]
	Propose(ctx context.Context, n engine.Name, what coordination.Proposal, by backend.Write) (coordination.Proposal, backend.Stamp, error)
	Vote(ctx context.Context, n engine.Name, id string, ballot coordination.Ballot, by backend.Write) (coordination.Proposal, backend.Stamp, error)
}
