package durable

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/rules"
	"github.com/roostbus/roost/kvstore"
)

// window is how many writes of one batch are under way at once.
const window = 256

// Batch is [backend.Batcher.Batch].
func (w *Writer) Batch(ctx context.Context, operations []backend.Operation, atomic bool) ([]backend.Result, backend.Stamp, error) {
	if len(operations) > backend.MaxBatch {
		return nil, backend.Stamp{}, backend.Invalid("operations", "has %d entries, at most %d are allowed", len(operations), backend.MaxBatch)
	}
	leave, err := w.room.enter(ctx, len(operations))
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	defer leave()
	if atomic {
		return w.together(ctx, operations)
	}
	return w.apart(ctx, operations)
}

// apart lets each operation stand alone: those on different keys run beside each other,
// those on one key in their order.
func (w *Writer) apart(ctx context.Context, operations []backend.Operation) ([]backend.Result, backend.Stamp, error) {
	results := make([]backend.Result, len(operations))
	stamps := make([]backend.Stamp, len(operations))
	chains := w.ahead(ctx, operations, chainsOf(operations), results, stamps)
	next := make(chan []int)
	var wg sync.WaitGroup
	for range min(window, len(chains)) {
		wg.Go(func() {
			for chain := range next {
				for _, i := range chain {
					results[i], stamps[i] = w.one(ctx, &operations[i])
				}
			}
		})
	}
	for _, chain := range chains {
		next <- chain
	}
	close(next)
	wg.Wait()
	return results, newest(stamps), nil
}

// chainsOf returns the indices of the operations on each key.
func chainsOf(operations []backend.Operation) [][]int {
	indices := make([]int, len(operations)) // what most chains are a part of
	chains := make([][]int, 0, len(operations))
	chainOf := make(map[backend.Key]int, len(operations))
	for i := range operations {
		key := operations[i].Registration.Key
		c, twice := chainOf[key]
		if !twice {
			indices[i] = i
			chainOf[key] = len(chains)
			chains = append(chains, indices[i:i+1:i+1])
			continue
		}
		chains[c] = append(chains[c], i)
	}
	return chains
}

func newest(stamps []backend.Stamp) backend.Stamp {
	var n backend.Stamp
	for _, s := range stamps {
		if s.Revision >= n.Revision {
			n = s
		}
	}
	return n
}

func (w *Writer) one(ctx context.Context, op *backend.Operation) (result backend.Result, stamp backend.Stamp) {
	switch op.Kind {
	case backend.OpRegister:
		result.Registration, stamp, result.Err = w.Register(ctx, op.Registration, op.Write)
	case backend.OpUpdate:
		result.Registration, stamp, result.Err = w.Update(ctx, op.Registration.Key, op.Change, op.Write)
	case backend.OpUnregister:
		result.Removal, stamp, result.Err = w.Unregister(ctx, op.Registration.Key, op.Write)
	default:
		result.Err = unknownKind(op.Kind)
	}
	return result, stamp
}

func unknownKind(k backend.OperationKind) error {
	return backend.Invalid("op", "%d is none of register, update, unregister", k)
}

// plan is one operation of an atomic batch on its way.
type plan struct {
	op        *backend.Operation
	decide    decision
	operation string
	state     rules.State
	outcome   rules.Outcome
}

// together applies all operations or none, deciding them all again when somebody was
// faster with one of them.
func (w *Writer) together(ctx context.Context, operations []backend.Operation) ([]backend.Result, backend.Stamp, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, backend.Stamp{}, fmt.Errorf("%w: %w", backend.ErrUnavailable, err)
	}
	plans, err := w.plans(operations)
	if err != nil {
		return nil, backend.Stamp{}, err
	}
	for synced := false; ; {
		writes, err := w.decideAll(ctx, plans)
		if (err != nil || len(writes) == 0) && !synced && !errors.Is(err, backend.ErrUnavailable) {
			// As with single writes, neither a refusal nor "nothing to do" may come from an old state.
			if err := w.source.Sync(ctx); err != nil {
				return nil, backend.Stamp{}, err
			}
			synced = true
			continue
		}
		if err != nil {
			return nil, backend.Stamp{}, err
		}
		if len(writes) == 0 {
			return finish(plans, nil)
		}
		revisions, err := w.store.Batch(ctx, writes)
		if err == nil {
			return finish(plans, revisions)
		}
		if !errors.Is(err, kvstore.ErrConflict) {
			return nil, backend.Stamp{}, translate(err)
		}
		if err := w.source.Sync(ctx); err != nil {
			return nil, backend.Stamp{}, err
		}
		synced = true
	}
}

// plans validates operations, which must be on distinct keys.
func (w *Writer) plans(operations []backend.Operation) ([]plan, error) {
	plans := make([]plan, len(operations))
	seen := make(map[backend.Key]int, len(operations))
	for i := range operations {
		op := &operations[i]
		if first, twice := seen[op.Registration.Key]; twice {
			return nil, backend.Invalid("operations", "%d and %d both name %s, which an atomic batch may do once", first, i, op.Registration.Key)
		}
		seen[op.Registration.Key] = i
		decide, err := deciding(op)
		if err != nil {
			return nil, &backend.OperationError{Index: i, Err: err}
		}
		plans[i] = plan{op: op, decide: decide, operation: operationOf(op.Write)}
	}
	return plans, nil
}

func deciding(op *backend.Operation) (decision, error) {
	switch op.Kind {
	case backend.OpRegister:
		return registering(op.Registration, op.Write)
	case backend.OpUpdate:
		return updating(op.Registration.Key, op.Change, op.Write)
	case backend.OpUnregister:
		return unregistering(op.Registration.Key, op.Write)
	}
	return nil, unknownKind(op.Kind)
}

// decideAll looks at every key and returns the writes that the plans come to.
func (w *Writer) decideAll(ctx context.Context, plans []plan) ([]kvstore.Write, error) {
	var writes []kvstore.Write
	for i := range plans {
		p := &plans[i]
		key := p.op.Registration.Key
		var err error
		if p.state, err = w.source.Peek(ctx, key); err != nil {
			return nil, err
		}
		if p.outcome, err = w.judge(ctx, p.state, p.op.Write, p.decide); err != nil {
			return nil, &backend.OperationError{Index: i, Err: err}
		}
		if p.outcome.Action != rules.Keep {
			writes = append(writes, writeOf(key, &p.state, p.outcome, p.operation))
		}
	}
	return writes, nil
}

// finish returns the results of plans whose writes made revisions, in their order.
func finish(plans []plan, revisions []uint64) ([]backend.Result, backend.Stamp, error) {
	results := make([]backend.Result, len(plans))
	var last backend.Stamp
	for i := range plans {
		p := &plans[i]
		stamp := stampOf(p.outcome, p.state)
		if p.outcome.Action != rules.Keep {
			p.outcome = done(p.outcome, backend.Revision(revisions[0]))
			stamp.Revision, revisions = backend.Revision(revisions[0]), revisions[1:]
		}
		if stamp.Revision >= last.Revision {
			last = stamp
		}
		if p.op.Kind == backend.OpUnregister {
			results[i].Removal = p.outcome.Removal
		} else {
			results[i].Registration = p.outcome.Registration
		}
	}
	return results, last, nil
}
