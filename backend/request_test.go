package backend_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
)

func TestConditions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		condition backend.Condition
		allowed   []backend.Revision
		refused   []backend.Revision
		revision  backend.Revision
		asked     bool
	}{
		{"none", backend.Condition{}, []backend.Revision{0, 1, 7}, nil, 0, false},
		{"absent", backend.IfAbsent(), []backend.Revision{0}, []backend.Revision{1, 7}, 0, true},
		{"zero", backend.IfRevision(0), []backend.Revision{0}, []backend.Revision{1, 7}, 0, true},
		{"seven", backend.IfRevision(7), []backend.Revision{7}, []backend.Revision{0, 1, 8}, 7, true},
	} {
		for _, r := range c.allowed {
			if !c.condition.Allows(r) {
				t.Errorf("%s refuses %d", c.name, r)
			}
		}
		for _, r := range c.refused {
			if c.condition.Allows(r) {
				t.Errorf("%s allows %d", c.name, r)
			}
		}
		if r, asked := c.condition.Revision(); r != c.revision || asked != c.asked {
			t.Errorf("%s.Revision() = %d, %v; want %d, %v", c.name, r, asked, c.revision, c.asked)
		}
	}
}

func TestOperationIDsSurviveTheirText(t *testing.T) {
	t.Parallel()
	id := backend.OperationID{0: 0xab, 31: 1}
	text := "ab" + strings.Repeat("00", 30) + "01"
	if id.String() != text {
		t.Errorf("String() = %s; want %s", id, text)
	}
	if got, err := backend.ParseOperationID(text); err != nil || got != id {
		t.Errorf("ParseOperationID = %v, %v", got, err)
	}
	if got, err := backend.ParseOperationID(""); err != nil || got != (backend.OperationID{}) {
		t.Errorf("ParseOperationID of nothing = %v, %v", got, err)
	}
	for _, bad := range []string{"ab", "x" + text[1:], strings.ToUpper(text), text + "00", text + text, text[:63], strings.Repeat("0", 64)} {
		if got, err := backend.ParseOperationID(bad); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("ParseOperationID(%q) = %v, %v; want ErrInvalid", bad, got, err)
		}
	}
}

func TestAReasonIsShortTextWithoutControlCharacters(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"", "moved to eu", "перенос", strings.Repeat("r", 256)} {
		if err := (backend.Write{Reason: reason}).Validate(); err != nil {
			t.Errorf("reason %q: %v", reason, err)
		}
	}
	for _, reason := range []string{"a\nb", "\x00", "\x7f", "a\u0085b", "\xff", strings.Repeat("r", 257)} {
		err := (backend.Write{Reason: reason}).Validate()
		var invalid *backend.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "reason" {
			t.Errorf("reason %q: %v; want an InvalidError about reason", reason, err)
		}
	}
}

func TestAChangeReplacesWhatItNames(t *testing.T) {
	t.Parallel()
	base := stored(nil)
	e, m, p, w, s := backend.Endpoints{{Name: "b", URI: "2"}, {Name: "a", URI: "1"}}, backend.Metadata(`{"a":1}`), backend.Metadata(`{"version":null,"b":2}`), uint16(0), backend.Down
	for name, c := range map[string]struct {
		change backend.Change
		want   func(*backend.Registration)
	}{
		"nothing": {backend.Change{}, nil},
		"endpoints": {backend.Change{Endpoints: &e}, func(r *backend.Registration) {
			r.Endpoints = backend.Endpoints{{Name: "a", URI: "1"}, {Name: "b", URI: "2"}}
		}},
		"metadata": {backend.Change{Metadata: &m}, func(r *backend.Registration) { r.Metadata = m }},
		"merge":    {backend.Change{Merge: &p}, func(r *backend.Registration) { r.Metadata = `{"b":2}` }},
		"weight":   {backend.Change{Weight: &w}, func(r *backend.Registration) { r.Weight = 0 }},
		"status":   {backend.Change{Status: &s}, func(r *backend.Registration) { r.Status = backend.Down }},
	} {
		got, err := c.change.Apply(base)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(stored(c.want), got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if err := c.change.Validate(); err != nil {
			t.Errorf("%s: Validate() = %v", name, err)
		}
	}
	if e[0].Name != "b" {
		t.Error("Apply reordered the caller's endpoints")
	}
}

func TestAChangeThatBreaksALimitIsRefused(t *testing.T) {
	t.Parallel()
	m, bad, many, status := backend.Metadata(`{"a":1}`), backend.Metadata(`[]`), endpoints(33), backend.Status(9)
	for field, c := range map[string]backend.Change{
		"merge_metadata": {Metadata: &m, Merge: &m},
		"metadata":       {Metadata: &bad},
		"endpoints":      {Endpoints: &many},
		"status":         {Status: &status},
	} {
		var invalid *backend.InvalidError
		if err := c.Validate(); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("Validate() = %v; want an InvalidError about %s", err, field)
		}
	}
	half := sized(40 << 10)
	other := backend.Metadata(strings.Replace(string(half), "fill", "more", 1))
	if _, err := (backend.Change{Merge: &other}).Apply(backend.Registration{Key: stored(nil).Key, Metadata: half}); !errors.Is(err, backend.ErrTooLarge) {
		t.Errorf("a merge beyond 64 KiB: %v; want ErrTooLarge", err)
	}
}

