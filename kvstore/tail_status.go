package kvstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// State says how a Tail is.
type State uint8

// The states of a Tail.
const (
	// Syncing means that no snapshot has been complete yet.
	Syncing State = iota + 1
	// Live means that changes are applied as they happen, as far as can be told without
	// an echo; see [Tail.Age].
	Live
	// Stale means that what was applied stays, and nothing newer may arrive for a while,
	// or a new snapshot is coming in.
	Stale
)

// String returns the state in lower case.
func (s State) String() string {
	switch s {
	case Syncing:
		return "syncing"
	case Live:
		return "live"
	case Stale:
		return "stale"
	}
	return "unknown"
}

// Status says how a Tail is, since when and why.
type Status struct {
	State State
	Since time.Time
	Cause error // why it is not live; may be nil while syncing
	// Generation is the store's life that what was applied belongs to.
	Generation Generation
	// Revision is that of [Tail.Revision].
	Revision uint64
}

// State says how the Tail is.
func (t *Tail) State() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.status
	s.Revision = t.revision.Load()
	return s
}

// Generation returns the store's life that what was applied belongs to; "" before the
// first snapshot was complete.
func (t *Tail) Generation() Generation {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status.Generation
}

// Succeeds reports whether the store's life next began with everything that was in old; see
// [Lineage].
func (t *Tail) Succeeds(old, next Generation) bool {
	l, ok := t.store.(Lineage)
	return ok && l.Succeeds(old, next)
}

// Revision returns the revision up to which every change, of whatever prefix, has been
// applied. It goes back only when the store was lost: with another Generation, or where
// the store itself fell back.
func (t *Tail) Revision() uint64 { return t.revision.Load() }

// Ready waits for the first complete snapshot. ErrUnavailable when ctx is done.
func (t *Tail) Ready(ctx context.Context) error {
	select {
	case <-t.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: the first snapshot is not complete: %w", ErrUnavailable, context.Cause(ctx))
	}
}

func (t *Tail) stale(cause error) {
	t.mu.Lock()
	changed := t.status.State == Live
	t.status.Cause = cause
	if changed {
		t.status.State, t.status.Since = Stale, time.Now()
	}
	t.mu.Unlock()
	if changed && !errors.Is(cause, context.Canceled) { // that is a stop
		t.log.Warn("feed is stale", slog.Any("err", cause))
	}
}
