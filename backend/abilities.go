package backend

import (
	"context"
	"errors"
	"fmt"
)

// OperationKind says what one operation of a batch does.
type OperationKind uint8

// The kinds of operations.
const (
	OpRegister OperationKind = iota + 1
	OpUpdate
	OpUnregister
)

// String returns the kind as the protocol spells it.
func (k OperationKind) String() string {
	switch k {
	case OpRegister:
		return "register"
	case OpUpdate:
		return "update"
	case OpUnregister:
		return "unregister"
	}
	return "unknown"
}

// MaxBatch is the greatest number of operations in one batch.
const MaxBatch = 1000

// Operation is one write of a batch.
type Operation struct {
	Kind         OperationKind
	Registration Registration // what OpRegister registers; its Key is used by every kind
	Change       Change       // what OpUpdate changes
	Write        Write
}

// Result is the outcome of one operation.
type Result struct {
	// Registration is what a register or update returned.
	Registration Registration
	// Removal is what an unregister returned.
	Removal Removal
	Err     error
}

// Revision returns the revision that the operation made or found; 0 if it failed or
// there was nothing to remove.
func (r Result) Revision() Revision {
	if r.Registration.Revision != 0 {
		return r.Registration.Revision
	}
	return r.Removal.Revision
}

// ErrNotAtomic means that a backend has no atomic batches. It is an [ErrInvalid].
var ErrNotAtomic = Invalid("atomic", "this backend cannot apply a batch all or none")

// Batcher is the ability to apply many writes at once.
type Batcher interface {
	// Batch applies operations, at most MaxBatch, and returns a result for each, in
	// their order. If atomic, all are applied or none: the error is then that of an
	// operation that could not be, an [OperationError], and nothing is returned beside
	// it; a key twice is ErrInvalid; a backend that cannot returns ErrNotAtomic.
	// Otherwise each stands alone, and two on one key apply in their order.
	Batch(ctx context.Context, operations []Operation, atomic bool) ([]Result, Stamp, error)
}

// OperationError says which operation of an atomic batch could not be applied.
type OperationError struct {
	Index int
	Err   error
}

func (e *OperationError) Error() string { return fmt.Sprintf("operation %d: %v", e.Index, e.Err) }

// Unwrap returns why.
func (e *OperationError) Unwrap() error { return e.Err }

// Batch applies operations through b's [Batcher], or one after the other where it has
// none and atomic is not asked for.
func Batch(ctx context.Context, b Backend, operations []Operation, atomic bool) ([]Result, Stamp, error) {
	if len(operations) > MaxBatch {
		return nil, Stamp{}, Invalid("operations", "has %d entries, at most %d are allowed", len(operations), MaxBatch)
	}
	if atomic {
		if err := distinct(operations); err != nil {
			return nil, Stamp{}, err
		}
	}
	if batcher, ok := b.(Batcher); ok {
		return batcher.Batch(ctx, operations, atomic)
	}
	if atomic {
		return nil, Stamp{}, ErrNotAtomic
	}
	results := make([]Result, len(operations))
	var newest Stamp
	for i := range operations {
		var stamp Stamp
		results[i], stamp = Do(ctx, b, &operations[i])
		if stamp.Revision >= newest.Revision {
			newest = stamp
		}
	}
	return results, newest, nil
}

// Do applies one operation.
func Do(ctx context.Context, b Backend, op *Operation) (result Result, stamp Stamp) {
	switch op.Kind {
	case OpRegister:
		result.Registration, stamp, result.Err = b.Register(ctx, op.Registration, op.Write)
	case OpUpdate:
		result.Registration, stamp, result.Err = b.Update(ctx, op.Registration.Key, op.Change, op.Write)
	case OpUnregister:
		result.Removal, stamp, result.Err = b.Unregister(ctx, op.Registration.Key, op.Write)
	default:
		result.Err = Invalid("op", "%d is none of register, update, unregister", op.Kind)
	}
	return result, stamp
}

func distinct(operations []Operation) error {
	seen := make(map[Key]int, len(operations))
	for i := range operations {
		key := operations[i].Registration.Key
		if first, twice := seen[key]; twice {
			return Invalid("operations", "%d and %d both name %s, which an atomic batch may do once", first, i, key)
		}
		seen[key] = i
	}
	return nil
}

// Counter is the ability to count without listing.
type Counter interface {
	// Count returns how many registrations q selects; its limits, cursor and Since are
	// ignored, and it does not wait for changes.
	Count(ctx context.Context, q Query) (int, Stamp, error)
}

// Count counts through b's [Counter], or by listing.
func Count(ctx context.Context, b Backend, q Query) (int, Stamp, error) {
	q.Limit, q.MaxBytes, q.After, q.Since, q.Wait = 0, 0, "", nil, 0
	if counter, ok := b.(Counter); ok {
		return counter.Count(ctx, q)
	}
	n := 0
	var first Stamp
	for {
		page, stamp, err := b.List(ctx, q)
		if err != nil {
			return 0, Stamp{}, err
		}
		if q.After == "" {
			first = stamp
		}
		n += len(page.Registrations)
		if page.Next == "" {
			return n, first, nil
		}
		q.After = page.Next
	}
}

// Certain reports whether err says for certain that a write did not happen.
func Certain(err error) bool { return err != nil && !errors.Is(err, ErrUnknownOutcome) }