func TestReadsAreValidated(t *testing.T) {
	t.Parallel()
	for _, r := range []backend.Read{{}, {Consistency: backend.Linearizable, MaxAge: time.Hour, MinRevision: 1 << 63, Epoch: 9}} {
		if err := r.Validate(); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for _, r := range []backend.Read{{Consistency: 2}, {MaxAge: -1}} {
		if err := r.Validate(); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("%+v: %v; want ErrInvalid", r, err)
		}
	}
}

func TestEnumsAreSpelledAsTheProtocolSpellsThem(t *testing.T) {
	t.Parallel()
	for want, k := range map[string]backend.EventKind{
		"registered": backend.Registered, "updated": backend.Updated, "unregistered": backend.Unregistered,
		"expired": backend.Expired, "unmatched": backend.Unmatched, "gap": backend.Gap,
	} {
		if k.String() != want || backend.ParseEventKind(want) != k {
			t.Errorf("%q: String() = %s, ParseEventKind = %v", want, k, backend.ParseEventKind(want))
		}
		if removes := k == backend.Unregistered || k == backend.Expired; k.Removes() != removes {
			t.Errorf("%s.Removes() = %v", k, k.Removes())
		}
	}
	for _, text := range []string{"", "Registered", "unknown"} {
		if k := backend.ParseEventKind(text); k != 0 {
			t.Errorf("ParseEventKind(%q) = %v; want 0", text, k)
		}
	}
	for want, c := range map[string]backend.Consistency{"local": backend.Local, "linearizable": backend.Linearizable} {
		if got, err := backend.ParseConsistency(want); err != nil || got != c || c.String() != want {
			t.Errorf("ParseConsistency(%q) = %v, %v", want, got, err)
		}
	}
	if _, err := backend.ParseConsistency("eventual"); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("ParseConsistency(eventual) = %v; want ErrInvalid", err)
	}
	for want, k := range map[string]backend.OperationKind{"register": backend.OpRegister, "update": backend.OpUpdate, "unregister": backend.OpUnregister} {
		if k.String() != want {
			t.Errorf("String() = %s; want %s", k, want)
		}
	}
	for want, s := range map[string]backend.HealthStatus{"healthy": backend.Healthy, "degraded": backend.Degraded, "unhealthy": backend.Unhealthy} {
		var got backend.HealthStatus
		if err := got.UnmarshalText([]byte(want)); err != nil || got != s || s.String() != want {
			t.Errorf("UnmarshalText(%q) = %v, %v", want, got, err)
		}
	}
	var h backend.HealthStatus
	if err := h.UnmarshalText(nil); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("UnmarshalText of nothing = %v; want ErrInvalid", err)
	}
}

func TestErrorsMatchTheirSentinelsThroughWrapping(t *testing.T) {
	t.Parallel()
	key := stored(nil).Key
	for _, c := range []struct {
		err, sentinel error
		says          string
	}{
		{backend.Invalid("where.a", "is %s", "wrong"), backend.ErrInvalid, "invalid where.a: is wrong"},
		{backend.Invalid("", "no body"), backend.ErrInvalid, "invalid request: no body"},
		{&backend.TooLargeError{Field: "filter", Size: 5, Limit: 4}, backend.ErrTooLarge, "5 bytes, at most 4"},
		{&backend.TooLargeError{Field: "filter", Limit: 4}, backend.ErrTooLarge, "at most 4 bytes"},
		{&backend.NotOwnerError{Key: key, Owner: "o"}, backend.ErrNotOwner, `owner "o"`},
		{&backend.ExistsError{Holder: stored(nil)}, backend.ErrExists, `owner "k5zq"`},
		{&backend.ExistsError{Holder: registration(nil)}, backend.ErrExists, "permanent"},
		{&backend.ConflictError{Key: key, Revision: 7}, backend.ErrConflict, "at 7"},
		{&backend.ConflictError{Key: key}, backend.ErrConflict, "does not exist"},
		{&backend.LimitError{Quota: "requests", Limit: 9}, backend.ErrLimitExceeded, "9 requests"},
		{&backend.OperationError{Index: 3, Err: backend.ErrNotFound}, backend.ErrNotFound, "operation 3"},
		{backend.ErrClosed, backend.ErrUnavailable, "closed"},
		{backend.ErrNotAtomic, backend.ErrInvalid, "all or none"},
	} {
		if !errors.Is(fmt.Errorf("call: %w", c.err), c.sentinel) || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%v: want it to match %v and to say %q", c.err, c.sentinel, c.says)
		}
	}
}

func TestOnlyAnUnknownOutcomeIsUncertain(t *testing.T) {
	t.Parallel()
	if backend.Certain(nil) || backend.Certain(fmt.Errorf("%w: %w", backend.ErrUnknownOutcome, context.Canceled)) {
		t.Error("success or an unknown outcome counts as certainly not done")
	}
	if !backend.Certain(backend.ErrUnavailable) {
		t.Error("unavailable counts as uncertain")
	}
}
