package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/roostbus/roost/backend"
)

// Code is the part of a failed reply that programs may branch on. A code never changes
// meaning. The message beside it is for people, and may.
type Code string

// The codes.
const (
	CodeInvalid        Code = "invalid"
	CodeNotOwner       Code = "not_owner"
	CodeNotFound       Code = "not_found"
	CodeExists         Code = "already_exists"
	CodeLeaseExpired   Code = "lease_expired"
	CodeConflict       Code = "conflict"
	CodeTooLarge       Code = "too_large"
	CodeCompacted      Code = "compacted"
	CodeLimitExceeded  Code = "limit_exceeded"
	CodeInternal       Code = "internal"
	CodeUnavailable    Code = "unavailable"
	CodeTimeout        Code = "timeout"
	CodeUnknownOutcome Code = "unknown_outcome"
)

// ErrInternal is a fault of the registry; its log has the cause.
var ErrInternal = errors.New("internal error of the registry")

// failures pairs each code with the error that it stands for on both ends of the wire
// and with the number in the Nats-Service-Error-Code header. The first that matches
// counts, so an unknown outcome is never taken for something that was not done.
var failures = []struct {
	code   Code
	number int
	err    error
}{
	{CodeUnknownOutcome, 520, backend.ErrUnknownOutcome},
	{CodeInvalid, 400, backend.ErrInvalid},
	{CodeNotOwner, 403, backend.ErrNotOwner},
	{CodeNotFound, 404, backend.ErrNotFound},
	{CodeExists, 409, backend.ErrExists},
	{CodeLeaseExpired, 410, backend.ErrLeaseExpired},
	{CodeConflict, 412, backend.ErrConflict},
	{CodeTooLarge, 413, backend.ErrTooLarge},
	{CodeCompacted, 416, backend.ErrCompacted},
	{CodeLimitExceeded, 429, backend.ErrLimitExceeded},
	{CodeUnavailable, 503, backend.ErrUnavailable},
	{CodeTimeout, 504, backend.ErrTimeout},
	{CodeInternal, 500, ErrInternal},
}

// Number returns the code's number, 500 for a code this build does not know.
func (c Code) Number() int {
	for _, f := range failures {
		if f.code == c {
			return f.number
		}
	}
	return 500
}

// Codes returns every code, in no particular order.
func Codes() []Code {
	codes := make([]Code, len(failures))
	for i, f := range failures {
		codes[i] = f.code
	}
	return codes
}

// Error is a failed reply. It unwraps to the error that its code stands for, with the
// details it carries: errors.Is and errors.As give a caller across the bus the same
// answer as one in the server's own process.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`

	// Field says where a request is invalid or too large.
	Field string `json:"field,omitempty"`
	// Holder holds the name that already exists.
	Holder *backend.Registration `json:"holder,omitempty"`
	// Owner owns what the caller does not.
	Owner string `json:"owner,omitempty"`
	// Revision is the current one where a condition did not match; 0 if there is none.
	Revision *backend.Revision `json:"revision,omitempty"`
	// Limit is the limit of something too large (a number of bytes), or the name of the
	// quota that is used up (a string).
	Limit *Limit `json:"limit,omitempty"`
	// Index says which operation of an atomic batch it was.
	Index *int `json:"index,omitempty"`
}

// Limit is a number of bytes, or the name of a quota.
type Limit struct {
	Bytes int64
	Quota string
}

// MarshalJSON writes a number or a string.
func (l Limit) MarshalJSON() ([]byte, error) {
	if l.Quota != "" {
		return json.Marshal(l.Quota)
	}
	return strconv.AppendInt(nil, l.Bytes, 10), nil
}

// UnmarshalJSON reads a number or a string.
func (l *Limit) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, &l.Quota)
	}
	return json.Unmarshal(text, &l.Bytes)
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%s)", e.Message, e.Code) }

// Unwrap returns the error that e stands for, nil for a code that this build does not
// know, which a newer server may send.
func (e *Error) Unwrap() error {
	err := e.cause()
	if e.Index != nil {
		return &backend.OperationError{Index: *e.Index, Err: err}
	}
	return err
}

func (e *Error) cause() error {
	switch {
	case e.Code == CodeInvalid:
		return &backend.InvalidError{Field: e.Field, Problem: e.Message}
	case e.Code == CodeExists && e.Holder != nil:
		return &backend.ExistsError{Holder: *e.Holder}
	case e.Code == CodeNotOwner:
		return &backend.NotOwnerError{Owner: e.Owner}
	case e.Code == CodeConflict && e.Revision != nil:
		return &backend.ConflictError{Revision: *e.Revision}
	case e.Code == CodeTooLarge && e.Limit != nil:
		return &backend.TooLargeError{Field: e.Field, Limit: e.Limit.Bytes}
	case e.Code == CodeLimitExceeded && e.Limit != nil:
		return &backend.LimitError{Quota: e.Limit.Quota}
	}
	for _, f := range failures {
		if f.code == e.Code {
			return f.err
		}
	}
	return nil
}

// ErrorFrom turns any error into a failed reply. One that came over the bus is passed on
// as it is. One outside the table becomes CodeInternal with a fixed message, because its
// own text may name hosts or secrets: log it where it happens.
func ErrorFrom(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Code: CodeInternal, Message: ErrInternal.Error()}
	for _, f := range failures {
		if errors.Is(err, f.err) {
			e = &Error{Code: f.code, Message: err.Error()}
			break
		}
	}
	e.details(err)
	return e
}

// details copies what err carries into e.
func (e *Error) details(err error) {
	if d, ok := errors.AsType[*backend.OperationError](err); ok {
		e.Index = &d.Index
	}
	switch e.Code {
	case CodeInvalid:
		if d, ok := errors.AsType[*backend.InvalidError](err); ok {
			e.Field = d.Field
		}
	case CodeNotOwner:
		if d, ok := errors.AsType[*backend.NotOwnerError](err); ok {
			e.Owner = d.Owner
		}
	case CodeExists:
		if d, ok := errors.AsType[*backend.ExistsError](err); ok {
			e.Holder = &d.Holder
		}
	case CodeConflict:
		if d, ok := errors.AsType[*backend.ConflictError](err); ok {
			e.Revision = &d.Revision
		}
	case CodeTooLarge:
		if d, ok := errors.AsType[*backend.TooLargeError](err); ok {
			e.Field, e.Limit = d.Field, &Limit{Bytes: d.Limit}
		}
	case CodeLimitExceeded:
		if d, ok := errors.AsType[*backend.LimitError](err); ok {
			e.Limit = &Limit{Quota: d.Quota}
		}
	}
}

// ParseError reads the body of a failed reply. A body that is no error object gives an
// Error of the code that number stands for.
func ParseError(number, text string, body []byte) *Error {
	var e Error
	if json.Unmarshal(body, &e) == nil && e.Code != "" {
		return &e
	}
	e = Error{Code: CodeInternal, Message: text}
	for _, f := range failures {
		if strconv.Itoa(f.number) == number {
			e.Code = f.code
		}
	}
	return &e
}
