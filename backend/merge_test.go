package backend_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/roostbus/roost/backend"
)

func metadata(t *testing.T, text string) backend.Metadata {
	t.Helper()
	m, err := backend.ParseMetadata([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Those of RFC 7396, appendix A, whose original and patch are objects, as metadata and
// its patches are; the others stand one level down, where any value may stand.
func TestMergeDoesWhatTheRFCShows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ original, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"x":["a","b"]}`, `{"x":["c","d"]}`, `{"x":["c","d"]}`},
		{`{"x":{"a":"b"}}`, `{"x":["c"]}`, `{"x":["c"]}`},
		{`{"x":{"a":"foo"}}`, `{"x":null}`, `{}`},
		{`{"x":{"a":"foo"}}`, `{"x":"bar"}`, `{"x":"bar"}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`{"x":[1,2]}`, `{"x":{"a":"b","c":null}}`, `{"x":{"a":"b"}}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		// RFC 7396, section 3.
		{
			`{"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["example","sample"],"content":"This will be unchanged"}`,
			`{"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},"tags":["example"]}`,
			`{"title":"Hello!","author":{"givenName":"John"},"tags":["example"],"content":"This will be unchanged","phoneNumber":"+01-123-456-7890"}`,
		},
		// Ours: what is not named keeps its digits, and nulls inside arrays stay.
		{`{"n":9007199254740993,"e":1e2}`, `{"a":1.50}`, `{"n":9007199254740993,"e":1e2,"a":1.50}`},
		{`{}`, `{"a":[null,{"b":null}]}`, `{"a":[null,{"b":null}]}`},
		{`{"a":1}`, `{}`, `{"a":1}`},
		{`{"\"q\"":1}`, `{"\u0022q\u0022":2}`, `{"\"q\"":2}`},
	} {
		if got := metadata(t, c.original).Merge(metadata(t, c.patch)); got.String() != c.want {
			t.Errorf("%s merged with %s = %s; want %s", c.original, c.patch, got, c.want)
		}
	}
}

// naive is RFC 7396, section 2, word for word.
func naive(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	for name, value := range changes {
		if value == nil {
			delete(object, name)
		} else {
			object[name] = naive(object[name], value)
		}
	}
	return object
}

func jsonValues(depth int) *rapid.Generator[any] {
	scalars := rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.StringN(0, 5, -1), func(s string) any { return s }),
		rapid.Map(rapid.Int64(), func(n int64) any { return n }),
	)
	if depth == 0 {
		return scalars
	}
	return rapid.OneOf(
		scalars,
		rapid.Map(rapid.SliceOfN(jsonValues(depth-1), 0, 3), func(s []any) any { return s }),
		rapid.Map(jsonObjects(depth-1), func(m map[string]any) any { return m }),
	)
}

func jsonObjects(depth int) *rapid.Generator[map[string]any] {
	name := rapid.OneOf(rapid.SampledFrom([]string{"a", "b", "c", "\"", "é", "\n"}), rapid.StringN(0, 3, -1))
	return rapid.MapOfN(name, jsonValues(depth), 0, 4)
}

func TestMergeAgreesWithTheNaiveMerge(t *testing.T) {
	t.Parallel()
	decode := func(t *rapid.T, m backend.Metadata) (v any) {
		if err := m.Decode(&v); err != nil {
			t.Fatalf("%s: %v", m, err)
		}
		return v
	}
	rapid.Check(t, func(t *rapid.T) {
		target, err := backend.MetadataOf(jsonObjects(3).Draw(t, "target"))
		if err != nil {
			t.Fatal(err)
		}
		patch, err := backend.MetadataOf(jsonObjects(3).Draw(t, "patch"))
		if err != nil {
			t.Fatal(err)
		}
		merged := target.Merge(patch)
		if again, err := backend.ParseMetadata([]byte(merged)); merged != "" && (err != nil || again != merged) {
			t.Fatalf("the result %s is no metadata: %v", merged, err)
		}
		if diff := cmp.Diff(naive(decode(t, target), decode(t, patch)), decode(t, merged)); diff != "" {
			t.Fatalf("%s merged with %s: %s", target, patch, diff)
		}
	})
}

func TestAPatchIsCheckedBeforeItIsApplied(t *testing.T) {
	t.Parallel()
	for _, patch := range []backend.Metadata{`{"a`, `{"a"`, `{`, `[]`, `null`, ` {}`, `{"a":1,"a":2}`, `x`, `{"a":1,"b":[[`} {
		c := backend.Change{Merge: &patch}
		err := c.Validate()
		var invalid *backend.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "merge_metadata" {
			t.Errorf("Change{Merge: %s}.Validate() = %v; want an InvalidError about merge_metadata", string(patch), err)
		}
	}
	lone := backend.Metadata(`{"a":"\ud800"}`)
	if err := (backend.Change{Merge: &lone}).Validate(); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("a patch with half a surrogate pair: %v; want ErrInvalid", err)
	}
	if _, err := backend.ParsePatch([]byte(`"text"`)); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("ParsePatch of a string = %v; want ErrInvalid", err)
	}
	if p, err := backend.ParsePatch([]byte(`{"a": null}`)); err != nil || !json.Valid([]byte(p)) {
		t.Errorf("ParsePatch = %q, %v", string(p), err)
	}
}
