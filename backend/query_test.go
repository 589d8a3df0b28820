package backend_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostbus/roost/backend"
)

func conditions(n int) map[string]backend.Scalar {
	where := map[string]backend.Scalar{}
	for i := range n {
		where[fmt.Sprintf("m%d", i)] = "true"
	}
	return where
}

func TestAQueryAtItsLimitsIsValid(t *testing.T) {
	t.Parallel()
	for _, q := range []backend.Query{
		{},
		{Scope: backend.Scope{Namespace: "n", Service: "s"}, Limit: 10_000, MaxBytes: 1 << 30},
		{Where: conditions(32), Status: []backend.Status{backend.Up, backend.Draining, backend.Down}},
		{Filter: strings.Repeat("f", 4096)},
		{After: backend.Cursor{Revision: 7, Epoch: 1, Key: "n.s.i"}.String()},
	} {
		if err := q.Validate(); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func TestAQueryBeyondItsLimitsIsRefusedByField(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field string
		query backend.Query
	}{
		{"service", backend.Query{Scope: backend.Scope{Service: "s"}}},
		{"namespace", backend.Query{Scope: backend.Scope{Namespace: "_"}}},
		{"where", backend.Query{Where: conditions(33)}},
		{"where", backend.Query{Where: map[string]backend.Scalar{"": "1"}}},
		{"where.a", backend.Query{Where: map[string]backend.Scalar{"a": ""}}},
		{"where.a", backend.Query{Where: map[string]backend.Scalar{"a": "200"}}},
		{"where.a", backend.Query{Where: map[string]backend.Scalar{"a": "{}"}}},
		{"status", backend.Query{Status: []backend.Status{0}}},
		{"status", backend.Query{Status: []backend.Status{backend.Up, 4}}},
		{"limit", backend.Query{Limit: -1}},
		{"limit", backend.Query{Limit: 10_001}},
		{"max_bytes", backend.Query{MaxBytes: -1}},
		{"after", backend.Query{After: "x"}},
		{"consistency", backend.Query{Read: backend.Read{Consistency: 7}}},
	} {
		err := c.query.Validate()
		var invalid *backend.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != c.field {
			t.Errorf("%+v: %v; want an InvalidError about %s", c.query, err, c.field)
		}
	}
	q := backend.Query{Filter: strings.Repeat("f", 4097)}
	var large *backend.TooLargeError
	if err := q.Validate(); !errors.As(err, &large) || large.Limit != 4096 {
		t.Errorf("a filter of 4097 bytes: %v; want a TooLargeError over 4096", err)
	}
}

func TestAQuerySelectsByScopeWhereAndStatus(t *testing.T) {
	t.Parallel()
	r := registration(func(r *backend.Registration) { r.Metadata = `{"region":"eu","n":2.0}` })
	for _, c := range []struct {
		query backend.Query
		want  bool
	}{
		{backend.Query{}, true},
		{backend.Query{Scope: backend.Scope{Namespace: "default", Service: "payments"}}, true},
		{backend.Query{Scope: backend.Scope{Namespace: "other"}}, false},
		{backend.Query{Where: map[string]backend.Scalar{"region": `"eu"`, "n": "2"}}, true},
		{backend.Query{Where: map[string]backend.Scalar{"region": `"eu"`, "n": "3"}}, false},
		{backend.Query{Status: []backend.Status{backend.Down, backend.Up}}, true},
		{backend.Query{Status: []backend.Status{backend.Down}}, false},
	} {
		if got := c.query.MatchesPlain(&r); got != c.want {
			t.Errorf("%+v matches: %v; want %v", c.query, got, c.want)
		}
	}
	r.Status = 0
	if q := (backend.Query{Status: []backend.Status{backend.Up}}); !q.MatchesPlain(&r) {
		t.Error("a registration whose status is not said does not match up")
	}
	for want, q := range map[bool]*backend.Query{true: {Scope: backend.Scope{Namespace: "n"}, Limit: 3}, false: {Filter: "true"}} {
		if q.Everything() != want {
			t.Errorf("%+v.Everything() = %v; want %v", q, !want, want)
		}
	}
}

func TestAnyCursorSurvivesItsText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := backend.Cursor{
			Revision: backend.Revision(rapid.Uint64().Draw(t, "revision")),
			Epoch:    backend.Epoch(rapid.Uint32().Draw(t, "epoch")),
			Key:      keys().Draw(t, "key").String(),
		}
		if got, err := backend.ParseCursor(c.String()); err != nil || got != c {
			t.Fatalf("ParseCursor(%s) = %+v, %v; want %+v", c, got, err, c)
		}
	})
	if got := (backend.Cursor{}).String(); got != "" {
		t.Errorf("the zero Cursor is %q; want nothing", got)
	}
}

func TestWhatNoPageGaveIsNoCursor(t *testing.T) {
	t.Parallel()
	encode := func(plain string) string { return base64.RawURLEncoding.EncodeToString([]byte(plain)) }
	for _, text := range []string{
		"x", "!!", "n.s.i", encode("1 2"), encode("1 x k"), encode("x 1 k"), encode("01 2 k"), encode("1 02 k"),
		encode("-1 2 k"), encode("4294967296 2 k"), encode("1 18446744073709551616 k"), encode("0 0 "),
		encode("1 2 n.s.i") + "\n", encode("1 2 k") + "=", "MSAyIGl",
	} {
		c, err := backend.ParseCursor(text)
		if !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("ParseCursor(%q) = %+v, %v; want ErrInvalid", text, c, err)
		}
	}
}

func TestAPageIsRenderedOnce(t *testing.T) {
	t.Parallel()
	p := &backend.Page{Next: "n"}
	calls := 0
	for range 3 {
		if got := p.Rendering(func(p *backend.Page) []byte { calls++; return []byte(p.Next) }); string(got) != "n" {
			t.Errorf("Rendering = %s; want n", got)
		}
	}
	if calls != 1 {
		t.Errorf("rendered %d times; want once", calls)
	}
}
