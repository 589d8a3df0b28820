package natskv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/kvstore"
)

// The codes of the JetStream API that mean something to a write.
const (
	codeNoPeers       = jetstream.ErrorCode(10005) // no suitable peers for placement: the cluster is forming
	codeNoResources   = jetstream.ErrorCode(10023)
	codeNoMemory      = jetstream.ErrorCode(10028)
	codeNoMessage     = jetstream.ErrorCode(10037)
	codeNoStorage     = jetstream.ErrorCode(10047)
	codeTooLarge      = jetstream.ErrorCode(10054)
	codeOutOfOrder    = jetstream.ErrorCode(10063) // the leader cannot place what the cluster has agreed upon
	codeNotStored     = jetstream.ErrorCode(10077) // the leader has not stored it
	codeNotClustered  = jetstream.ErrorCode(10074) // replicas, on a server alone
	codeWrongRevision = jetstream.ErrorCode(10071)
	codeRepeating     = jetstream.ErrorCode(10158) // a message with that id is being written
	codeInFlight      = jetstream.ErrorCode(10164) // something else is being written to the key
	codeBatchLost     = jetstream.ErrorCode(10176) // the leader does not know the batch's beginning
	codeManyBatches   = jetstream.ErrorCode(10210)
)

// verdict is what a write does next about an answer.
type verdict uint8

const (
	refused  verdict = iota + 1 // the answer is final
	again                       // what was sent did not happen, and may when sent again
	conflict                    // the key is not, or not surely, at the expected revision
	perhaps                     // what was sent may have happened
)

// judge says what an API error means for a write.
//
// Two errors are of a leader that could not store what its cluster had agreed upon already,
// for instance because it is shutting down, or because of another leader before it: the
// others may have stored it, and it may, once it has caught up with them. All other errors
// of a publication come before it is proposed.
func judge(e *jetstream.APIError) (verdict, error) {
	switch e.ErrorCode {
	case codeWrongRevision, codeInFlight:
		return conflict, e
	case codeTooLarge:
		return refused, fmt.Errorf("%w: %w", kvstore.ErrTooLarge, e)
	case codeNoResources, codeNoMemory, codeNoStorage:
		return refused, fmt.Errorf("%w: the store is full: %w", kvstore.ErrUnavailable, e)
	case codeOutOfOrder, codeNotStored:
		return perhaps, e
	case codeBatchLost, codeManyBatches, codeRepeating:
		return again, e
	}
	if e.Code == 503 {
		return again, e
	}
	return refused, fmt.Errorf("%w: %w", kvstore.ErrUnavailable, e)
}

var sequenceField = []byte(`"seq":`)

// parseAck returns the sequence that an acknowledgement bears, or its API error.
func parseAck(data []byte) (uint64, error) {
	if bytes.HasPrefix(data, []byte(`{"stream":`)) {
		if _, rest, ok := bytes.Cut(data, sequenceField); ok {
			if end := bytes.IndexAny(rest, ",}"); end > 0 {
				if n, err := strconv.ParseUint(string(rest[:end]), 10, 64); err == nil && n > 0 {
					return n, nil
				}
			}
		}
	}
	var ack struct {
		Error    *jetstream.APIError `json:"error"`
		Sequence uint64              `json:"seq"`
	}
	if err := json.Unmarshal(data, &ack); err != nil {
		return 0, fmt.Errorf("decode an acknowledgement: %w", err)
	}
	if ack.Error != nil {
		return 0, ack.Error
	}
	if ack.Sequence == 0 {
		return 0, errors.New("an acknowledgement without a sequence")
	}
	return ack.Sequence, nil
}

// backoff is how long to pause between tries: 5 ms and twice as long each time, up to
// 200 ms, with jitter.
type backoff struct{ next time.Duration }

func newBackoff() backoff { return backoff{next: 5 * time.Millisecond} }

// wait pauses and reports whether there is time left.
func (b *backoff) wait(ctx context.Context) bool {
	pause := b.next/2 + rand.N(b.next/2+1)
	b.next = min(2*b.next, 200*time.Millisecond)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
