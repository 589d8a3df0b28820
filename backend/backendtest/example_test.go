package backendtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/backendtest"
	"github.com/roostbus/roost/backend/memory"
)

// frozen is a Backend that refuses writes while frozen says so, for maintenance. What it
// does not override is the other's: embedding is all that a decorator needs. The abilities
// of the other, batches among them, are not passed on: backend.Batch then goes through the
// methods below, one operation after the other.
type frozen struct {
	backend.Backend
	frozen func() bool
}

var _ backend.Backend = frozen{}

// errFrozen is an ErrUnavailable, so callers know that nothing was done and may retry.
var errFrozen = fmt.Errorf("%w: frozen for maintenance", backend.ErrUnavailable)

func (f frozen) Register(ctx context.Context, r backend.Registration, w backend.Write) (backend.Registration, backend.Stamp, error) {
	if f.frozen() {
		return backend.Registration{}, backend.Stamp{}, errFrozen
	}
	return f.Backend.Register(ctx, r, w)
}

func (f frozen) Update(ctx context.Context, key backend.Key, c backend.Change, w backend.Write) (backend.Registration, backend.Stamp, error) {
	if f.frozen() {
		return backend.Registration{}, backend.Stamp{}, errFrozen
	}
	return f.Backend.Update(ctx, key, c, w)
}

func (f frozen) Unregister(ctx context.Context, key backend.Key, w backend.Write) (backend.Removal, backend.Stamp, error) {
	if f.frozen() {
		return backend.Removal{}, backend.Stamp{}, errFrozen
	}
	return f.Backend.Unregister(ctx, key, w)
}

// Example adds a backend by wrapping one.
func Example() {
	ctx := context.Background()
	maintenance := false
	b := frozen{memory.New(backend.Nobody), func() bool { return maintenance }}
	r := backend.Registration{Key: backend.Key{Namespace: "default", Service: "payments", Instance: "i-1"}}
	if _, _, err := b.Register(ctx, r, backend.Write{}); err != nil {
		fmt.Println(err)
	}
	maintenance = true
	_, _, err := b.Unregister(ctx, r.Key, backend.Write{})
	fmt.Println(errors.Is(err, backend.ErrUnavailable), err)
	n, _, err := backend.Count(ctx, b, backend.Query{})
	fmt.Println(n, err)
	// Output:
	// true unavailable: frozen for maintenance
	// 1 <nil>
}

// TestAWrappedBackendKeepsTheContract is the whole test of a backend.
func TestAWrappedBackendKeepsTheContract(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Profile{NoAtomicBatch: true}, func(t *testing.T, live backend.Liveness) backend.Backend {
		t.Helper()
		return frozen{memory.New(live), func() bool { return false }}
	})
}
