package bus_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// failure is an error with everything that it carries, by its code.
type failure struct {
	code     bus.Code
	sentinel error
	err      error
}

func failuresOf(t *testing.T) []failure {
	t.Helper()
	r := payments(t)
	return []failure{
		{bus.CodeInvalid, backend.ErrInvalid, backend.Invalid("metadata.limits", "is nested more than %d deep", 8)},
		{bus.CodeNotOwner, backend.ErrNotOwner, &backend.NotOwnerError{Key: r.Key, Owner: r.Owner}},
		{bus.CodeNotFound, backend.ErrNotFound, backend.ErrNotFound},
		{bus.CodeExists, backend.ErrExists, &backend.ExistsError{Holder: r}},
		{bus.CodeLeaseExpired, backend.ErrLeaseExpired, backend.ErrLeaseExpired},
		{bus.CodeConflict, backend.ErrConflict, &backend.ConflictError{Key: r.Key, Revision: 42}},
		{bus.CodeTooLarge, backend.ErrTooLarge, &backend.TooLargeError{Field: "registration", Size: 70000, Limit: 65536}},
		{bus.CodeCompacted, backend.ErrCompacted, backend.ErrCompacted},
		{bus.CodeLimitExceeded, backend.ErrLimitExceeded, &backend.LimitError{Quota: "requests", Limit: 1024}},
		{bus.CodeInternal, bus.ErrInternal, bus.ErrInternal},
		{bus.CodeUnavailable, backend.ErrUnavailable, backend.ErrUnavailable},
		{bus.CodeTimeout, backend.ErrTimeout, backend.ErrTimeout},
		{bus.CodeUnknownOutcome, backend.ErrUnknownOutcome, backend.ErrUnknownOutcome},
	}
}

// across sends err over the wire and returns what arrives.
func across(t *testing.T, err error) *bus.Error {
	t.Helper()
	sent := bus.ErrorFrom(err)
	body, merr := json.Marshal(sent)
	if merr != nil {
		t.Fatal(merr)
	}
	return bus.ParseError(fmt.Sprint(sent.Code.Number()), sent.Header(), body)
}

func TestEveryErrorIsWrittenAsItsGoldenFileSays(t *testing.T) {
	t.Parallel()
	for _, f := range failuresOf(t) {
		golden(t, "error_"+string(f.code), marshal(t, bus.ErrorFrom(f.err)))
	}
	golden(t, "error_in_atomic_batch", marshal(t, bus.ErrorFrom(
		&backend.OperationError{Index: 3, Err: &backend.ConflictError{Key: payments(t).Key}})))
}

func TestEveryCodeHasAnErrorThatIsTested(t *testing.T) {
	t.Parallel()
	var tested []bus.Code
	for _, f := range failuresOf(t) {
		tested = append(tested, f.code)
	}
	codes := bus.Codes()
	slices.Sort(tested)
	slices.Sort(codes)
	if diff := cmp.Diff(codes, tested); diff != "" {
		t.Errorf("codes (-all +tested):\n%s", diff)
	}
}

func TestAnErrorMatchesTheSameSentinelAndNoOtherAcrossTheWire(t *testing.T) {
	t.Parallel()
	for _, f := range failuresOf(t) {
		for _, err := range []error{f.err, fmt.Errorf("register default.payments.i-1: %w", f.err)} {
			got := across(t, err)
			if got.Code != f.code {
				t.Errorf("%v: code %s; want %s", err, got.Code, f.code)
			}
			for _, other := range failuresOf(t) {
				if errors.Is(got, other.sentinel) != errors.Is(err, other.sentinel) {
					t.Errorf("%v: errors.Is(%v) differs across the wire", err, other.sentinel)
				}
			}
		}
	}
}

func TestAnErrorCarriesTheSameDetailsAcrossTheWire(t *testing.T) {
	t.Parallel()
	for _, f := range failuresOf(t) {
		for _, err := range []error{f.err, fmt.Errorf("register default.payments.i-1: %w", f.err)} {
			got := across(t, err)
			sameDetails[*backend.InvalidError](t, err, got)
			sameDetails[*backend.NotOwnerError](t, err, got)
			sameDetails[*backend.ExistsError](t, err, got)
			sameDetails[*backend.ConflictError](t, err, got)
			sameDetails[*backend.TooLargeError](t, err, got)
			sameDetails[*backend.LimitError](t, err, got)
			sameDetails[*backend.OperationError](t, err, got)
		}
	}
}

func sameDetails[T error](t *testing.T, sent, received error) {
	t.Helper()
	want, carried := errors.AsType[T](sent)
	got, arrived := errors.AsType[T](received)
	if carried != arrived {
		t.Errorf("%v: carries a %T: %t, arrives with one: %t", sent, want, carried, arrived)
		return
	}
	if !carried {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%v (-sent +received):\n%s", sent, diff)
	}
}

