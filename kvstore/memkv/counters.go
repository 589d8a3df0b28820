package memkv

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// Counters are kvstore.Counters in memory.
type Counters struct {
	mu       sync.Mutex
	sums     map[string]*big.Int
	done     map[operation]string // what it came to
	order    []remembered         // those in done, the oldest first
	loseAcks int
}

// operation is one on one key.
type operation struct{ key, id string }

type remembered struct {
	operation
	at time.Time
}

var _ kvstore.Counters = (*Counters)(nil)

// NewCounters returns Counters that nothing was added to.
func NewCounters() *Counters {
	return &Counters{sums: map[string]*big.Int{}, done: map[operation]string{}}
}

// Add adds delta to the counter at key.
func (c *Counters) Add(ctx context.Context, key string, delta int64, id string) (kvstore.Sum, error) {
	if err := kvstore.CheckCounter(key, id); err != nil {
		return kvstore.Sum{}, fmt.Errorf("add to %s: %w", key, err)
	}
	if err := alive(ctx); err != nil {
		return kvstore.Sum{}, fmt.Errorf("add to %s: %w", key, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
	op := operation{key, id}
	if value, again := c.done[op]; again {
		return kvstore.Sum{Value: value, Repeated: true}, nil
	}
	sum := c.sums[key]
	if sum == nil {
		sum = new(big.Int)
		c.sums[key] = sum
	}
	value := sum.Add(sum, big.NewInt(delta)).String()
	if id != "" {
		c.done[op] = value
		c.order = append(c.order, remembered{op, time.Now()})
	}
	if c.loseAcks > 0 {
		c.loseAcks--
		return kvstore.Sum{}, fmt.Errorf("add to %s: %w: injected", key, kvstore.ErrUnknownOutcome)
	}
	return kvstore.Sum{Value: value}, nil
}

// forget drops the operations of long ago.
func (c *Counters) forget() {
	n := 0
	for n < len(c.order) && time.Since(c.order[n].at) > kvstore.CounterMemory {
		delete(c.done, c.order[n].operation)
		n++
	}
	c.order = c.order[n:]
}

// Value returns what the counter at key has come to.
func (c *Counters) Value(ctx context.Context, key string) (string, error) {
	if err := kvstore.CheckCounter(key, ""); err != nil {
		return "", fmt.Errorf("counter %s: %w", key, err)
	}
	if err := alive(ctx); err != nil {
		return "", fmt.Errorf("counter %s: %w", key, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if sum := c.sums[key]; sum != nil {
		return sum.String(), nil
	}
	return "0", nil
}

// Keys returns the keys under prefix.
func (c *Counters) Keys(ctx context.Context, prefix string) ([]string, error) {
	if prefix != "" {
		if err := kvstore.CheckCounter(prefix, ""); err != nil {
			return nil, fmt.Errorf("counters under %s: %w", prefix, err)
		}
	}
	if err := alive(ctx); err != nil {
		return nil, fmt.Errorf("counters under %s: %w", prefix, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var keys []string
	for key := range c.sums {
		if prefix == "" || strings.HasPrefix(key, prefix+".") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// LoseAcknowledgements makes the next n additions happen and yet return
// kvstore.ErrUnknownOutcome.
func (c *Counters) LoseAcknowledgements(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loseAcks = n
}

func alive(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", kvstore.ErrUnavailable, context.Cause(ctx))
	}
	return nil
}
