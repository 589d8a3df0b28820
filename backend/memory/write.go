package memory

import (
	"context"
	"errors"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/rules"
	"github.com/roostbus/roost/backend/view"
)

// Register implements [backend.Backend].
func (b *Backend) Register(ctx context.Context, r backend.Registration, w backend.Write) (backend.Registration, backend.Stamp, error) {
	result, stamp := b.do(ctx, &backend.Operation{Kind: backend.OpRegister, Registration: r, Write: w})
	return result.Registration, stamp, result.Err
}

// Update implements [backend.Backend].
func (b *Backend) Update(ctx context.Context, key backend.Key, c backend.Change, w backend.Write) (backend.Registration, backend.Stamp, error) {
	op := &backend.Operation{Kind: backend.OpUpdate, Registration: backend.Registration{Key: key}, Change: c, Write: w}
	result, stamp := b.do(ctx, op)
	return result.Registration, stamp, result.Err
}

// Unregister implements [backend.Backend].
func (b *Backend) Unregister(ctx context.Context, key backend.Key, w backend.Write) (backend.Removal, backend.Stamp, error) {
	op := &backend.Operation{Kind: backend.OpUnregister, Registration: backend.Registration{Key: key}, Write: w}
	result, stamp := b.do(ctx, op)
	return result.Removal, stamp, result.Err
}

// Batch implements [backend.Batcher].
func (b *Backend) Batch(ctx context.Context, operations []backend.Operation, atomic bool) ([]backend.Result, backend.Stamp, error) {
	if len(operations) > backend.MaxBatch {
		return nil, backend.Stamp{}, backend.Invalid("operations", "has %d entries, at most %d are allowed", len(operations), backend.MaxBatch)
	}
	if err := b.ready(ctx); err != nil {
		return nil, backend.Stamp{}, err
	}
	if atomic {
		return b.all(ctx, operations)
	}
	results := make([]backend.Result, len(operations))
	stamp := b.view.Stamp()
	for i := range operations {
		result, made := b.do(ctx, &operations[i])
		if results[i] = result; made.Revision > stamp.Revision {
			stamp = made
		}
	}
	return results, stamp, nil
}

// all applies operations all or none.
func (b *Backend) all(ctx context.Context, operations []backend.Operation) ([]backend.Result, backend.Stamp, error) {
	at := make(map[backend.Key]int, len(operations))
	for i := range operations {
		key := operations[i].Registration.Key
		if first, twice := at[key]; twice {
			return nil, backend.Stamp{}, backend.Invalid("operations", "%d and %d both name %s, which an atomic batch may do once", first, i, key)
		}
		at[key] = i
	}
	for tries := 0; ; tries++ {
		results, stamp, err := b.tryAll(ctx, operations)
		failed, ok := errors.AsType[*backend.OperationError](err)
		if !ok || tries > 0 {
			return results, stamp, err
		}
		if again, unsure := b.unsure(ctx, failed.Err); unsure != nil {
			failed.Err = unsure
			return nil, backend.Stamp{}, failed
		} else if !again {
			return nil, backend.Stamp{}, err
		}
	}
}

