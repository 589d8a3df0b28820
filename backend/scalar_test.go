package backend_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/roostbus/roost/backend"
)

func scalar(t failer, text string) backend.Scalar {
	t.Helper()
	s, err := backend.ParseScalar("value", []byte(text))
	if err != nil {
		t.Fatalf("ParseScalar(%.80s): %v", text, err)
	}
	return s
}

func TestEqualValuesAreEqualScalars(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"200", "200.0", "2e2", "2E+2", "0.2e3", "20000e-2", " 200 "},
		{"0", "-0", "0.0", "-0.00e17", "0e999999999999999999999"},
		{"-1.5", "-15e-1", "-1.50"},
		{"0.1", "1e-1", "0.10"},
		{"1e999999999", "10e999999998", "0.1e1000000000"},
		{"1e-999999999", "0.1e-999999998"},
		{"9007199254740993", "9007199254740993.0", "90071992547409.93e2"},
		{`"a"`, `"\u0061"`},
		{`"/<>&"`, `"\/\u003c\u003E\u0026"`},
		{"\"\u2028\"", `"\u2028"`},
		{`"😀"`, `"\ud83d\ude00"`},
		{`"\n\u0001"`, `"\u000a\u0001"`, `"\u000A\u0001"`},
		{"true", " true"},
		{"null", "\nnull"},
	} {
		for _, text := range same[1:] {
			if a, b := scalar(t, same[0]), scalar(t, text); a != b {
				t.Errorf("%s is %s and %s is %s; want them equal", same[0], a, text, b)
			}
		}
	}
}

func TestDifferentValuesAreDifferentScalars(t *testing.T) {
	t.Parallel()
	texts := []string{
		"1", "10", "100", "-1", "0", "0.1", "9007199254740992", "9007199254740993", "1e400", "1e401", "1e-400",
		`"1"`, `"true"`, "true", "false", "null", `"null"`, `""`, `"a"`, `"A"`, `"\\u0061"`,
	}
	seen := map[backend.Scalar]string{}
	for _, text := range texts {
		s := scalar(t, text)
		if other, twice := seen[s]; twice {
			t.Errorf("%s and %s are both %s", text, other, s)
		}
		seen[s] = text
	}
}

func TestNumbersAreEqualScalarsExactlyIfTheyAreEqual(t *testing.T) {
	t.Parallel()
	number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,4})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		if rapid.Bool().Draw(t, "scaled") {
			b = a + map[bool]string{true: "e0", false: "0"}[strings.ContainsAny(a, ".") && !strings.ContainsAny(a, "eE")]
			if !json.Valid([]byte(b)) {
				b = a
			}
		}
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		if equal := scalar(t, a) == scalar(t, b); equal != (x.Cmp(y) == 0) {
			t.Fatalf("%s and %s: equal Scalars %v, compared %d", a, b, equal, x.Cmp(y))
		}
	})
}

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func TestACanonicalScalarStaysAsItIs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := jsonValues(0).Draw(t, "value")
		s, err := backend.ScalarOf(v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := backend.ParseScalar("value", []byte(s))
		if err != nil || again != s {
			t.Fatalf("ParseScalar(%s) = %s, %v; want no change", s, again, err)
		}
		if text, ok := v.(string); ok && s.Text() != text {
			t.Fatalf("Text() = %q; want %q", s.Text(), text)
		}
	})
}

func TestAHugeExponentIsOnlyText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1e999999999", "-1.000e-99999999999999999999", "1e" + strings.Repeat("9", 60_000)} {
		if got := scalar(t, text); len(got) > len(text)+2 {
			t.Errorf("ParseScalar(%.40s…) has %d bytes; want at most %d", text, len(got), len(text)+2)
		}
	}
}

func TestWhatIsNoScalarIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{}", "[]", " [1]", "x", "01", "1 2", `"`, "\"\xff\"", `"\ud800"`, "+1", ".5", "NaN"} {
		s, err := backend.ParseScalar("where.a", []byte(text))
		var invalid *backend.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "where.a" {
			t.Errorf("ParseScalar(%q) = %s, %v; want an InvalidError about where.a", text, string(s), err)
		}
	}
	for _, v := range []any{[]int{1}, map[string]int{}, func() {}} {
		if s, err := backend.ScalarOf(v); err == nil {
			t.Errorf("ScalarOf(%T) = %s; want an error", v, s)
		}
	}
	if _, err := json.Marshal(backend.Scalar("")); err == nil {
		t.Error("the zero Scalar marshals; want an error")
	}
}

func TestScalarOfGoValues(t *testing.T) {
	t.Parallel()
	for want, v := range map[backend.Scalar]any{
		`"a<b>"`: "a<b>", "true": true, "null": nil, "2e2": 200, "15e-1": 1.5, "1e400": json.Number("1e400"),
		"9007199254740993": int64(9007199254740993), "18446744073709551615": uint64(18446744073709551615),
	} {
		if got, err := backend.ScalarOf(v); err != nil || got != want {
			t.Errorf("ScalarOf(%v) = %s, %v; want %s", v, got, err, want)
		}
	}
}

func TestScalarInAJSONDocument(t *testing.T) {
	t.Parallel()
	var where map[string]backend.Scalar
	if err := json.Unmarshal([]byte(`{"n": 200.0, "s": "\u0061", "z": true}`), &where); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]backend.Scalar{"n": "2e2", "s": `"a"`, "z": "true"}, where); diff != "" {
		t.Error(diff)
	}
	if text, err := json.Marshal(where); err != nil || string(text) != `{"n":2e2,"s":"a","z":true}` {
		t.Errorf("Marshal = %s, %v", text, err)
	}
}

func TestScalarsOfMetadataWithTheirPaths(t *testing.T) {
	t.Parallel()
	m := metadata(t, `{"version":"2.1.0","limits":{"rps":200.0,"burst":{"max":1e3}},"caps":["charge","refund",["deep"]],
		"list":[{"zone":"a"},{"zone":"b"}],"none":null,"ok":true,"empty":{},"nothing":[],"a.b":1}`)
	var got []string
	for path, value := range m.Scalars() {
		got = append(got, path+"="+string(value))
	}
	want := []string{
		`version="2.1.0"`, "limits.rps=2e2", "limits.burst.max=1e3", `caps="charge"`, `caps="refund"`, `caps="deep"`,
		`list.zone="a"`, `list.zone="b"`, "none=null", "ok=true", "a.b=1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	n := 0
	for range m.Scalars() {
		if n++; n == 4 {
			break
		}
	}
	if n != 4 {
		t.Errorf("stopped after %d scalars; want 4", n)
	}
	for range backend.Metadata("").Scalars() {
		t.Error("empty metadata has a scalar")
	}
}

func TestHasLooksInsideObjectsAndArrays(t *testing.T) {
	t.Parallel()
	m := metadata(t, `{"limits":{"rps":200},"caps":["charge","refund"],"big":9007199254740993}`)
	for path, value := range map[string]string{"limits.rps": "200.0", "caps": `"refund"`, "big": "9007199254740993"} {
		if !m.Has(path, scalar(t, value)) {
			t.Errorf("Has(%s, %s) = false; want true", path, value)
		}
	}
	for path, value := range map[string]string{
		"limits.rps": `"200"`, "limits": "200", "rps": "200", "caps": `"void"`, "big": "9007199254740992", "caps.0": `"charge"`, "": "200",
	} {
		if m.Has(path, scalar(t, value)) {
			t.Errorf("Has(%s, %s) = true; want false", path, value)
		}
	}
}
