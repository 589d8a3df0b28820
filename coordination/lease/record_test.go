package lease_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
)

func TestARecordIsMadeWithinItsBounds(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, c := range []struct {
		name       string
		ttl, grace time.Duration
		field      string // that is wrong; "" if none is
	}{
		{"", lease.MinTTL, 0, ""},
		{"payments-7f9c", lease.MaxTTL, lease.MaxGrace, ""},
		{"", lease.MinTTL - time.Millisecond, 0, "ttl_ms"},
		{"", lease.MaxTTL + time.Millisecond, 0, "ttl_ms"},
		{"", lease.DefaultTTL, -time.Millisecond, "grace_ms"},
		{"", lease.DefaultTTL, lease.MaxGrace + time.Millisecond, "grace_ms"},
		{"_reserved", lease.DefaultTTL, 0, "name"},
		{strings.Repeat("x", 129), lease.DefaultTTL, 0, "name"},
	} {
		r, err := lease.NewRecord(c.name, c.ttl, c.grace, now)
		if c.field == "" {
			if err != nil || r.TTL() != c.ttl || r.Grace() != c.grace || r.Ended != "" {
				t.Errorf("NewRecord(%q, %v, %v) = %+v, %v", c.name, c.ttl, c.grace, r, err)
			}
			continue
		}
		if bad, ok := errors.AsType[*backend.InvalidError](err); !ok || bad.Field != c.field {
			t.Errorf("NewRecord(%q, %v, %v) = %v; want %s invalid", c.name, c.ttl, c.grace, err, c.field)
		}
	}
}

func TestAnEndIsARewriteOfTheRecordAtItsRevision(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 10, 0, 0, 123_456_789, time.FixedZone("east", 3600))
	r, err := lease.NewRecord("payments", 15*time.Second, 2*time.Second, now)
	if err != nil {
		t.Fatal(err)
	}
	l := lease.Lease{Owner: "x", Revision: 7, Record: r}
	w, err := l.Write(l.End(backend.ReasonClosed), "op-1")
	if err != nil {
		t.Fatal(err)
	}
	value := w.Value
	w.Value = nil
	want := kvstore.Write{Key: "lease.x", Expect: 7, Labels: kvstore.Labels{Operation: "op-1"}}
	if diff := cmp.Diff(want, w); diff != "" {
		t.Errorf("the write (-want +got):\n%s", diff)
	}
	const stored = `{"name":"payments","ttl_ms":15000,"grace_ms":2000,"granted_at":"2026-11-21T09:00:00.123Z","ended":"closed"}`
	if diff := cmp.Diff(stored, string(value)); diff != "" {
		t.Errorf("the value (-want +got):\n%s", diff)
	}
	var back lease.Record
	if err := json.Unmarshal(value, &back); err != nil || back.End("") != r {
		t.Errorf("read back as %+v, %v; want %+v", back, err, r)
	}
	if l.Ended != "" {
		t.Error("End has changed the lease itself")
	}
}
