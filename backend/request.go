package backend

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Condition says at which revision a write may happen. The zero value is "at any".
type Condition struct {
	set      bool
	revision Revision
}

// IfAbsent allows a write only where there is no live registration.
func IfAbsent() Condition { return Condition{set: true} }

// IfRevision allows a write only where the registration is at r. 0 is IfAbsent.
func IfRevision(r Revision) Condition { return Condition{set: true, revision: r} }

// Revision returns the revision asked for, and whether one was.
func (c Condition) Revision() (Revision, bool) { return c.revision, c.set }

// Allows reports whether c allows a write on a registration at revision current, 0
// where there is none.
func (c Condition) Allows(current Revision) bool { return !c.set || c.revision == current }

// OperationID tells one write from another, so that a repeat is recognised. The zero
// value means that the caller gave none.
type OperationID [sha256.Size]byte

// String returns the id in hexadecimal digits, "" for the zero id.
func (id OperationID) String() string {
	if id == (OperationID{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// ParseOperationID is the inverse of [OperationID.String].
func ParseOperationID(s string) (OperationID, error) {
	var id OperationID
	if s == "" {
		return id, nil
	}
	b, err := hex.DecodeString(s)
	if err == nil && len(b) == len(id) {
		id = OperationID(b)
	}
	if id.String() != s {
		return OperationID{}, Invalid("operation", "want %d lower-case hexadecimal digits", 2*len(id))
	}
	return id, nil
}

// Write says as whom and on what condition a change is made.
type Write struct {
	// Owner is the owner whose lease the caller has shown; "" for none.
	Owner string

	// If is checked last, when everything else allows the write.
	If Condition

	// Epoch, unless 0, is the epoch that the revision in If belongs to. In another one
	// an If that names a revision is a conflict.
	Epoch Epoch

	// ID makes a repeat of this write recognisable while what it wrote is the newest
	// state of its key: the repeat then gets the same answer and writes nothing.
	ID OperationID

	// Repeated says that this very write was sent before, when Known was the newest
	// revision that its sender knew of, and that its outcome is not known. If ID does not
	// show that it was done, and the key has changed after Known or Epoch is not the
	// current one, it is a conflict: it may have been done and undone. So a write that is
	// sent again is done at most once.
	Repeated bool
	Known    Revision

	// Dated says that this write is sent for the first time, by one whose newest revision
	// is Known, of Epoch. If it would change a key that was changed after Known, or Epoch is
	// not the current one, it is ErrUnavailable: it may be late, and have been sent again
	// and done long ago. Whoever still waits for its answer sends it again with a newer
	// Known.
	Dated bool

	// Reason is published with the change; at most MaxReason bytes.
	Reason string

	// Force skips the owner rules. It is the operator's.
	Force bool
}

// Validate checks Reason.
func (w Write) Validate() error {
	if len(w.Reason) > MaxReason {
		return Invalid("reason", "is %d bytes long, at most %d are allowed", len(w.Reason), MaxReason)
	}
	if !utf8.ValidString(w.Reason) {
		return Invalid("reason", "is not valid UTF-8")
	}
	if strings.TrimSpace(w.Reason) != w.Reason {
		return Invalid("reason", "begins or ends with white space")
	}
	if strings.ContainsFunc(w.Reason, unicode.IsControl) {
		return Invalid("reason", "contains a control character")
	}
	return nil
}

// Change says what an update replaces. A nil field stays as it is.
type Change struct {
	Endpoints *Endpoints
	Metadata  *Metadata // replaces the metadata
	Merge     *Metadata // merges into the metadata, RFC 7396; not together with Metadata
	Weight    *uint16
	Status    *Status
}

// Apply returns r with c applied, validated: ErrInvalid, ErrTooLarge.
func (c Change) Apply(r Registration) (Registration, error) {
	if c.Metadata != nil && c.Merge != nil {
		return Registration{}, Invalid("merge_metadata", "cannot be given together with metadata")
	}
	if c.Endpoints != nil {
		r.Endpoints = *c.Endpoints
	}
	if c.Metadata != nil {
		r.Metadata = *c.Metadata
	}
	if c.Merge != nil {
		if err := c.Merge.validate("merge_metadata"); err != nil {
			return Registration{}, err
		}
		r.Metadata = r.Metadata.Merge(*c.Merge)
	}
	if c.Weight != nil {
		r.Weight = *c.Weight
	}
	if c.Status != nil {
		r.Status = *c.Status
	}
	r = r.Normalize()
	if err := r.Validate(); err != nil {
		return Registration{}, err
	}
	return r, nil
}

// Validate reports what is wrong with c whatever it is applied to.
func (c Change) Validate() error {
	_, err := c.Apply(Registration{Key: Key{Namespace: DefaultNamespace, Service: "any"}})
	return err
}

// Consistency says how new an answer must be. The zero value is [Local].
type Consistency uint8

// The consistencies.
const (
	// Local is answered from what the answering node has seen.
	Local Consistency = iota
	// Linearizable reflects every write acknowledged before the request was made.
	Linearizable
)

// String returns the consistency as the protocol spells it.
func (c Consistency) String() string {
	if c == Linearizable {
		return "linearizable"
	}
	return "local"
}

// ParseConsistency is the inverse of [Consistency.String]; anything else is an [InvalidError].
func ParseConsistency(s string) (Consistency, error) {
	switch s {
	case "local":
		return Local, nil
	case "linearizable":
		return Linearizable, nil
	}
	return Local, Invalid("consistency", "%q is neither local nor linearizable", s)
}

// MaxWait is the longest wait that can be asked for.
const MaxWait = 24 * time.Hour

// Read says how new an answer must be.
type Read struct {
	Consistency Consistency

	// MinRevision makes the read wait until this revision has been seen.
	MinRevision Revision

	// MaxAge, unless 0, makes a read that could only be answered from older state
	// ErrUnavailable.
	MaxAge time.Duration

	// Wait is how long, at most MaxWait, a Lookup waits for the registration to exist,
	// else ErrTimeout, and a List with Since for a change, else it is one without; a List
	// with After does not wait. It counts from the call on. The answer is as new as the
	// rest of Read asks when it is given.
	Wait time.Duration

	// Epoch, unless 0, is the epoch that revisions in the request belong to; in
	// another one they are ErrCompacted.
	Epoch Epoch
}

// Validate reports what is wrong with r.
func (r Read) Validate() error {
	if r.Consistency > Linearizable {
		return Invalid("consistency", "%d is neither local nor linearizable", r.Consistency)
	}
	if r.MaxAge < 0 {
		return Invalid("max_age_ms", "must not be negative")
	}
	if r.Wait < 0 || r.Wait > MaxWait {
		return Invalid("wait_ms", "must be 0 to %d", MaxWait.Milliseconds())
	}
	return nil
}

// Stamp says how far an answer reaches.
type Stamp struct {
	// Revision is the newest one that the answer takes into account, without a hole.
	// Of a write it is the revision that it made.
	Revision Revision
	Epoch    Epoch
	// Age is an upper bound on how long ago the state answered from was the newest.
	// 0 where every acknowledged write is seen at once.
	Age time.Duration
}

// Removal is the outcome of an unregister.
type Removal struct {
	Removed  bool
	Revision Revision // of the removal; 0 if nothing was removed
}

// EventKind says what happened to a registration.
type EventKind uint8

// The kinds of events.
const (
	Registered   EventKind = iota + 1
	Updated                // its content changed
	Unregistered           // it was removed because somebody asked for it
	Expired                // its owner's lease ended
	Unmatched              // it changed and does not match the query
	Gap                    // single changes before this point were lost or merged
)

var eventNames = [...]string{
	Registered: "registered", Updated: "updated", Unregistered: "unregistered",
	Expired: "expired", Unmatched: "unmatched", Gap: "gap",
}

// String returns the kind as the protocol spells it.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown"
}

// ParseEventKind is the inverse of [EventKind.String]; 0 for anything else.
func ParseEventKind(s string) EventKind {
	for k, name := range eventNames {
		if name == s && s != "" {
			return EventKind(k)
		}
	}
	return 0
}

// Removes reports whether an event of kind k leaves no registration behind.
func (k EventKind) Removes() bool { return k == Unregistered || k == Expired }

// The reasons that Roost itself gives for events.
const (
	ReasonExpired  = "expired"  // the lease's TTL passed without a keepalive
	ReasonClosed   = "closed"   // the owner's connection was closed
	ReasonRevoked  = "revoked"  // the owner gave its lease back
	ReasonReplaced = "replaced" // the name passed from an owner whose lease had ended
	ReasonAdmin    = "admin"    // an operator removed it

	ReasonUnmatched = "unmatched" // it changed and does not match the query
)

// Event is one change of one registration.
type Event struct {
	Kind   EventKind
	Reason string

	// Registration is the registration as it now is; of a removal, as it last was; nil
	// of a Gap. It is shared and must not be changed.
	Registration *Registration

	// Revision is that of the change. Previous is that of the key's change before it,
	// removals included; 0 if none is remembered.
	Revision Revision
	Previous Revision
}
