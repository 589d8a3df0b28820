package durable

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/rules"
	"github.com/roostbus/roost/kvstore"
)

// Source is where a Writer learns the state of a key before it decides.
type Source interface {
	// Peek returns what is known of key. It may be old: a write that is decided from it
	// is conditional on its revision.
	Peek(ctx context.Context, key backend.Key) (rules.State, error)

	// Sync returns when Peek shows every change that was acknowledged before the call.
	Sync(ctx context.Context) error
}

// Writer makes the writes of a Backend on a store: it decides by package rules, writes at
// the revision that it decided from, and decides again when somebody was faster.
type Writer struct {
	store  kvstore.Store
	source Source
	live   backend.Liveness
	room   *room
	turns  *turns
}

// NewWriter returns a Writer to store that learns from source who is registered, and from
// live who lives.
func NewWriter(store kvstore.Store, source Source, live backend.Liveness) *Writer {
	return &Writer{store: store, source: source, live: live, room: newRoom(), turns: newTurns()}
}

// decision is the part of a write that depends on the state of its key.
type decision func(now rules.State) (rules.Outcome, error)

// Register is [backend.Backend.Register].
func (w *Writer) Register(ctx context.Context, r backend.Registration, by backend.Write) (backend.Registration, backend.Stamp, error) {
	decide, err := registering(r, by)
	if err != nil {
		return backend.Registration{}, backend.Stamp{}, err
	}
	o, stamp, err := w.do(ctx, r.Key, by, decide)
	return o.Registration, stamp, err
}

// Update is [backend.Backend.Update].
func (w *Writer) Update(ctx context.Context, key backend.Key, c backend.Change, by backend.Write) (backend.Registration, backend.Stamp, error) {
	decide, err := updating(key, c, by)
	if err != nil {
		return backend.Registration{}, backend.Stamp{}, err
	}
	o, stamp, err := w.do(ctx, key, by, decide)
	return o.Registration, stamp, err
}

// Unregister is [backend.Backend.Unregister].
func (w *Writer) Unregister(ctx context.Context, key backend.Key, by backend.Write) (backend.Removal, backend.Stamp, error) {
	decide, err := unregistering(key, by)
	if err != nil {
		return backend.Removal{}, backend.Stamp{}, err
	}
	o, stamp, err := w.do(ctx, key, by, decide)
	return o.Removal, stamp, err
}

func registering(r backend.Registration, by backend.Write) (decision, error) {
	r = r.Normalize()
	if err := errors.Join(r.Validate(), by.Validate()); err != nil {
		return nil, err
	}
	return func(now rules.State) (rules.Outcome, error) { return rules.Register(now, r, by, time.Now()) }, nil
}

func updating(key backend.Key, c backend.Change, by backend.Write) (decision, error) {
	if err := errors.Join(key.Validate(), c.Validate(), by.Validate()); err != nil {
		return nil, err
	}
	return func(now rules.State) (rules.Outcome, error) { return rules.Update(now, key, c, by, time.Now()) }, nil
}

func unregistering(key backend.Key, by backend.Write) (decision, error) {
	if err := errors.Join(key.Validate(), by.Validate()); err != nil {
		return nil, err
	}
	return func(now rules.State) (rules.Outcome, error) { return rules.Unregister(now, key, by) }, nil
}

// do decides and writes until one of both is final. What is decided from a state that may
// be old is final only if it leads to a write that succeeds: every other answer is
// confirmed first.
func (w *Writer) do(ctx context.Context, key backend.Key, by backend.Write, decide decision) (rules.Outcome, backend.Stamp, error) {
	if err := context.Cause(ctx); err != nil {
		return rules.Outcome{}, backend.Stamp{}, fmt.Errorf("%w: %w", backend.ErrUnavailable, err)
	}
	state, err := w.source.Peek(ctx, key)
	if err != nil {
		return rules.Outcome{}, backend.Stamp{}, err
	}
	operation := operationOf(by)
	var mine *turn // while this write is the one to be made
	defer func() { w.turns.give(key, mine) }()
	for confirmed := false; ; {
		o, err := w.judge(ctx, state, by, decide)
		if err != nil || o.Action == rules.Keep {
			if confirmed || errors.Is(err, backend.ErrUnavailable) {
				return o, stampOf(o, state), err
			}
			w.turns.give(key, mine) // others need not wait for the confirmation
			mine, confirmed = nil, true
			if state, err = w.confirm(ctx, key); err != nil {
				return rules.Outcome{}, backend.Stamp{}, err
			}
			continue
		}
		if mine == nil {
			if mine, err = w.turns.take(ctx, key); err != nil {
				return rules.Outcome{}, backend.Stamp{}, err
			}
			if mine.newer(state) {
				state, confirmed = mine.left, false
				continue
			}
		}
		revision, err := w.store.Write(ctx, writeOf(key, &state, o, operation))
		if err == nil {
			o = done(o, backend.Revision(revision))
			mine.left = after(o, by, backend.Revision(revision), state.Epoch)
			return o, backend.Stamp{Revision: backend.Revision(revision), Epoch: state.Epoch}, nil
		}
		if !errors.Is(err, kvstore.ErrConflict) {
			return rules.Outcome{}, backend.Stamp{}, translate(err)
		}
		if state, confirmed, err = w.afterConflict(ctx, key, state, err); err != nil {
			return rules.Outcome{}, backend.Stamp{}, err
		}
	}
}

