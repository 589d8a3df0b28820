package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

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

	// Key names the registration that the code is about, as in its subject.
	Key string `json:"key,omitempty"`
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
	// Size is the size of something too large in bytes; 0 if it is not known.
	Size int64 `json:"size,omitempty"`
	// Max is how much of the quota there is.
	Max int64 `json:"max,omitempty"`
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
		return e.invalid()
	case e.Code == CodeExists && e.Holder != nil:
		return &backend.ExistsError{Holder: *e.Holder}
	case e.Code == CodeNotOwner:
		return &backend.NotOwnerError{Key: e.key(), Owner: e.Owner}
	case e.Code == CodeConflict && e.Revision != nil:
		return &backend.ConflictError{Key: e.key(), Revision: *e.Revision}
	case e.Code == CodeTooLarge && e.Limit != nil:
		return &backend.TooLargeError{Field: e.Field, Size: e.Size, Limit: e.Limit.Bytes}
	case e.Code == CodeLimitExceeded && e.Limit != nil:
		return &backend.LimitError{Quota: e.Limit.Quota, Limit: e.Max}
	}
	for _, f := range failures {
		if f.code == e.Code {
			return f.err
		}
	}
	return nil
}

// invalid returns the InvalidError whose text, with whatever was put before it, is e's
// message.
func (e *Error) invalid() error {
	problem := e.Message
	if _, after, found := strings.Cut(e.Message, (&backend.InvalidError{Field: e.Field}).Error()); found {
		problem = after
	}
	if notAtomic, ok := errors.AsType[*backend.InvalidError](backend.ErrNotAtomic); ok &&
		notAtomic.Field == e.Field && notAtomic.Problem == problem {
		return backend.ErrNotAtomic
	}
	return &backend.InvalidError{Field: e.Field, Problem: problem}
}

// key returns the key that e names, the zero Key if it names none.
func (e *Error) key() backend.Key {
	k, err := backend.ParseKey(e.Key)
	if err != nil {
		return backend.Key{}
	}
	return k
}

// ErrorFrom turns any error into a failed reply. One that came over the bus is passed on
// as it is. One outside the table becomes CodeInternal with a fixed message, because its
// own text may name hosts or secrets: log it where it happens.
func ErrorFrom(err error) *Error {
	e := errorFrom(err)
	if d, ok := errors.AsType[*backend.OperationError](err); ok && e.Index == nil {
		e.Index = &d.Index
	}
	e.Message = clip(e.Message, maxMessage)
	return e
}

// maxMessage is the greatest length of a message in bytes. What a caller has sent may be part
// of it, and must not make a reply that does not fit.
const maxMessage = 1024

// clip returns text, or its beginning.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len("…")], "") + "…"
}

func errorFrom(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		passed := *e
		return &passed
	}
	for _, f := range failures {
		if errors.Is(err, f.err) {
			e := &Error{Code: f.code, Message: err.Error()}
			if f.code == CodeInternal {
				e.Message = ErrInternal.Error()
			}
			e.details(err)
			return e
		}
	}
	return &Error{Code: CodeInternal, Message: ErrInternal.Error()}
}

// details copies what err carries into e.
func (e *Error) details(err error) {
	switch e.Code {
	case CodeInvalid:
		if d, ok := errors.AsType[*backend.InvalidError](err); ok {
			e.Field = d.Field
		}
	case CodeNotOwner:
		if d, ok := errors.AsType[*backend.NotOwnerError](err); ok {
			e.Key, e.Owner = keyText(d.Key), d.Owner
		}
	case CodeExists:
		if d, ok := errors.AsType[*backend.ExistsError](err); ok {
			e.Holder = &d.Holder
		}
	case CodeConflict:
		if d, ok := errors.AsType[*backend.ConflictError](err); ok {
			e.Key, e.Revision = keyText(d.Key), &d.Revision
		}
	case CodeTooLarge:
		if d, ok := errors.AsType[*backend.TooLargeError](err); ok {
			e.Field, e.Size, e.Limit = d.Field, d.Size, &Limit{Bytes: d.Limit}
		}
	case CodeLimitExceeded:
		if d, ok := errors.AsType[*backend.LimitError](err); ok {
			e.Limit, e.Max = &Limit{Quota: d.Quota}, d.Limit
		}
	}
}

// keyText is the inverse of Error.key.
func keyText(k backend.Key) string {
	if k == (backend.Key{}) {
		return ""
	}
	return k.String()
}

// ParseError reads a failed reply: the values of its headers HeaderErrorCode and
// HeaderError, and its body. A body that is no error object gives an Error of the code
// that the headers say.
func ParseError(number, text string, body []byte) *Error {
	var e Error
	if json.Unmarshal(body, &e) == nil && e.Code != "" {
		return &e
	}
	e = Error{Code: CodeInternal, Message: text}
	for _, f := range failures {
		if strconv.Itoa(f.number) == number {
			e.Code = f.code
			e.Message = strings.TrimPrefix(text, string(f.code)+": ")
		}
	}
	return &e
}

// Header returns the value of HeaderError for e: its code and message in one line.
func (e *Error) Header() string {
	line := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, string(e.Code)+": "+e.Message)
	if len(line) > maxErrorHeader {
		line = strings.ToValidUTF8(line[:maxErrorHeader], "")
	}
	return line
}

// maxErrorHeader is the greatest length of the value of HeaderError in bytes.
const maxErrorHeader = 512
