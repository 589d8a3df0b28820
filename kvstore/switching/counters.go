package switching

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// Counters returns the counters beside the store, which move with it.
func (s *Store) Counters() kvstore.Counters { return counters{s} }

type counters struct{ store *Store }

var _ kvstore.Guarded = counters{}

// Add implements [kvstore.Counters]. Counters have no order with the store: where a move is
// under way, a barrier after the addition tells whether it came before the seal.
//
// What a counter remembers of operations does not move: one that is sent again afterwards
// must be kept out by whoever knows that it is, as [counters.AddIf] allows.
func (c counters) Add(ctx context.Context, key string, delta int64, operation string) (kvstore.Sum, error) {
	return c.AddIf(ctx, key, delta, operation, func() error { return nil })
}

// AddIf implements [kvstore.Guarded].
func (c counters) AddIf(ctx context.Context, key string, delta int64, operation string, may func() error) (kvstore.Sum, error) {
	s := c.store
	var h *home
	for {
		var err error
		if h, err = s.enter(ctx); err == nil {
			break
		}
		if !errors.Is(err, errMoved) {
			return kvstore.Sum{}, err
		}
	}
	defer s.leave(h)
	if err := may(); err != nil {
		return kvstore.Sum{}, err
	}
	sum, err := h.Counters.Add(ctx, key, delta, operation)
	if err != nil || s.certain(h) {
		return sum, err
	}
	sent := time.Since(s.base)
	revision, err := h.Store.Barrier(ctx)
	if err == nil {
		err = s.counts(ctx, h, sent, revision)
	}
	if err != nil {
		return kvstore.Sum{}, fmt.Errorf("add to %s: %w: the registry was switched to another store meanwhile: %v", key, kvstore.ErrUnknownOutcome, err) //nolint:errorlint // nothing else is known
	}
	return sum, nil
}

// Value implements [kvstore.Counters].
func (c counters) Value(ctx context.Context, key string) (string, error) {
	return c.store.current().Counters.Value(ctx, key)
}

// Keys implements [kvstore.Counters].
func (c counters) Keys(ctx context.Context, prefix string) ([]string, error) {
	return c.store.current().Counters.Keys(ctx, prefix)
}

// maxSteps is how many additions one counter is brought over with at the most.
const maxSteps = 64

// copyCounters brings every counter of to to where that of from is. round tells one call
// from another.
func copyCounters(ctx context.Context, from, to kvstore.Counters, round string) error {
	keys, err := from.Keys(ctx, "")
	if err != nil {
		return fmt.Errorf("list the counters: %w", err)
	}
	for _, key := range keys {
		if err := copyCounter(ctx, from, to, key, round); err != nil {
			return fmt.Errorf("copy the counter %s: %w", key, err)
		}
	}
	return nil
}

func copyCounter(ctx context.Context, from, to kvstore.Counters, key, round string) error {
	want, err := number(from.Value(ctx, key))
	if err != nil {
		return err
	}
	for step := 0; ; step++ {
		is, err := number(to.Value(ctx, key))
		if err != nil {
			return err
		}
		left := new(big.Int).Sub(want, is)
		switch {
		case left.Sign() == 0 && (step > 0 || want.Sign() != 0):
			return nil
		case step == maxSteps:
			return fmt.Errorf("%s is too far from %s", is, want)
		}
		if _, err := to.Add(ctx, key, clamp(left), fmt.Sprintf("%s-%d", round, step)); err != nil {
			return err
		}
	}
}

func clamp(n *big.Int) int64 {
	if n.IsInt64() {
		return n.Int64()
	}
	return int64(n.Sign()) << 62
}

func number(text string, err error) (*big.Int, error) {
	if err != nil {
		return nil, err
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return nil, fmt.Errorf("%q is no number", text)
	}
	return n, nil
}
