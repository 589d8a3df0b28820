package server

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination/keeper/clock"
)

// LeaseClock is who decides about leases: a [clock.Clock].
type LeaseClock interface {
	Touch(owner string, c clock.Connection) (clock.Beat, bool)
	TouchAll(owners [][]byte, c clock.Connection) (clock.Beat, bool)
	Keepalive(ctx context.Context, owners []string, c clock.Connection) (beat clock.Beat, expired []int, err error)
	Grant(ctx context.Context, r clock.Request) (clock.Beat, error)
	Revoke(ctx context.Context, owner, reason string) (revision uint64, err error)
	Get(ctx context.Context, owner string) (clock.Status, error)
	List(ctx context.Context, after string, limit int) ([]clock.Status, error)
}

// Leases answers requests about leases, while the node is the keeper. It is the
// [clock.Door] of its Clock.
//
// Requests come on plain subscriptions, one a subject, that are there only while it is
// open: a request that nobody hears is told so by NATS at once, and only the keeper hears
// any. `nats micro info` shows services and their queue groups only, so not these.
type Leases struct {
	responder
	endpoints []*endpoint

	fullOfQueries, fullOfKeepalives *refusal

	turn  sync.Mutex // held by whoever opens or closes
	mu    sync.RWMutex
	hours *hours // nil while closed
}

var _ clock.Door = (*Leases)(nil)

// NewLeases returns Leases that are closed. They answer through nc, on which the [Server]
// of b may answer, too, and close neither nc nor b.
func NewLeases(nc *nats.Conn, b backend.Backend, cfg Config, opts ...Option) (*Leases, error) {
	l := &Leases{}
	if err := l.set(nc, b, cfg, opts); err != nil {
		return nil, fmt.Errorf("leases: %w", err)
	}
	var err error
	if l.fullOfQueries, err = newRefusal("lease requests", cfg.MaxInFlight); err == nil {
		l.fullOfKeepalives, err = newRefusal("keepalives", cfg.MaxKeepalives)
	}
	if err != nil {
		return nil, fmt.Errorf("leases: %w", err)
	}
	if l.owned == nil {
		l.owned = func(string) int { return 0 }
	}
	l.endpoints = []*endpoint{
		{name: "lease-grant", subject: l.subjects.LeaseGrant()},
		{name: "lease-keepalive", subject: l.subjects.LeaseKeepalive(), keepsAlive: true},
		{name: "lease-revoke", subject: l.subjects.LeaseRevoke()},
		{name: "lease-get", subject: l.subjects.LeaseGet("*"), reads: true},
		{name: "lease-list", subject: l.subjects.LeaseList(), reads: true},
		{name: "admin-revoke", subject: l.subjects.AdminRevoke("*")},
	}
	for _, e := range l.endpoints {
		e.ends = ends(e.name)
	}
	return l, nil
}

// Open implements [clock.Door].
func (l *Leases) Open(ctx context.Context, c *clock.Clock) error { return l.OpenTo(ctx, c) }

// OpenTo is Open for whatever else decides about leases.
func (l *Leases) OpenTo(ctx context.Context, c LeaseClock) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.shut() //nolint:contextcheck // what was open before has its own time to end
	h := l.newHours(ctx, c)
	l.mu.Lock()
	l.hours = h
	l.mu.Unlock()
	if err := h.begin(ctx); err != nil {
		l.shut() //nolint:contextcheck // likewise
		return fmt.Errorf("open for leases: %w", err)
	}
	return nil
}

// Settle implements [clock.Door]. It asks NATS for a PONG and then waits until everything
// that was queued when that came has been handed on.
//
// That is as good as a message to oneself: a NATS server writes to a connection in one
// order, so what it had for this connection when it saw the PING comes before the PONG, as
// it would come before a message. Requests that were still on their way from another
// server are behind either. But a message would need a subject that the answering
// connection may publish to and subscribe to, and there is none, by design.
func (l *Leases) Settle(ctx context.Context) error {
	l.mu.RLock()
	h := l.hours
	l.mu.RUnlock()
	if h == nil {
		return errClosed
	}
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	if err := l.Reach(ctx); err != nil {
		return fmt.Errorf("settle requests of leases: %w", err)
	}
	return h.settle(ctx)
}

// Reach implements [clock.Door].
func (l *Leases) Reach(ctx context.Context) error {
	if !l.nc.IsConnected() {
		return nats.ErrDisconnected
	}
	return l.nc.FlushWithContext(ctx)
}

// errClosed means that nobody is heard.
var errClosed = errors.New("closed for leases")

// Close implements [clock.Door]. What is in hand gets a moment to be answered.
func (l *Leases) Close() {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.shut()
}

// shut is Close; the caller has the turn.
func (l *Leases) shut() {
	l.mu.Lock()
	h := l.hours
	l.hours = nil
	l.mu.Unlock()
	if h != nil {
		h.cease()
	}
}

// Stats returns what has been asked about leases since l was made.
func (l *Leases) Stats() bus.RequestStats {
	sum := bus.RequestStats{Limit: int64(l.cfg.MaxInFlight), WaitingLimit: int64(l.cfg.MaxKeepalives)}
	l.mu.RLock()
	if h := l.hours; h != nil {
		sum.InFlight, sum.Waiting = h.queries.inFlight.Load(), h.keepalives.inFlight.Load()
	}
	l.mu.RUnlock()
	for _, e := range l.endpoints {
		e.stats.addTo(&sum)
	}
	return sum
}