func TestTheErrorOfAnAtomicBatchSaysWhichOperationItWas(t *testing.T) {
	t.Parallel()
	got := across(t, &backend.OperationError{Index: 0, Err: &backend.ConflictError{Key: payments(t).Key, Revision: 7}})
	operation, ok := errors.AsType[*backend.OperationError](got)
	if !ok || operation.Index != 0 {
		t.Fatalf("%v: operation %+v; want that of index 0", got, operation)
	}
	conflict, ok := errors.AsType[*backend.ConflictError](got)
	if !ok || conflict.Revision != 7 {
		t.Errorf("%v: conflict %+v; want revision 7", got, conflict)
	}
}

func TestAConflictWithNothingThereSaysRevisionZero(t *testing.T) {
	t.Parallel()
	got := across(t, &backend.ConflictError{})
	if got.Revision == nil || *got.Revision != 0 {
		t.Errorf("revision %v; want 0, given", got.Revision)
	}
}

func TestABatchesConflictKeepsItsRevision(t *testing.T) {
	t.Parallel()
	body, err := json.Marshal(bus.BatchResult{Error: bus.ErrorFrom(&backend.ConflictError{Revision: 7})})
	if err != nil {
		t.Fatal(err)
	}
	var got bus.BatchResult
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	conflict, ok := errors.AsType[*backend.ConflictError](got.Error)
	if !ok || conflict.Revision != 7 {
		t.Errorf("%s: conflict %+v; want revision 7", body, conflict)
	}
}

func TestABackendThatHasNoAtomicBatchesIsRecognisedAcrossTheWire(t *testing.T) {
	t.Parallel()
	if got := across(t, backend.ErrNotAtomic); !errors.Is(got, backend.ErrNotAtomic) {
		t.Errorf("%v is not %v", got, backend.ErrNotAtomic)
	}
}

func TestAnUnknownOutcomeIsNeverTakenForSomethingNotDone(t *testing.T) {
	t.Parallel()
	got := across(t, fmt.Errorf("%w: %w", backend.ErrUnavailable, backend.ErrUnknownOutcome))
	if got.Code != bus.CodeUnknownOutcome || backend.Certain(got) {
		t.Errorf("code %s; want %s", got.Code, bus.CodeUnknownOutcome)
	}
}

func TestTheTextOfAnErrorOutsideTheTableIsNotSent(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		errors.New("dial 10.0.0.3: password hunter2"), io.EOF, nil,
		fmt.Errorf("dial 10.0.0.3: %w", bus.ErrInternal),
	} {
		got := bus.ErrorFrom(err)
		if got.Code != bus.CodeInternal || got.Message != bus.ErrInternal.Error() {
			t.Errorf("ErrorFrom(%v) = %s, %q; want the fixed text", err, got.Code, got.Message)
		}
	}
}

func TestAnErrorThatCameOverTheBusIsPassedOnAsItIs(t *testing.T) {
	t.Parallel()
	first := across(t, &backend.LimitError{Quota: "leases", Limit: 5})
	second := across(t, fmt.Errorf("next node: %w", first))
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("passed on (-first +second):\n%s", diff)
	}
}

func TestACodeOfANewerServerMatchesNothing(t *testing.T) {
	t.Parallel()
	got := bus.ParseError("499", "teapot: short and stout", []byte(`{"code":"teapot","message":"short and stout","spout":1}`))
	if got.Code != "teapot" || got.Unwrap() != nil || got.Code.Number() != 500 {
		t.Errorf("code %s, cause %v, number %d; want teapot, none, 500", got.Code, got.Unwrap(), got.Code.Number())
	}
}

func TestAFailedReplyWithoutABodyIsReadFromItsHeaders(t *testing.T) {
	t.Parallel()
	got := bus.ParseError("404", "not_found: not found", nil)
	if got.Code != bus.CodeNotFound || got.Message != "not found" || !errors.Is(got, backend.ErrNotFound) {
		t.Errorf("got %s, %q; want not_found", got.Code, got.Message)
	}
	if got := bus.ParseError("", "", []byte("<html>")); got.Code != bus.CodeInternal {
		t.Errorf("got %s; want internal", got.Code)
	}
}

func TestTheErrorHeaderIsOneShortLine(t *testing.T) {
	t.Parallel()
	e := bus.Error{Code: bus.CodeInvalid, Message: "two\r\nlines " + strings.Repeat("ü", 1000)}
	line := e.Header()
	if strings.ContainsAny(line, "\r\n") || len(line) > 512 || !strings.HasPrefix(line, "invalid: two  lines ü") {
		t.Errorf("header %q", line)
	}
}

func TestALongMessageIsCutShortAndItsDetailsAreKept(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 1<<20)
	for _, err := range []error{
		backend.Invalid("status", "%q is none of up, draining, down", long),
		fmt.Errorf("no proposal %q: %w", long, backend.ErrNotFound),
	} {
		got := across(t, err)
		if len(got.Message) > 1024 || !strings.HasSuffix(got.Message, "ü…") {
			t.Errorf("a message of %d bytes ends with %q", len(got.Message), got.Message[len(got.Message)-10:])
		}
		if want := bus.ErrorFrom(err); got.Code != want.Code || got.Field != want.Field {
			t.Errorf("%s about %q arrives as %s about %q", want.Code, want.Field, got.Code, got.Field)
		}
	}
}
