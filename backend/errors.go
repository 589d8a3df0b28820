package backend

import (
	"errors"
	"fmt"
)

// The errors of a Backend. Those that carry something have a type of their own, which
// unwraps to its sentinel.
var (
	// ErrInvalid means that the request is malformed or breaks a limit; [InvalidError] says where.
	ErrInvalid = errors.New("invalid")
	// ErrNotOwner means that the registration belongs to another owner; [NotOwnerError] names it.
	ErrNotOwner = errors.New("not the owner")
	// ErrNotFound means that there is no such registration.
	ErrNotFound = errors.New("not found")
	// ErrExists means that a live registration of another owner holds the name; [ExistsError] carries it.
	ErrExists = errors.New("already exists")
	// ErrLeaseExpired means that the owner's lease is unknown, revoked or expired.
	ErrLeaseExpired = errors.New("lease expired")
	// ErrConflict means that a [Condition] does not match; [ConflictError] carries the current revision.
	ErrConflict = errors.New("conflict")
	// ErrTooLarge means that something has too many bytes; [TooLargeError] says how many are allowed.
	ErrTooLarge = errors.New("too large")
	// ErrCompacted means that a revision is of another epoch or older than what is remembered.
	ErrCompacted = errors.New("compacted")
	// ErrLimitExceeded means that a quota is used up; [LimitError] says which.
	ErrLimitExceeded = errors.New("limit exceeded")
	// ErrUnavailable means that the registry cannot answer now; the request was certainly not done.
	ErrUnavailable = errors.New("unavailable")
	// ErrTimeout means that the wait that was asked for has passed; nothing was done.
	ErrTimeout = errors.New("timed out")
	// ErrUnknownOutcome means that a write was sent and its fate is not known: read, then decide.
	ErrUnknownOutcome = errors.New("outcome unknown")
	// ErrClosed means that the Backend was closed. It is an [ErrUnavailable].
	ErrClosed = fmt.Errorf("closed: %w", ErrUnavailable)
)

// InvalidError is an [ErrInvalid].
type InvalidError struct {
	Field   string // what is wrong, in the words of the protocol: "metadata", "where.limits.rps"
	Problem string // what is wrong with it
}

// Invalid returns an InvalidError about field.
func Invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

func (e *InvalidError) Error() string {
	if e.Field == "" {
		return "invalid request: " + e.Problem
	}
	return "invalid " + e.Field + ": " + e.Problem
}

// Unwrap returns [ErrInvalid].
func (e *InvalidError) Unwrap() error { return ErrInvalid }

// TooLargeError is an [ErrTooLarge]. Sizes are in bytes; Size is 0 where it is not known.
type TooLargeError struct {
	Field string
	Size  int64
	Limit int64
}

func (e *TooLargeError) Error() string {
	if e.Size == 0 {
		return fmt.Sprintf("%s is too large: at most %d bytes are allowed", e.Field, e.Limit)
	}
	return fmt.Sprintf("%s is too large: %d bytes, at most %d are allowed", e.Field, e.Size, e.Limit)
}

// Unwrap returns [ErrTooLarge].
func (e *TooLargeError) Unwrap() error { return ErrTooLarge }

// NotOwnerError is an [ErrNotOwner].
type NotOwnerError struct {
	Key   Key
	Owner string // who owns the registration
}

func (e *NotOwnerError) Error() string {
	return fmt.Sprintf("%s belongs to owner %q", e.Key, e.Owner)
}

// Unwrap returns [ErrNotOwner].
func (e *NotOwnerError) Unwrap() error { return ErrNotOwner }

// ExistsError is an [ErrExists].
type ExistsError struct {
	Holder Registration // the live registration that holds the name
}

func (e *ExistsError) Error() string {
	if e.Holder.Owner == "" {
		return fmt.Sprintf("%s already exists as a permanent registration", e.Holder.Key)
	}
	return fmt.Sprintf("%s already exists and belongs to owner %q", e.Holder.Key, e.Holder.Owner)
}

// Unwrap returns [ErrExists].
func (e *ExistsError) Unwrap() error { return ErrExists }

// ConflictError is an [ErrConflict].
type ConflictError struct {
	Key      Key
	Revision Revision // the current revision of the registration; 0 if there is none
}

func (e *ConflictError) Error() string {
	if e.Revision == 0 {
		return fmt.Sprintf("%s does not have the expected revision: it does not exist", e.Key)
	}
	return fmt.Sprintf("%s does not have the expected revision: it is at %d", e.Key, e.Revision)
}

// Unwrap returns [ErrConflict].
func (e *ConflictError) Unwrap() error { return ErrConflict }

// LimitError is an [ErrLimitExceeded].
type LimitError struct {
	Quota string // what is used up: "requests", "registrations"
	Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the limit of %d %s is used up", e.Limit, e.Quota)
}

// Unwrap returns [ErrLimitExceeded].
func (e *LimitError) Unwrap() error { return ErrLimitExceeded }
