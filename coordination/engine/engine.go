package engine

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
)

// Epochs says the epoch of what the feed shows, and whether there is one.
type Epochs interface {
	Current() (epoch uint32, ok bool)
}

// Office is who knows whether this node is the keeper. A *keeper.Keeper is one.
type Office interface {
	Tenure() (keeper.Tenure, bool)
}

// Engine is a node's part in coordination.
type Engine struct {
	Elections  Elections
	Locks      Locks
	Semaphores Semaphores
	Barriers   Barriers
	Proposals  Proposals

	*world
	idle    time.Duration
	office  Office
	shelves []shelf
	probes  *probes

	wake    chan struct{}
	keeping atomic.Bool // changes are of interest

	mu      sync.Mutex
	running bool
	news    map[spot]struct{} // that changed since Run looked
	fresh   bool              // all have to be looked at
}

// spot is the place of one record.
type spot struct {
	shelf shelf
	key   string
}

// Option injects what a program has and an operator does not.
type Option interface{ apply(*options) }

type options struct {
	log  *slog.Logger
	idle time.Duration
}

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) Option { return optionFunc(func(o *options) { o.log = l }) }

// WithIdle has the records of locks and semaphores be removed that nobody has used for d.
// The default is an hour.
func WithIdle(d time.Duration) Option { return optionFunc(func(o *options) { o.idle = d }) }

// New returns an Engine of the node of that name, under which store writes its probes. It
// subscribes to tail, which must not run yet, after leases has. tail follows store.
func New(store kvstore.Store, tail *kvstore.Tail, leases *lease.Table, epochs Epochs, office Office, node string, opts ...Option) (*Engine, error) {
	if node == "" {
		return nil, errors.New("engine: a node needs a name")
	}
	o := options{log: slog.New(slog.DiscardHandler), idle: time.Hour}
	for _, opt := range opts {
		opt.apply(&o)
	}
	e := &Engine{
		idle: o.idle, office: office, probes: newProbes(),
		wake: make(chan struct{}, 1), news: map[spot]struct{}{},
		world: &world{
			store: store, tail: tail, leases: leases, epochs: epochs, log: o.log,
			node: node, instance: rand.Text()[:10] + "-",
		},
	}
	tail.Subscribe(kvstore.ProbePrefix, e.probes)
	e.Elections = Elections{open(e, &elections)}
	e.Locks = Locks{open(e, &locks)}
	e.Semaphores = Semaphores{open(e, &semaphores)}
	e.Barriers = Barriers{open(e, &barriers)}
	e.Proposals = Proposals{open(e, &proposals)}
	leases.OnEnd(e.ended)
	return e, nil
}

// open returns the objects of a kind, of which e takes care.
func open[T any](e *Engine, k *kind[T]) *Objects[T] {
	var o *Objects[T]
	o = newObjects(e.world, k, func(key string) { e.changed(o, key) })
	e.shelves = append(e.shelves, o)
	return o
}

// Owned returns how many records name owner, as far as this node has seen.
func (e *Engine) Owned(owner string) (n int) {
	for _, s := range e.shelves {
		n += len(s.keys(owner))
	}
	return n
}

// ended is told of every ending of a lease, from the feed.
func (e *Engine) ended(ending backend.Ending) {
	for _, s := range e.shelves {
		s.ended(ending.Owner)
	}
}

// changed is told of every change of a record, from the feed; "" stands for all of a shelf.
func (e *Engine) changed(s shelf, key string) {
	if key != "" && !e.keeping.Load() && !s.leaves(key) {
		return
	}
	e.mu.Lock()
	if key == "" {
		e.fresh = true
	} else {
		e.news[spot{s, key}] = struct{}{}
	}
	e.mu.Unlock()
	notify(e.wake)
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
