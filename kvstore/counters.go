package kvstore

import (
	"context"
	"time"
)

// CounterMemory is how long an operation of [Counters.Add] is remembered at least.
const CounterMemory = 2 * time.Minute

// Counters are sums under keys, to which many may add at once without being in each
// other's way. They are beside a Store, not in it: they have no revisions, no feed sees
// them, and nothing is conditional.
//
// Methods are safe for concurrent use and return soon after ctx is done: reads with
// ErrUnavailable, Add with ErrUnavailable if it was not sent, else with ErrUnknownOutcome.
type Counters interface {
	// Add adds delta to the counter at key, which is zero where nothing was added yet, and
	// returns what it came to. An operation that has been carried out on that key within
	// CounterMemory adds nothing again. "" is an operation of its own each time.
	// ErrInvalid, ErrUnknownOutcome.
	Add(ctx context.Context, key string, delta int64, operation string) (Sum, error)

	// Value returns what the counter at key has come to, as the leader knows it: a decimal
	// number of any size, "0" where nothing was added yet. ErrInvalid.
	Value(ctx context.Context, key string) (string, error)

	// Keys returns the keys that something was added to and that begin with prefix and a
	// dot, or all for "", in order. ErrInvalid.
	Keys(ctx context.Context, prefix string) ([]string, error)
}

// Guarded are Counters that may be exchanged for others while they are used.
type Guarded interface {
	// AddIf is Add if may returns nil, which is asked when it is certain where it is added.
	AddIf(ctx context.Context, key string, delta int64, operation string, may func() error) (Sum, error)
}

// AddIf adds to c if may returns nil, and returns its error otherwise; see [Guarded].
func AddIf(ctx context.Context, c Counters, key string, delta int64, operation string, may func() error) (Sum, error) {
	if g, ok := c.(Guarded); ok {
		return g.AddIf(ctx, key, delta, operation, may)
	}
	if err := may(); err != nil {
		return Sum{}, err
	}
	return c.Add(ctx, key, delta, operation)
}

// Sum is what an addition came to.
type Sum struct {
	Value string // decimal
	// Repeated says that the operation had been carried out before. Value is then what it
	// came to at that time, or, where that is forgotten, what the counter is now.
	Repeated bool
}

// CheckCounter reports a key, or an operation, that no Counters take: [ErrInvalid].
func CheckCounter(key, operation string) error {
	return (&Write{Key: key, Labels: Labels{Operation: operation}}).Check()
}
