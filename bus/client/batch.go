package client

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Batch implements backend.Batcher. The registry takes one namespace and at most one
// message in a batch: an atomic batch must fit that, another is sent in as many parts as
// it needs, in order.
//
// The registry answers a batch with revisions. Result.Registration has what was asked
// for and that revision, not what an update left as it was, nor when it was created.
//
// A part that fails as a whole fails each of its operations, and stops those behind it,
// which are ErrUnavailable; if it is the only part, or nothing was sent before it, the
// batch fails.
func (c *Client) Batch(ctx context.Context, operations []Operation, atomic bool) ([]Result, Stamp, error) {
	if len(operations) > backend.MaxBatch {
		return nil, Stamp{}, backend.Invalid("operations", "has %d entries, at most %d are allowed",
			len(operations), backend.MaxBatch)
	}
	results := make([]Result, len(operations))
	parts, err := c.divide(operations, results, atomic)
	if err != nil {
		return nil, Stamp{}, err
	}
	var newest Stamp
	for i, part := range parts {
		stamp, err := c.sendPart(ctx, part, operations, results)
		if err != nil && i == 0 {
			return nil, stamp, err
		}
		if err != nil {
			part.fail(results, err)
			for _, next := range parts[i+1:] {
				next.fail(results, fmt.Errorf("%w: not sent, because the part before failed: %s", backend.ErrUnavailable, err.Error()))
			}
			break
		}
		if stamp.Revision >= newest.Revision {
			newest = stamp
		}
	}
	return results, newest, nil
}

// part is what one message carries of a batch.
type part struct {
	namespace string
	indexes   []int // of its operations in the batch
	body      bus.BatchRequest
	size      int
}

func (p *part) fail(results []Result, err error) {
	for _, i := range p.indexes {
		results[i].Err = err
	}
}

// roomInPart is what of a message is kept for headers and the frame of the body.
const roomInPart = 4096

// divide puts operations into as few parts as their namespaces, their order and the
// greatest message allow. An operation that is wrong in itself fails alone, or the whole
// if the batch is atomic.
func (c *Client) divide(operations []Operation, results []Result, atomic bool) ([]*part, error) {
	limit := int(c.link.MaxPayload()) - roomInPart
	var parts []*part
	open := make(map[string]*part)
	for i := range operations {
		wire, err := c.operationOf(&operations[i])
		if err != nil {
			if atomic {
				return nil, &backend.OperationError{Index: i, Err: err}
			}
			results[i].Err = err
			continue
		}
		text, err := encode(wire)
		if err != nil {
			return nil, err
		}
		namespace := operations[i].Registration.Namespace
		p := open[namespace]
		if p == nil || p.size+len(text)+1 > limit && !atomic {
			p = &part{namespace: namespace, body: bus.BatchRequest{Atomic: atomic}}
			open[namespace] = p
			parts = append(parts, p)
		}
		p.indexes = append(p.indexes, i)
		p.body.Operations = append(p.body.Operations, wire)
		p.size += len(text) + 1
	}
	if atomic && len(parts) > 1 {
		return nil, fmt.Errorf("batch of %d namespaces: %w: over the bus all or none is for one namespace",
			len(parts), backend.ErrNotAtomic)
	}
	return parts, nil
}

func (c *Client) operationOf(op *Operation) (bus.BatchOperation, error) {
	key := op.Registration.Key
	if err := key.Validate(); err != nil {
		return bus.BatchOperation{}, err
	}
	wire := bus.BatchOperation{Op: op.Kind.String(), Reason: op.Write.Reason}
	wire.Service, wire.Instance = &key.Service, &key.Instance
	verb := bus.Verb(wire.Op)
	switch op.Kind {
	case backend.OpRegister:
		r := op.Registration.Normalize()
		if err := r.Validate(); err != nil {
			return wire, err
		}
		wire.Content = bus.ContentOf(&r)
	case backend.OpUpdate:
		if err := op.Change.Validate(); err != nil {
			return wire, err
		}
		wire.Content = bus.ContentOfChange(op.Change)
	case backend.OpUnregister:
		if op.Write.Force {
			return wire, backend.Invalid("force", "does not belong to a batch")
		}
	default:
		return wire, backend.Invalid("op", "%d is none of register, update, unregister", op.Kind)
	}
	var err error
	wire.Guard, err = c.guardOf(op.Write, verb)
	return wire, err
}

// sendPart makes the write of one part and puts its results where they belong. A batch
// that was done in part is sent again whole: what was done is recognised.
func (c *Client) sendPart(ctx context.Context, p *part, operations []Operation, results []Result) (Stamp, error) {
	o := &outcomes{operations: operations, results: results, part: p, definite: make([]bool, len(p.indexes))}
	r := &request{
		subject:  c.subjects.OfScope(bus.VerbBatch, Scope{Namespace: p.namespace}),
		patience: firstBatchTry,
		finished: o.take,
	}
	a := c.send(ctx, r, p.write(operations), p.body)
	switch {
	case o.garbled != nil:
		return Stamp{}, c.unread(r, o.garbled)
	case a.err != nil && o.stamp == (Stamp{}):
		return a.stamp, a.err
	}
	for _, i := range p.indexes {
		c.doubt(operations[i].Write.Owner, results[i].Err)
	}
	return o.stamp, nil // also if the last of several sendings failed: what is known is known
}

// write sums up the writes of a part's operations: the first epoch that one names, a
// condition on a revision if one has it, and an id if all have one.
func (p *part) write(operations []Operation) (w Write) {
	ids := sha256.New()
	all := true
	for _, i := range p.indexes {
		one := &operations[i].Write
		if w.Epoch == 0 {
			w.Epoch = one.Epoch
		}
		if revision, _ := one.If.Revision(); revision != 0 {
			w.If = one.If
		}
		all = all && one.ID != (backend.OperationID{})
		ids.Write(one.ID[:])
	}
	if all {
		ids.Sum(w.ID[:0])
	}
	return w
}
