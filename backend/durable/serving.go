package durable

import (
	"context"
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/kvstore"
)

// Ready waits until calls are answered and [kvstore.Tail.Age] is known.
func (f *Feed) Ready(ctx context.Context) error {
	if err := f.tail.Ready(ctx); err != nil {
		return unavailable(err)
	}
	select {
	case <-f.first:
	case <-ctx.Done():
		return unavailable(fmt.Errorf("the epoch of the bucket is not decided: %w", context.Cause(ctx)))
	}
	return f.Sync(ctx)
}

// Sync returns when everything acknowledged before the call has been applied.
func (f *Feed) Sync(ctx context.Context) error {
	if err := f.tail.Barrier(ctx); err != nil {
		return unavailable(err)
	}
	return nil
}

func unavailable(cause error) error { return fmt.Errorf("%w: %w", backend.ErrUnavailable, cause) }

// Young returns why an answer of this age is older than read allows.
func (f *Feed) Young(read backend.Read, age time.Duration) error {
	if read.MaxAge > 0 && age > read.MaxAge {
		return fmt.Errorf("%w: this node has not heard from the bucket for %v, and %v is asked for",
			backend.ErrUnavailable, age.Round(time.Millisecond), read.MaxAge)
	}
	return nil
}

// Health says how a Backend of this kind is, but for what is registered.
func (f *Feed) Health(kind string) backend.Health {
	state := f.tail.State()
	h := backend.Health{Status: backend.Healthy, Backend: kind, State: state.State.String()}
	if why := f.Serving(); why != nil {
		h.Status, h.Problems = backend.Unhealthy, append(h.Problems, why.Error())
	} else if state.State != kvstore.Live {
		h.Status = backend.Degraded
		h.Problems = append(h.Problems, fmt.Sprintf("the bucket has not been heard for %v: %v", time.Since(state.Since).Round(time.Second), state.Cause))
	}
	if n := f.foreign.Load(); n > 0 {
		h.Status = max(h.Status, backend.Degraded)
		h.Problems = append(h.Problems, fmt.Sprintf("%d entries of the bucket are no registrations and are left out; the log names them", n))
	}
	return h
}

// Echo returns store, whose writes tell tail of themselves: their coming back says how old
// it is.
func Echo(store kvstore.Store, tail *kvstore.Tail) kvstore.Store {
	return &echoing{Store: store, tail: tail}
}

type echoing struct {
	kvstore.Store
	tail *kvstore.Tail
}

// Write implements [kvstore.Store].
func (e *echoing) Write(ctx context.Context, w kvstore.Write) (uint64, error) {
	sent := e.tail.Sent()
	revision, err := e.Store.Write(ctx, w)
	if err == nil {
		e.tail.Wrote(sent, revision)
	}
	return revision, err
}

// WriteEach implements [kvstore.Pipeliner].
func (e *echoing) WriteEach(ctx context.Context, writes []kvstore.Write) []kvstore.Written {
	sent := e.tail.Sent()
	results := kvstore.WriteEach(ctx, e.Store, writes)
	var newest uint64
	for i := range results {
		if results[i].Err == nil {
			newest = max(newest, results[i].Revision)
		}
	}
	if newest > 0 {
		e.tail.Wrote(sent, newest)
	}
	return results
}
