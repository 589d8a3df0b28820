package backend_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
)

func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{"", "a.b.c", "a.b._", "default.pay.10=2E0=2E0=2E7=3A8080", "=41.b.c", "a=.b.c", "a.b.c.d", "_._._", "=C3=A9.b=2E.=FF"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := backend.ParseKey(text)
		if err != nil {
			return
		}
		if k.String() != text {
			t.Errorf("ParseKey(%q) = %+v, whose text is %q", text, k, k)
		}
		if err := k.Validate(); err != nil {
			t.Errorf("ParseKey(%q) = %+v: %v", text, k, err)
		}
	})
}

func FuzzParseToken(f *testing.F) {
	for _, seed := range []string{"", "a", "_", "=2E", "=41", "=c3", "=C3=A9", "a=0", "=C2=85"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		name, err := backend.ParseToken("name", token)
		if err != nil {
			return
		}
		if backend.ValidateName("name", name) != nil || backend.Token(name) != token {
			t.Errorf("ParseToken(%q) = %q, whose token is %q", token, name, backend.Token(name))
		}
	})
}

func FuzzParseRegistration(f *testing.F) {
	r := stored(nil)
	f.Add(r.AppendStored(nil))
	f.Add(r.AppendJSON(nil))
	for _, seed := range []string{
		`{}`, `{"namespace":"n","service":"s"}`, `[`, `{"namespace":"n","service":"s","metadata":{"a":[{"b":"\ud800"}]}}`,
		` { "namespace" : "n" , "service" : "s" , "metadata" : { "a" : 1 } , "x" : [ ] } `,
		`{"namespace":"n","service":"s","endpoints":{"b":"1","a":"\u0000"},"created_at":"2026-11-21T10:00:00+02:00"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := backend.ParseRegistration(text)
		if err != nil {
			return
		}
		written := r.AppendJSON(nil)
		if !json.Valid(written) {
			t.Fatalf("%q was read and written as %q", text, written)
		}
		if r.CreatedAt.Year() > 9999 || r.UpdatedAt.Year() > 9999 {
			return // beyond RFC 3339, reachable by a zone only
		}
		again, err := backend.ParseRegistration(written)
		if err != nil {
			t.Fatalf("%q was written as %q, which is refused: %v", text, written, err)
		}
		if diff := cmp.Diff(string(written), string(again.AppendJSON(nil))); diff != "" {
			t.Error(diff)
		}
		for range r.Metadata.Scalars() { // must not panic
			continue
		}
	})
}

func FuzzParseMetadata(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { "a" : 1 } `, `{"a":{"b":[1,"x",null,{"c":-0.5e9}]}}`, `{"a":1,"a":2}`, `{"\ud83d\ude00":"\ud800"}`, `{"a":1e999999999}`, "{\"\u2028\":\"<>\"}",
	} {
		f.Add([]byte(seed), []byte(`{"a":null,"b":{"c":1}}`))
	}
	f.Fuzz(func(t *testing.T, text, patch []byte) {
		m, err := backend.ParseMetadata(text)
		if err != nil {
			return
		}
		if again, err := backend.ParseMetadata([]byte(m.String())); err != nil || again != m {
			t.Errorf("%s is read as %s: %v", m, again, err)
		}
		for path, value := range m.Scalars() {
			if again, err := backend.ParseScalar(path, []byte(value)); err != nil || again != value {
				t.Errorf("the scalar %s at %q is read as %s: %v", value, path, again, err)
			}
		}
		p, err := backend.ParsePatch(patch)
		if err != nil {
			return
		}
		merged := m.Merge(p)
		if again, err := backend.ParseMetadata([]byte(merged.String())); err != nil || again != merged {
			t.Errorf("%s merged with %s is %s, read as %s: %v", m, p, merged, again, err)
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	for _, seed := range []string{"", "x", backend.Cursor{Revision: 7, Epoch: 1, Key: "n.s.i"}.String(), "MCAwIA", "MSAyIA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := backend.ParseCursor(text); err == nil && c.String() != text {
			t.Errorf("ParseCursor(%q) = %+v, whose text is %q", text, c, c)
		}
	})
}
