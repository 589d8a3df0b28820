package backendtest

import (
	"context"
	"errors"
	"testing"

	"github.com/roostbus/roost/backend"
)

var contextClauses = []clause{
	{name: "ACallWhoseContextIsDoneDoesNothing", check: contextDone},
	{name: "AWaitEndsWithItsContext", check: contextEnds},
}

func contextDone(t *testing.T, s subject) {
	kept, _ := s.register(t, instance("payments", "kept"), backend.Write{})
	reason := errors.New("the caller has gone home")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	because, cancelBecause := context.WithCancelCause(t.Context())
	cancelBecause(reason)
	for cause, ctx := range map[error]context.Context{context.Canceled: cancelled, reason: because} {
		check := func(what string, err error) {
			t.Helper()
			fails(t, what, err, backend.ErrUnavailable)
			fails(t, what, err, cause)
		}
		_, _, err := s.Register(ctx, instance("payments", "new"), backend.Write{})
		check("Register", err)
		_, _, err = s.Update(ctx, kept.Key, backend.Change{Weight: address[uint16](7)}, backend.Write{})
		check("Update", err)
		_, _, err = s.Unregister(ctx, kept.Key, backend.Write{})
		check("Unregister", err)
		_, _, err = s.Lookup(ctx, kept.Key, backend.Read{})
		check("Lookup", err)
		_, _, err = s.List(ctx, backend.Query{})
		check("List", err)
		_, _, err = backend.Count(ctx, s.Backend, backend.Query{})
		check("Count", err)
		_, _, err = backend.Services(ctx, s.Backend, backend.Query{})
		check("Services", err)
		_, err = s.Health(ctx)
		check("Health", err)

		results, _, err := backend.Batch(ctx, s.Backend, []backend.Operation{registering(instance("payments", "new"), backend.Write{})}, false)
		if err == nil { // each may fail by itself
			err = results[0].Err
		}
		check("Batch", err)
	}
	same(t, s.lookup(t, kept.Key, linearizable), kept)
	s.selects(t, backend.Query{Read: linearizable}, "kept")
}

func contextEnds(t *testing.T, s subject) {
	r, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	ctx, cancel := context.WithCancel(patient(t))
	ended := make(chan error, 1)
	go func() {
		_, _, err := s.Lookup(ctx, r.Key, backend.Read{MinRevision: stamp.Revision + 1_000_000, Epoch: stamp.Epoch})
		ended <- err
	}()
	s.lookup(t, r.Key, linearizable)
	cancel()
	err := <-ended
	fails(t, "Lookup", err, backend.ErrUnavailable)
	fails(t, "Lookup", err, context.Canceled)
}
