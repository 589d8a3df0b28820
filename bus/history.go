package bus

import (
	"encoding/json"

	"github.com/roostbus/roost/backend"
)

// AdminHistory returns the subject of an operator's request for what has happened.
func (s Subjects) AdminHistory() string { return s.prefix + ".admin.history" }

// HistoryRequest is the body of a request for what has happened. Without a namespace it is
// about everything, without a service about a namespace.
type HistoryRequest struct {
	Namespace string `json:"namespace,omitempty"`
	Service   string `json:"service,omitempty"`
	// Object asks for objects of coordination of that kind instead of registrations; "all"
	// for both, which is for everything only.
	Object string `json:"object,omitempty"`
	// Since is when the oldest that is wanted was recorded; After is Next of the page before.
	Since *Instant `json:"since,omitempty"`
	After uint64   `json:"after,omitempty"`
	Limit *int     `json:"limit,omitempty"` // 1 to MaxHistory
}

// AllObjects is a HistoryRequest's Object that stands for everything.
const AllObjects = "all"

// MaxHistory is the greatest number of entries in a reply.
const MaxHistory = 1000

// maxHistoryAfter is the greatest number that every reader of JSON tells from its neighbours.
const maxHistoryAfter = 1<<53 - 1

// Validate checks the form of the request.
func (q *HistoryRequest) Validate() error {
	if err := (&backend.Scope{Namespace: q.Namespace, Service: q.Service}).Validate(); err != nil {
		return err
	}
	if q.Limit != nil && (*q.Limit < 1 || *q.Limit > MaxHistory) {
		return backend.Invalid("limit", "is %d, must be 1 to %d", *q.Limit, MaxHistory)
	}
	if q.After > maxHistoryAfter {
		return backend.Invalid("after", "is %d, which no reply gives", q.After)
	}
	switch q.Object {
	case "":
	case AllObjects:
		if q.Namespace != "" {
			return backend.Invalid("object", "%s is for every namespace", AllObjects)
		}
	default:
		if Kind(q.Object).Validate() != nil {
			return backend.Invalid("object", "%.40q is neither %s nor one of %v", q.Object, AllObjects, Kinds())
		}
	}
	return nil
}

// The kinds of entries beside those of events: [HeaderEvent].
const (
	HistoryAnnounced = "announced" // the new record of an object
	HistoryRemoved   = "removed"   // the record of an object was cleaned up
	HistoryBegin     = "begin"     // nothing was recorded before
	HistoryGap       = "gap"       // changes after From and up to To may be missing
	HistoryAnew      = "anew"      // the bucket was made anew: nothing of before is there
)

// HistoryEntry is one thing that happened.
type HistoryEntry struct {
	Kind     string           `json:"kind"`
	Time     Instant          `json:"time"`
	Epoch    backend.Epoch    `json:"epoch"`
	Revision backend.Revision `json:"revision"`
	Reason   string           `json:"reason,omitempty"`
	// Object is "registration" or the kind of an object.
	Object    string `json:"object,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	// Service and Instance are a registration's, Name is an object's.
	Service  string `json:"service,omitempty"`
	Instance string `json:"instance,omitempty"`
	Name     string `json:"name,omitempty"`
	// Body is what it was then; of a removal, what it last was.
	Body json.RawMessage  `json:"body,omitempty"`
	From backend.Revision `json:"from,omitempty"`
	To   backend.Revision `json:"to,omitempty"`
}

// ObjectRegistration is the Object of registrations.
const ObjectRegistration = "registration"

// HistoryReply answers a request for what has happened.
type HistoryReply struct {
	Entries []HistoryEntry `json:"entries"`
	Next    uint64         `json:"next,omitempty"`
	// First is when what is left begins, and its revision; nil if nothing is left.
	First *HistoryBound `json:"first"`
	// Recorded is the revision up to which everything is recorded that the answering node
	// has seen; 0 while that is not known.
	Recorded backend.Revision `json:"recorded"`
}

// HistoryBound is where what is recorded begins.
type HistoryBound struct {
	Time     Instant          `json:"time"`
	Epoch    backend.Epoch    `json:"epoch"`
	Revision backend.Revision `json:"revision"`
}
