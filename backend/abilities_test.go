package backend_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/backendtest"
	"github.com/roostbus/roost/backend/memory"
)

// plain hides the abilities of a Backend and cuts its pages short, so that whoever does
// without the abilities has to walk.
type plain struct{ backend.Backend }

func (p plain) List(ctx context.Context, q backend.Query) (*backend.Page, backend.Stamp, error) {
	if q.Limit == 0 && q.MaxBytes == 0 {
		q.Limit = 3
	}
	return p.Backend.List(ctx, q)
}

func open(t *testing.T, live backend.Liveness) plain {
	t.Helper()
	b := memory.New(live)
	t.Cleanup(func() { _ = b.Close() })
	return plain{b}
}

func TestABackendWithoutAbilitiesKeepsTheContract(t *testing.T) {
	t.Parallel()
	p := backendtest.Profile{NoAtomicBatch: true}
	backendtest.Run(t, p, func(t *testing.T, live backend.Liveness) backend.Backend {
		t.Helper()
		return open(t, live)
	})
}

// failing is a Backend whose List fails from the page at on.
type failing struct {
	plain
	at    int
	pages *int
}

func (f failing) List(ctx context.Context, q backend.Query) (*backend.Page, backend.Stamp, error) {
	if *f.pages++; *f.pages > f.at {
		return nil, backend.Stamp{}, backend.ErrUnavailable
	}
	return f.plain.List(ctx, q)
}

// R6: what walks pages returns no part of them when one cannot be had.
func TestWalkingFailsAsAWhole(t *testing.T) {
	t.Parallel()
	b := open(t, backend.Nobody)
	for i := range 8 {
		r := backend.Registration{Key: backend.Key{Namespace: "n", Service: fmt.Sprint("s", i/2), Instance: fmt.Sprint(i)}}
		if _, _, err := b.Register(t.Context(), r, backend.Write{}); err != nil {
			t.Fatal(err)
		}
	}
	for at := range 3 {
		n, _, err := backend.Count(t.Context(), failing{b, at, new(int)}, backend.Query{})
		if !errors.Is(err, backend.ErrUnavailable) || n != 0 {
			t.Errorf("Count when page %d fails = %d, %v; want 0 and ErrUnavailable", at, n, err)
		}
		services, _, err := backend.Services(t.Context(), failing{b, at, new(int)}, backend.Query{})
		if !errors.Is(err, backend.ErrUnavailable) || services != nil {
			t.Errorf("Services when page %d fails = %v, %v; want none and ErrUnavailable", at, services, err)
		}
		seen := 0
		var last error
		for r, err := range backend.All(t.Context(), failing{b, at, new(int)}, backend.Query{}) {
			if last != nil {
				t.Error("All goes on after its error")
			}
			if last = err; r != nil {
				seen++
			}
		}
		if !errors.Is(last, backend.ErrUnavailable) || seen != 3*at {
			t.Errorf("All when page %d fails yields %d entries, then %v", at, seen, last)
		}
	}
}

func TestPagesOfServicesBelongToOneEpoch(t *testing.T) {
	t.Parallel()
	b := open(t, backend.Nobody)
	var stamp backend.Stamp
	for _, service := range []string{"a", "b", "c"} {
		var err error
		if _, stamp, err = b.Register(t.Context(), backend.Registration{Key: backend.Key{Namespace: "n", Service: service}}, backend.Write{}); err != nil {
			t.Fatal(err)
		}
	}
	page, first, err := backend.Services(t.Context(), b, backend.Query{Limit: 2})
	if err != nil || len(page.Services) != 2 || page.Next == "" {
		t.Fatalf("Services = %+v, %v; want two of three", page, err)
	}
	rest, second, err := backend.Services(t.Context(), b, backend.Query{Limit: 2, After: page.Next})
	if err != nil || len(rest.Services) != 1 || rest.Next != "" || second.Revision != first.Revision {
		t.Errorf("the second page = %+v, %+v, %v; want the third service at %d", rest, second, err, first.Revision)
	}
	for name, q := range map[string]backend.Query{
		"a cursor of another epoch": {After: backend.Cursor{Epoch: stamp.Epoch + 1, Revision: 1, Key: "n.a."}.String()},
		"a cursor beside another":   {After: page.Next, Read: backend.Read{Epoch: stamp.Epoch + 1}},
	} {
		if _, _, err := backend.Services(t.Context(), b, q); !errors.Is(err, backend.ErrCompacted) {
			t.Errorf("%s: %v; want ErrCompacted", name, err)
		}
	}
}

func TestABatchWithoutABatcherIsStampedWithItsNewestWrite(t *testing.T) {
	t.Parallel()
	b := open(t, backend.Nobody)
	key := func(i int) backend.Key { return backend.Key{Namespace: "n", Service: "s", Instance: fmt.Sprint(i)} }
	operations := make([]backend.Operation, 4)
	for i := range operations {
		operations[i] = backend.Operation{Kind: backend.OpRegister, Registration: backend.Registration{Key: key(i)}}
	}
	operations[3] = backend.Operation{Kind: backend.OpUpdate, Registration: backend.Registration{Key: key(9)}} // fails
	results, stamp, err := backend.Batch(t.Context(), b, operations, false)
	if err != nil || stamp.Revision != results[2].Revision() || stamp.Epoch == 0 {
		t.Errorf("Batch is stamped %+v, %v; want the revision %d of the third", stamp, err, results[2].Revision())
	}
	if !errors.Is(results[3].Err, backend.ErrNotFound) || results[3].Revision() != 0 {
		t.Errorf("the failed operation = %+v", results[3])
	}
	if slices.ContainsFunc(results[:3], func(r backend.Result) bool { return r.Err != nil }) {
		t.Errorf("results %+v", results)
	}
	if results, _, err := backend.Batch(t.Context(), b, nil, false); err != nil || len(results) != 0 {
		t.Errorf("an empty batch = %v, %v", results, err)
	}
}

func TestNobodyLives(t *testing.T) {
	t.Parallel()
	lives, err := backend.Nobody.Confirm(t.Context(), "a")
	if backend.Nobody.Lives("a") || lives || err != nil {
		t.Errorf("somebody lives: %v, %v", lives, err)
	}
	backend.Nobody.OnEnd(func(backend.Ending) { t.Error("somebody ended") })()
}
