package server

import (
	"log/slog"
	"time"

	"github.com/roostbus/roost/bus"
)

// Observer receives what a Server does. Any field may be nil. Calls come from many
// goroutines at once and must not block.
type Observer struct {
	// Answered is called for every request that was carried out. code is "" for a success.
	Answered func(endpoint string, code bus.Code, took time.Duration)
	// Refused is called for every request beyond the limit.
	Refused func(endpoint string)
	// Misdirected is called for every request that named a forbidden reply subject.
	Misdirected func(endpoint, reply string)
	// Panicked is called for every panic of a handler.
	Panicked func(endpoint string, value any)
}

func (o *Observer) watches() bool { return o != nil && o.Answered != nil }

func (o *Observer) refused(endpoint string) {
	if o != nil && o.Refused != nil {
		o.Refused(endpoint)
	}
}

func (o *Observer) misdirected(endpoint, reply string) {
	if o != nil && o.Misdirected != nil {
		o.Misdirected(endpoint, reply)
	}
}

func (o *Observer) panicked(endpoint string, value any) {
	if o != nil && o.Panicked != nil {
		o.Panicked(endpoint, value)
	}
}

// Option injects what a program has and an operator does not.
type Option interface{ apply(*options) }

type options struct {
	log    *slog.Logger
	obs    *Observer
	tasks  func() []bus.Task
	keeper func() *bus.Keeper

	operations func() []bus.Operation

	coordination Coordination
	backups      Backups
	switching    Switcher
	past         *History

	leases  func() LeaseHealth
	cluster Cluster
	owned   func(owner string) int
}

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) Option { return optionFunc(func(o *options) { o.log = l }) }

// WithObserver reports what happens to obs.
func WithObserver(obs *Observer) Option { return optionFunc(func(o *options) { o.obs = obs }) }

// WithTasks has the health reply show the tasks that f returns. f must not block.
func WithTasks(f func() []bus.Task) Option { return optionFunc(func(o *options) { o.tasks = f }) }

// WithOperations has the health reply, and NATS's statistics of the service, show what f
// returns. f must not block.
func WithOperations(f func() []bus.Operation) Option {
	return optionFunc(func(o *options) { o.operations = f })
}

// WithKeeper has the health reply show the keeper that f returns; nil if none is known,
// which is a problem. f must not block.
func WithKeeper(f func() *bus.Keeper) Option {
	return optionFunc(func(o *options) { o.keeper = f })
}

// LeaseHealth is what a node knows of leases.
type LeaseHealth struct {
	Leases         int  // that live
	Events         bool // of closed connections are heard
	Keeper         bool // this node decides about them, and knows how they are
	Suspects, Held int
}

// WithLeases has the health reply show the leases that f knows of. f must not block.
func WithLeases(f func() LeaseHealth) Option {
	return optionFunc(func(o *options) { o.leases = f })
}

// WithOwned has [Leases] say how many registrations a lease owns: as many as f returns, as
// far as this node has seen. f must not block.
func WithOwned(f func(owner string) int) Option {
	return optionFunc(func(o *options) { o.owned = f })
}
