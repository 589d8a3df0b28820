package bus

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/roostbus/roost/backend"
)

// The marks of an object are what is kept of it beyond the lives of those who use it: what
// may only grow, such as terms and tokens, the decisions on proposals, and the values of
// counters. A backup keeps them; see section 8 of the protocol.

// MaxMarks is the greatest number of marks in one request.
const MaxMarks = 1000

// AdminMarks returns the subject of an operator's request for marks.
func (s Subjects) AdminMarks() string { return s.prefix + ".admin.marks" }

// AdminRestore returns the subject of an operator's request to restore marks.
func (s Subjects) AdminRestore() string { return s.prefix + ".admin.restore" }

// AdminEpoch returns the subject of an operator's request for a later epoch.
func (s Subjects) AdminEpoch() string { return s.prefix + ".admin.epoch" }

// MarksRequest is the body of a request for the marks of all objects of a kind.
type MarksRequest struct {
	Kind Kind `json:"kind"`
	Paging
	Freshness
}

// Mark is what is kept of one object.
type Mark struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Record is the object's record without whatever is of somebody; of a counter, its
	// [CounterReply].
	Record json.RawMessage `json:"record"`
}

// Validate checks the names.
func (m *Mark) Validate() error {
	if err := (Object{Namespace: m.Namespace, Name: m.Name}).Validate(); err != nil {
		return err
	}
	if len(m.Record) == 0 {
		return backend.Invalid("record", "must be given")
	}
	return nil
}

// MarksReply answers a request for marks. They are ordered by the bytes of their tokens.
type MarksReply struct {
	Marks []Mark `json:"marks"`
	Next  string `json:"next,omitempty"`
}

// RestoreRequest is the body of a request to restore marks.
type RestoreRequest struct {
	Kind   Kind   `json:"kind"`
	Marks  []Mark `json:"marks"`
	DryRun bool   `json:"dry_run,omitempty"`
}

// Validate checks the form of the request.
func (q *RestoreRequest) Validate() error {
	if err := q.Kind.Validate(); err != nil {
		return err
	}
	if len(q.Marks) > MaxMarks {
		return backend.Invalid("marks", "has %d entries, at most %d are allowed", len(q.Marks), MaxMarks)
	}
	for i := range q.Marks {
		if err := q.Marks[i].Validate(); err != nil {
			return backend.Invalid(fmt.Sprintf("marks.%d", i), "%v", err)
		}
	}
	return nil
}

// Validate reports a kind that there is not.
func (k Kind) Validate() error {
	if !slices.Contains(Kinds(), k) {
		return backend.Invalid("kind", "%.40q is none of %v", string(k), Kinds())
	}
	return nil
}

// RestoreReply answers a request to restore marks.
type RestoreReply struct {
	Results []RestoreResult `json:"results"`
}

// The states of marks that were, or with a dry run would be, restored.
const (
	StateRestored  = "restored"
	StateUnchanged = "unchanged" // they were as high before
	StateInUse     = "in_use"    // somebody uses the object, or it has something newer: it was left as it is
)

// RestoreResult is what became of one mark: a state, or an error.
type RestoreResult struct {
	State   string `json:"state,omitempty"`
	Code    Code   `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

// EpochRequest is the body of a request for an epoch later than one.
type EpochRequest struct {
	Above backend.Epoch `json:"above"`
}

// EpochReply answers it.
type EpochReply struct {
	Epoch backend.Epoch `json:"epoch"` // the one there is now
}
