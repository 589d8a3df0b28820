package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
	"github.com/roostbus/roost/bus/client/follow"
)

// Replica is a local copy of what a query selects, kept by the rule of package follow:
// reads of it cost no message, and while the registry or NATS is away it goes on showing
// the last good state and says how old that is. Make one with [NewReplica], and have a
// goroutine in [Replica.Run].
//
//	r, err := client.NewReplica(c, client.Query{Scope: client.Scope{Namespace: "default"}})
//	go r.Run(ctx)
//	err = r.Ready(ctx)
//	payments := r.Service("default", "payments")
//	instance, ok := payments.Pick()
//
// It never goes back to an earlier state of a registration, never shows one that is known
// to be gone, and ends with exactly the registry's state, but for what has changed within
// the last moments. Before it is ready it is empty.
//
// All methods may be called from any goroutine; look-ups and picks take no lock.
type Replica struct {
	c       *Client
	query   Query
	options replicaOptions
	view    *view.View
	rule    *follow.Follower

	running atomic.Bool
	linked  atomic.Bool // Run has a subscription and the connection stands
	ready   chan struct{}
	made    time.Time
	good    atomic.Int64 // when the state was last known to be good, since made

	mu       sync.Mutex // held while changes are taken in
	readers  map[*reader]struct{}
	services map[Scope]*Service
	dirty    []*Service
}

// ReplicaOption configures a Replica.
type ReplicaOption interface{ applyReplica(*replicaOptions) }

type replicaOptions struct {
	keep   func(*Registration) bool
	again  time.Duration
	buffer int
}

type replicaOptionFunc func(*replicaOptions)

func (f replicaOptionFunc) applyReplica(o *replicaOptions) { f(o) }

// Matching keeps only registrations for which f returns true. It is called once for
// every change and must depend on the registration alone.
func Matching(f func(*Registration) bool) ReplicaOption {
	return replicaOptionFunc(func(o *replicaOptions) { o.keep = f })
}

// WithRefresh has a Replica that has heard of no trouble make sure about every d, 5
// minutes unless set.
func WithRefresh(d time.Duration) ReplicaOption {
	return replicaOptionFunc(func(o *replicaOptions) { o.again = d })
}

// WithEventBuffer sets how many events may wait, 8192 unless set, before a list replaces
// them.
func WithEventBuffer(n int) ReplicaOption {
	return replicaOptionFunc(func(o *replicaOptions) { o.buffer = n })
}

// NewReplica returns a Replica of what q selects, which is empty until [Replica.Run] has
// filled it. q's Filter is judged by the registry, at the price of a list for what changes
// in q's scope; Where and Status are judged here, as [Matching] is. q's limits and Read
// count for nothing.
func NewReplica(c *Client, q Query, opts ...ReplicaOption) (*Replica, error) {
	q = Query{Scope: q.Scope, Where: q.Where, Filter: q.Filter, Status: q.Status}
	if err := q.Validate(); err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	r := &Replica{
		c: c, query: q, options: replicaOptions{again: relisting, buffer: eventBuffer},
		view: view.New(0), rule: follow.New(), ready: make(chan struct{}), made: time.Now(),
		readers: map[*reader]struct{}{}, services: map[Scope]*Service{},
	}
	for _, o := range opts {
		o.applyReplica(&r.options)
	}
	if r.options.again <= 0 || r.options.buffer <= 0 {
		return nil, errors.New("replica: refresh and event buffer must be positive")
	}
	if q.Filter != "" {
		r.rule.JudgedByLists()
	}
	return r, nil
}

// Ready returns nil once the Replica has been filled. It stays ready.
func (r *Replica) Ready(ctx context.Context) error {
	select {
	case <-r.ready:
		return nil
	default:
	}
	select {
	case <-r.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("replica of %s not ready: %w: %w", r.query.Scope, backend.ErrUnavailable, context.Cause(ctx))
	}
}

// Lookup returns the registration at key, which is shared and must not be changed.
func (r *Replica) Lookup(key Key) (found *Registration, ok bool) {
	found, _ = r.view.Lookup(key)
	return found, found != nil
}

// List returns one page of what q selects of what the Replica holds, as [Client.List]
// does. It does not wait, and knows no Filter and no Since.
func (r *Replica) List(q Query) (*Page, error) {
	if q.Filter != "" || q.Since != nil {
		return nil, backend.Invalid("filter", "a replica lists by scope, where and status")
	}
	q.Read = Read{}
	if err := q.Validate(); err != nil {
		return nil, err
	}
	page, _, err := r.view.List(context.Background(), q, nil)
	return page, err
}

// All returns everything that the Replica holds at one moment, ordered as lists are. The
// registrations are shared and must not be changed.
func (r *Replica) All() []*Registration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all()
}

// all is All where r.mu is held, so that no epoch begins between two pages.
func (r *Replica) all() []*Registration {
	all := make([]*Registration, 0, r.Len())
	for q := (Query{}); ; {
		page, err := r.List(q)
		if err != nil { // nothing of q is of a caller
			r.c.log.Error("replica cannot list what it holds", slog.Any("err", err))
			return all
		}
		all = append(all, page.Registrations...)
		if q.After = page.Next; q.After == "" {
			return all
		}
	}
}

// Len returns how many registrations the Replica holds.
func (r *Replica) Len() int {
	n, _ := r.view.Size()
	return n
}

// ReplicaState says how a Replica is.
type ReplicaState struct {
	Ready     bool
	Following bool // it hears the registry's events at present
	// Stamp is that of the newest complete list; what was heard since is newer.
	Stamp Stamp
	// Age is how long ago the state was last known to be good: when the registry was last
	// heard, with nothing missing. It is not a bound: an event may be lost unnoticed until
	// the keeper's next beacon.
	Age           time.Duration
	Registrations int
}

// State says how the Replica is.
func (r *Replica) State() ReplicaState {
	s := ReplicaState{Following: r.linked.Load() && r.c.connected(), Age: r.Staleness(), Registrations: r.Len(), Stamp: r.view.Stamp()}
	select {
	case <-r.ready:
		s.Ready = true
	default:
	}
	s.Stamp.Age = s.Age
	return s
}

// Staleness is State().Age: how long ago the state was last known to be good. Before the
// Replica is ready it is the time since it was made.
func (r *Replica) Staleness() time.Duration {
	return time.Since(r.made) - time.Duration(r.good.Load())
}

// heardGood notes that the state was good at an instant.
func (r *Replica) heardGood(at time.Time) {
	if since := int64(at.Sub(r.made)); since > r.good.Load() {
		r.good.Store(since)
	}
}
