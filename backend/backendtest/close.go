package backendtest

import (
	"testing"

	"github.com/roostbus/roost/backend"
)

var closeClauses = []clause{
	{name: "CloseIsIdempotentAndEveryLaterCallIsErrClosed", check: closed},
	{name: "CloseEndsWatchesAndWaits", check: closeEnds},
}

// R6.
func closed(t *testing.T, s subject) {
	r, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	for range 3 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close = %v; want nil", err)
		}
	}
	check := func(what string, err error) {
		t.Helper()
		fails(t, what, err, backend.ErrClosed)
		fails(t, what, err, backend.ErrUnavailable)
	}
	ctx := patient(t)
	_, _, err := s.Register(ctx, r, backend.Write{})
	check("Register", err)
	_, _, err = s.Update(ctx, r.Key, backend.Change{}, backend.Write{})
	check("Update", err)
	_, _, err = s.Unregister(ctx, r.Key, backend.Write{})
	check("Unregister", err)
	_, _, err = s.Lookup(ctx, r.Key, backend.Read{})
	check("Lookup", err)
	page, _, err := s.List(ctx, backend.Query{})
	check("List", err)
	if page != nil {
		t.Errorf("List returned %d entries beside its error", len(page.Registrations))
	}
	_, _, err = backend.Count(ctx, s.Backend, backend.Query{})
	check("Count", err)
	_, _, err = backend.Services(ctx, s.Backend, backend.Query{})
	check("Services", err)
	_, err = s.Health(ctx)
	check("Health", err)
	results, _, err := backend.Batch(ctx, s.Backend, []backend.Operation{registering(r, backend.Write{})}, false)
	if err == nil { // each may fail by itself
		err = results[0].Err
	}
	check("Batch", err)
	check("Watch", s.watch(t, backend.Query{}, stamp.Revision).wait(t))
}

func closeEnds(t *testing.T, s subject) {
	r, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	w := s.watch(t, backend.Query{}, stamp.Revision)
	s.quiet(t, w) // it is watching
	ended := make(chan error, 1)
	ctx := patient(t)
	go func() {
		_, _, err := s.Lookup(ctx, r.Key, backend.Read{MinRevision: stamp.Revision + 1_000_000, Epoch: stamp.Epoch})
		ended <- err
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fails(t, "Watch", w.wait(t), backend.ErrClosed)
	fails(t, "Lookup", <-ended, backend.ErrClosed)
}
