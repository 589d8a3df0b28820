package durable

import (
	"context"
	"errors"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/rules"
	"github.com/roostbus/roost/kvstore"
)

// Recaller is the ability of a [Source] to answer from memory.
type Recaller interface {
	// Recall is Peek, at once.
	Recall(key backend.Key) (rules.State, error)
}

// ahead makes, all side by side, those writes of chains that are alone on their key and
// lead to a write from what is known of it. It returns the chains that it leaves to be
// done one by one: what is refused or comes to nothing must be confirmed, and what
// somebody was faster with be decided again.
func (w *Writer) ahead(ctx context.Context, operations []backend.Operation, chains [][]int,
	results []backend.Result, stamps []backend.Stamp,
) (left [][]int) {
	source, ok := w.source.(Recaller)
	if !ok || ctx.Err() != nil {
		return chains
	}
	writes := make([]kvstore.Write, 0, len(chains))
	plans := make([]plan, 0, len(chains))
	taken := make([][]int, 0, len(chains))
	for _, chain := range chains {
		op := &operations[chain[0]]
		p, foreseen := plan{}, false
		if len(chain) == 1 {
			p, foreseen = w.foresee(source, op)
		}
		if !foreseen {
			left = append(left, chain)
			continue
		}
		writes = append(writes, writeOf(op.Registration.Key, &p.state, p.outcome, p.operation))
		plans, taken = append(plans, p), append(taken, chain)
	}
	for n, written := range kvstore.WriteEach(ctx, w.store, writes) {
		p, i := &plans[n], taken[n][0]
		switch {
		case written.Err == nil:
			revision := backend.Revision(written.Revision)
			results[i] = resultOf(p.op.Kind, done(p.outcome, revision))
			stamps[i] = backend.Stamp{Revision: revision, Epoch: p.state.Epoch}
		case errors.Is(written.Err, kvstore.ErrConflict):
			left = append(left, taken[n])
		default:
			results[i].Err = translate(written.Err)
		}
	}
	return left
}

// foresee decides op from what is known of its key. It reports whether that leads to a
// write, and without waiting for anybody.
func (w *Writer) foresee(source Recaller, op *backend.Operation) (p plan, ok bool) {
	if op.Write.Owner != "" && !w.live.Lives(op.Write.Owner) {
		return p, false
	}
	decide, err := deciding(op)
	if err != nil {
		return p, false
	}
	p = plan{op: op, decide: decide}
	if p.state, err = source.Recall(op.Registration.Key); err != nil {
		return p, false
	}
	if p.outcome, err = decide(p.state); err != nil || p.outcome.Action == rules.Keep {
		return p, false
	}
	p.operation = operationOf(op.Write)
	return p, true
}

// resultOf returns o as the result of an operation.
func resultOf(kind backend.OperationKind, o rules.Outcome) backend.Result {
	if kind == backend.OpUnregister {
		return backend.Result{Removal: o.Removal}
	}
	return backend.Result{Registration: o.Registration}
}