// after returns the state that the write of o by by has left at revision. It was decided
// for an owner that lives, as far as could be seen; a refusal because of that is confirmed.
func after(o rules.Outcome, by backend.Write, revision backend.Revision, epoch backend.Epoch) rules.State {
	stored := o.Action != rules.Remove
	return rules.State{
		Present: stored, Alive: stored, Registration: o.Registration,
		Operation: by.ID, Revision: revision, Epoch: epoch,
	}
}

// judge is decide, after the lease of the write has been looked at. A repeat of what was
// done already needs no lease any more.
func (w *Writer) judge(ctx context.Context, state rules.State, by backend.Write, decide decision) (rules.Outcome, error) {
	repeat := by.ID != (backend.OperationID{}) && by.ID == state.Operation
	if by.Owner != "" && !repeat && !w.live.Lives(by.Owner) {
		lives, err := w.live.Confirm(ctx, by.Owner)
		if err != nil {
			return rules.Outcome{}, err
		}
		if !lives {
			return rules.Outcome{}, fmt.Errorf("owner %q: %w", by.Owner, backend.ErrLeaseExpired)
		}
	}
	return decide(state)
}

// afterConflict returns the state that made a write fail, and whether it is confirmed.
// What a conflict shows was read from whom the store takes for its leader, who may have
// been deposed: good enough to try again, not to refuse.
func (w *Writer) afterConflict(ctx context.Context, key backend.Key, before rules.State, cause error) (rules.State, bool, error) {
	if conflict, ok := errors.AsType[*kvstore.ConflictError](cause); ok && conflict.Known {
		state, err := w.stateOf(conflict.Current, before)
		if err != nil || state.Alive || !state.Present {
			return state, false, err
		}
		// It may be of a lease that this node is yet to hear of.
	}
	state, err := w.confirm(ctx, key)
	return state, true, err
}

// confirm returns the state of key after every change acknowledged before the call.
func (w *Writer) confirm(ctx context.Context, key backend.Key) (rules.State, error) {
	if err := w.source.Sync(ctx); err != nil {
		return rules.State{}, err
	}
	return w.source.Peek(ctx, key)
}

// stateOf returns the state that an entry, or its absence, stands for.
func (w *Writer) stateOf(e kvstore.Entry, before rules.State) (rules.State, error) {
	if e.Revision == 0 {
		return rules.State{Epoch: before.Epoch, Seen: max(before.Seen, before.Revision)}, nil
	}
	record, err := Parse(e)
	if err != nil {
		return rules.State{}, err
	}
	return record.State(w.live, before.Epoch), nil
}

// State returns what a write is decided from.
func (r *Record) State(live backend.Liveness, epoch backend.Epoch) rules.State {
	return rules.State{
		Present:      !r.Removed,
		Alive:        !r.Removed && (r.Registration.Owner == "" || live.Lives(r.Registration.Owner)),
		Registration: r.Registration,
		Operation:    r.Operation,
		Revision:     r.Revision,
		Epoch:        epoch,
	}
}

// writeOf returns the write that carries out o on the state that it was decided from.
func writeOf(key backend.Key, from *rules.State, o rules.Outcome, operation string) kvstore.Write {
	w := kvstore.Write{
		Key:    Prefix + key.String(),
		Expect: uint64(from.Revision), Seen: uint64(from.Seen),
		Labels: kvstore.Labels{Operation: operation, Event: o.Kind.String(), Reason: o.Reason},
	}
	if o.Action == rules.Remove {
		w.Remove, w.Keep, w.Value = true, MarkerLife, o.Registration.AppendJSON(nil)
		return w
	}
	w.Value = o.Registration.AppendStored(make([]byte, 0, 512))
	return w
}

// done returns o with the revision that its write made.
func done(o rules.Outcome, revision backend.Revision) rules.Outcome {
	if o.Action == rules.Remove {
		o.Removal = backend.Removal{Removed: true, Revision: revision}
		return o
	}
	o.Registration.Revision = revision
	if o.Registration.CreatedRevision == 0 {
		o.Registration.CreatedRevision = revision
	}
	return o
}

// operationOf returns the id that the write of by is stored with.
func operationOf(by backend.Write) string {
	if id := by.ID.String(); id != "" {
		return id
	}
	return rand.Text()
}

// stampOf is the stamp of an answer that wrote nothing.
func stampOf(o rules.Outcome, state rules.State) backend.Stamp {
	return backend.Stamp{Revision: max(state.Revision, o.Registration.Revision, o.Removal.Revision), Epoch: state.Epoch}
}
