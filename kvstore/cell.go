package kvstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Cell is one key whose value is a T, as JSON. It is a small value; copy it freely.
type Cell[T any] struct {
	store Store
	key   string
}

// CellAt returns the Cell at key.
func CellAt[T any](store Store, key string) Cell[T] { return Cell[T]{store: store, key: key} }

// Key returns the key.
func (c Cell[T]) Key() string { return c.key }

// Get returns the value and its revision, as the store's leader knows them. Where there
// is none, or it was removed, the value is the zero T and the revision the one to expect:
// 0, or that of the removal.
func (c Cell[T]) Get(ctx context.Context) (T, uint64, error) {
	var zero T
	e, err := c.store.Get(ctx, c.key)
	if errors.Is(err, ErrNotFound) {
		return zero, 0, nil
	}
	if err != nil || e.Removed {
		return zero, e.Revision, err
	}
	value, err := Decode[T](e)
	return value, e.Revision, err
}

// Set stores value if the key is at revision expect, and returns its new revision: the
// errors of [Store.Write].
func (c Cell[T]) Set(ctx context.Context, value T, expect uint64, labels Labels) (uint64, error) {
	w, err := c.Write(value, expect, labels)
	if err != nil {
		return 0, err
	}
	return c.store.Write(ctx, w)
}

// Remove removes the value if the key is at revision expect, and returns the revision of
// the removal, which is remembered for keep: the errors of [Store.Write].
func (c Cell[T]) Remove(ctx context.Context, expect uint64, keep time.Duration, labels Labels) (uint64, error) {
	return c.store.Write(ctx, Write{Key: c.key, Expect: expect, Remove: true, Keep: keep, Labels: labels})
}

// Write returns the write that Set makes, for a batch.
func (c Cell[T]) Write(value T, expect uint64, labels Labels) (Write, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return Write{}, fmt.Errorf("encode %s: %w", c.key, err)
	}
	return Write{Key: c.key, Value: data, Expect: expect, Labels: labels}, nil
}

// Decode returns the value of an entry of a Cell, such as a feed shows.
func Decode[T any](e Entry) (T, error) {
	var value T
	if err := json.Unmarshal(e.Value, &value); err != nil {
		return value, fmt.Errorf("decode %s at revision %d: %w", e.Key, e.Revision, err)
	}
	return value, nil
}