func (b *Backend) tryAll(ctx context.Context, operations []backend.Operation) ([]backend.Result, backend.Stamp, error) {
	for i := range operations {
		if err := b.check(ctx, &operations[i]); err != nil {
			return nil, backend.Stamp{}, &backend.OperationError{Index: i, Err: err}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	outcomes := make([]rules.Outcome, len(operations))
	for i := range operations {
		var err error
		if outcomes[i], err = b.decide(&operations[i]); err != nil {
			return nil, backend.Stamp{}, &backend.OperationError{Index: i, Err: err}
		}
	}
	results := make([]backend.Result, len(operations))
	var changes []view.Change
	for i := range operations {
		var change *view.Change
		if results[i], change = b.effect(&operations[i], outcomes[i]); change != nil {
			changes = append(changes, *change)
		}
	}
	b.view.Apply(b.seq, changes...)
	return results, b.view.Stamp(), nil
}

// do applies one operation.
func (b *Backend) do(ctx context.Context, op *backend.Operation) (backend.Result, backend.Stamp) {
	if err := b.ready(ctx); err != nil {
		return backend.Result{Err: err}, backend.Stamp{}
	}
	for tries := 0; ; tries++ {
		result, stamp := b.try(ctx, op)
		if result.Err == nil || tries > 0 {
			return result, stamp
		}
		if again, unsure := b.unsure(ctx, result.Err); unsure != nil {
			return backend.Result{Err: unsure}, backend.Stamp{}
		} else if !again {
			return result, stamp
		}
	}
}

func (b *Backend) try(ctx context.Context, op *backend.Operation) (backend.Result, backend.Stamp) {
	if err := b.check(ctx, op); err != nil {
		return backend.Result{Err: err}, backend.Stamp{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	outcome, err := b.decide(op)
	if err != nil {
		return backend.Result{Err: err}, backend.Stamp{}
	}
	result, change := b.effect(op, outcome)
	if change != nil {
		b.view.Apply(b.seq, *change)
	}
	stamp := b.view.Stamp()
	if r := result.Revision(); r != 0 {
		stamp.Revision = r
	}
	return result, stamp
}

// check reports what is wrong with op, its owner's lease included.
func (b *Backend) check(ctx context.Context, op *backend.Operation) error {
	if err := valid(op); err != nil {
		return err
	}
	owner := op.Write.Owner
	if owner == "" || b.lives(owner) || b.repeats(op) {
		return nil
	}
	if lives, err := b.live.Confirm(ctx, owner); err != nil {
		return err
	} else if lives && !b.view.Ended(owner) {
		return nil
	}
	return backend.ErrLeaseExpired
}

// valid reports what is wrong with op whatever is stored.
func valid(op *backend.Operation) error {
	if err := op.Write.Validate(); err != nil {
		return err
	}
	if err := op.Registration.Key.Validate(); err != nil {
		return err
	}
	switch op.Kind {
	case backend.OpRegister:
		r := op.Registration.Normalize()
		return r.Validate()
	case backend.OpUpdate:
		return op.Change.Validate()
	case backend.OpUnregister:
		return nil
	}
	return backend.Invalid("op", "%d is none of register, update, unregister", op.Kind)
}

func (b *Backend) lives(owner string) bool { return b.live.Lives(owner) && !b.view.Ended(owner) }

// repeats reports whether op is what made the newest change of its key.
func (b *Backend) repeats(op *backend.Operation) bool {
	return op.Write.ID != (backend.OperationID{}) && b.view.Row(op.Registration.Key).Operation == op.Write.ID
}

// unsure reports whether an operation that failed because of a holder is worth another
// try, because the holder's lease has ended after all.
func (b *Backend) unsure(ctx context.Context, failure error) (again bool, err error) {
	held, ok := errors.AsType[*backend.ExistsError](failure)
	if !ok || held.Holder.Owner == "" {
		return false, nil
	}
	lives, err := b.live.Confirm(ctx, held.Holder.Owner)
	return err == nil && !lives, err
}

// decide decides op by what is stored. b.mu is held until the effect.
func (b *Backend) decide(op *backend.Operation) (rules.Outcome, error) {
	key, w, now := op.Registration.Key, op.Write, time.Now()
	state := b.view.Row(key)
	if w.Owner != "" && !b.lives(w.Owner) && !b.repeats(op) { // it ended since check
		return rules.Outcome{}, backend.ErrLeaseExpired
	}
	switch op.Kind {
	case backend.OpRegister:
		return rules.Register(state, op.Registration.Normalize(), w, now)
	case backend.OpUpdate:
		return rules.Update(state, key, op.Change, w, now)
	}
	return rules.Unregister(state, key, w)
}

// effect returns the result of an outcome, and the change that makes it so, if any.
func (b *Backend) effect(op *backend.Operation, o rules.Outcome) (backend.Result, *view.Change) {
	if o.Action == rules.Keep {
		return backend.Result{Registration: o.Registration, Removal: o.Removal}, nil
	}
	b.seq++
	r := o.Registration
	change := &view.Change{
		Registration: &r, Kind: o.Kind, Reason: o.Reason, Revision: b.seq, Operation: op.Write.ID,
		Removed: o.Action == rules.Remove,
	}
	if change.Removed {
		return backend.Result{Removal: backend.Removal{Removed: true, Revision: b.seq}}, change
	}
	r.Revision = b.seq
	if r.CreatedRevision == 0 {
		r.CreatedRevision = b.seq
	}
	return backend.Result{Registration: r}, change
}
