package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// firstBatchTry is how long the first sending of a batch waits: it has much to do.
const firstBatchTry = 2 * time.Second

// outcomes collects what the replies to the sendings of a part say of its operations.
type outcomes struct {
	operations []Operation
	results    []Result
	part       *part

	definite []bool // by operation of the part
	stamp    Stamp  // of the newest reply; zero before the first
	garbled  error  // why the last reply could not be read
}

// take takes in a reply. An operation keeps the first definite outcome that it has; none
// but a success is definite in a reply to a repeat.
func (o *outcomes) take(reply *nats.Msg, repeated bool) (finished bool) {
	var body bus.BatchReply
	if o.garbled = decode(reply, &body); o.garbled != nil {
		return true
	}
	if n := len(o.part.indexes); len(body.Results) != n {
		o.garbled = fmt.Errorf("%d results for %d operations", len(body.Results), n)
		return true
	}
	if stamp := stampOf(reply.Header); stamp.Revision >= o.stamp.Revision {
		o.stamp = stamp
	}
	finished = true
	for n, i := range o.part.indexes {
		if o.definite[n] {
			continue
		}
		result := resultOf(&o.operations[i], &body.Results[n])
		again := transient(result.Err) || errors.Is(result.Err, backend.ErrUnknownOutcome)
		if result.Err != nil && (repeated || !again && !definite(result.Err)) {
			result.Err = hide(o.operations[i].Registration.String(), backend.ErrUnknownOutcome, result.Err)
		}
		o.results[i], o.definite[n] = result, !again
		finished = finished && !again
	}
	return finished
}

func resultOf(op *Operation, wire *bus.BatchResult) (result Result) {
	if failure := wire.Error; failure != nil {
		result.Err = detail(failure, op.Registration.Key)
		return result
	}
	if op.Kind == backend.OpUnregister {
		result.Removal = Removal{Removed: wire.Revision != 0, Revision: wire.Revision}
		if wire.Removed != nil {
			result.Removal.Removed = *wire.Removed
		}
		return result
	}
	result.Registration = op.Registration.Normalize()
	result.Registration.Revision = wire.Revision
	return result
}
