package server

import (
	"context"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// minResult is the room that the result of one operation is given at least.
const minResult = 64

func (s *Server) batch(ctx context.Context, r *request) (answer, error) {
	scope, err := s.subjects.ParseScope(bus.VerbBatch, r.subject)
	if err != nil {
		return answer{}, err
	}
	var q bus.BatchRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	switch n := len(q.Operations); {
	case q.Operations == nil:
		return answer{}, backend.Invalid("operations", "must be given")
	case n > backend.MaxBatch:
		return answer{}, backend.Invalid("operations", "has %d entries, at most %d are allowed", n, backend.MaxBatch)
	case n*minResult > s.budget():
		// What has been done could not be told.
		return answer{}, &backend.TooLargeError{Field: "operations", Size: int64(n * minResult), Limit: int64(s.budget())}
	}
	operations, results, err := r.operations(scope.Namespace, q)
	if err != nil {
		return answer{}, err
	}
	var stamp backend.Stamp
	if len(operations) > 0 {
		var outcomes []backend.Result
		if outcomes, stamp, err = backend.Batch(ctx, s.b, operations, q.Atomic); err != nil {
			return answer{stamp: stamp}, err
		}
		fill(results, operations, outcomes)
	}
	body, err := s.batchReply(ctx, r, results)
	return answer{body: body, stamp: stamp}, err
}

// outcome is what became of one operation of a batch.
type outcome struct {
	refused bool // before the backend saw it
	err     error
	result  bus.BatchResult
}

// operations returns those operations of q that are well formed and an outcome for each
// of q. An atomic batch is well formed as a whole or not at all.
func (r *request) operations(namespace string, q bus.BatchRequest) ([]backend.Operation, []outcome, error) {
	ids := bus.OperationIDs(r.id, r.subject, r.data)
	operations := make([]backend.Operation, 0, len(q.Operations))
	outcomes := make([]outcome, len(q.Operations))
	for i := range q.Operations {
		op, err := r.parseOperation(namespace, &q.Operations[i])
		switch {
		case err == nil:
			op.Write.ID = ids(i)
			operations = append(operations, op)
		case q.Atomic:
			return nil, nil, &backend.OperationError{Index: i, Err: err}
		default:
			outcomes[i] = outcome{refused: true, err: err}
		}
	}
	return operations, outcomes, nil
}

func (r *request) parseOperation(namespace string, o *bus.BatchOperation) (op backend.Operation, err error) {
	key := backend.Key{Namespace: namespace}
	if o.Service != nil {
		key.Service = *o.Service
	}
	if o.Instance != nil {
		key.Instance = *o.Instance
	}
	if err = o.Agrees(key); err != nil {
		return op, err
	}
	if err = key.Validate(); err != nil {
		return op, err
	}
	op.Registration.Key = key
	switch o.Op {
	case backend.OpRegister.String():
		op.Kind = backend.OpRegister
		op.Registration, err = o.Registration(key)
	case backend.OpUpdate.String():
		op.Kind = backend.OpUpdate
		op.Change, err = o.Change()
	case backend.OpUnregister.String():
		op.Kind = backend.OpUnregister
		err = noContent(o)
	default:
		err = backend.Invalid("op", "%.40q is none of register, update, unregister", o.Op)
	}
	if err != nil {
		return op, err
	}
	if o.Reason != "" && op.Kind != backend.OpUnregister {
		return op, backend.Invalid("reason", "belongs to unregister")
	}
	op.Write, err = r.write(o.Guard, o.Reason)
	return op, err
}

// noContent reports a field that an unregister has no use for.
func noContent(o *bus.BatchOperation) error {
	for name, given := range map[string]bool{
		"endpoints": o.Endpoints != nil, "metadata": o.Metadata != nil, "weight": o.Weight != nil,
		"merge_metadata": o.MergeMetadata != nil, "status": o.Status != nil,
	} {
		if given {
			return backend.Invalid(name, "belongs to register and update")
		}
	}
	return nil
}

// fill puts the backend's results where operations that were not refused left room.
func fill(outcomes []outcome, operations []backend.Operation, results []backend.Result) {
	next := 0
	for i := range outcomes {
		if outcomes[i].refused {
			continue
		}
		result := results[next]
		if outcomes[i].err = result.Err; result.Err == nil {
			outcomes[i].result.Revision = result.Revision()
			if operations[next].Kind == backend.OpUnregister {
				outcomes[i].result.Removed = &result.Removal.Removed
			}
		}
		next++
	}
}

// batchReply encodes outcomes, with as much of the errors' details as fits.
func (s *Server) batchReply(ctx context.Context, r *request, outcomes []outcome) ([]byte, error) {
	reply := bus.BatchReply{Results: make([]bus.BatchResult, len(outcomes))}
	for i, o := range outcomes {
		reply.Results[i] = o.result
		if o.err != nil {
			reply.Results[i].Error = s.failure(ctx, r, o.err)
		}
	}
	budget := s.budget()
	body, err := encode(reply)
	if err != nil || len(body) <= budget {
		return body, err
	}
	for i := range reply.Results {
		if e := reply.Results[i].Error; e != nil {
			e.Holder = nil
		}
	}
	if body, err = encode(reply); err != nil || len(body) <= budget {
		return body, err
	}
	for i := range reply.Results {
		if e := reply.Results[i].Error; e != nil {
			*e = bus.Error{Code: e.Code}
		}
	}
	return encode(reply)
}
