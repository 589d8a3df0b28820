package memory_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/backendtest"
	"github.com/roostbus/roost/backend/memory"
)

func instance(i int) backend.Registration {
	return backend.Registration{
		Key: backend.Key{Namespace: "default", Service: "payments", Instance: fmt.Sprint(i)}, Weight: 100,
	}
}

func TestNothingOfAnEndedOwnerIsLeftWhoeverWinsTheRace(t *testing.T) {
	t.Parallel()
	for range 50 {
		leases := backendtest.NewLeases()
		b := memory.New(leases)
		leases.Grant("o")
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for n := range 20 {
					_, _, err := b.Register(t.Context(), instance(100*i+n), backend.Write{Owner: "o"})
					if err != nil && !errors.Is(err, backend.ErrLeaseExpired) {
						t.Errorf("Register: %v", err)
					}
				}
			})
		}
		leases.End("o", backend.ReasonClosed)
		wg.Wait()
		if h, err := b.Health(t.Context()); err != nil || h.Registrations != 0 {
			t.Errorf("Health = %+v, %v; want no registrations", h, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestEndingHasOneRevisionOfItsOwn(t *testing.T) {
	t.Parallel()
	leases := backendtest.NewLeases()
	b := memory.New(leases, memory.WithEpoch(7))
	defer b.Close()
	leases.Grant("o")
	for i := range 3 {
		if _, _, err := b.Register(t.Context(), instance(i), backend.Write{Owner: "o"}); err != nil {
			t.Fatal(err)
		}
	}
	leases.End("o", backend.ReasonExpired)
	n := 0
	for e, err := range b.Watch(t.Context(), backend.Query{}, 3) {
		if err != nil || e.Kind != backend.Expired || e.Revision != 4 || e.Reason != backend.ReasonExpired {
			t.Errorf("event = %+v, %v; want an Expired at 4", e, err)
		}
		if n++; n == 3 {
			break
		}
	}
	_, stamp, err := b.Lookup(t.Context(), instance(0).Key, backend.Read{MinRevision: 4, Epoch: 7})
	if want := (backend.Stamp{Revision: 4, Epoch: 7}); !errors.Is(err, backend.ErrNotFound) || stamp != want {
		t.Errorf("Lookup = %v, %v; want ErrNotFound at %v", stamp, err, want)
	}
	r, _, err := b.Register(t.Context(), instance(0), backend.Write{})
	if err != nil || r.Revision != 5 || r.CreatedRevision != 5 {
		t.Errorf("Register of the name = %+v, %v; want a new one at 5", r, err)
	}
}
