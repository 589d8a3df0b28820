package backend_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/roostbus/roost/backend"
)

func TestMetadataKeepsEverythingButInsignificantSpace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{}":      "{}",
		" { \n} ": "{}",
		"{ \"b\" : [ 1 , 2 ] ,\t\"a\":\r\n null }":             `{"b":[1,2],"a":null}`,
		`{"n":9007199254740993,"m":-12345678901234567890.10}`:  `{"n":9007199254740993,"m":-12345678901234567890.10}`,
		`{"e":1e400,"f":1E+2,"g":0.10,"z":-0}`:                 `{"e":1e400,"f":1E+2,"g":0.10,"z":-0}`,
		`{"html":"<a href='x'>&</a>"}`:                         `{"html":"<a href='x'>&</a>"}`,
		"{\"line\":\"a\u2028b\u2029\"}":                        "{\"line\":\"a\u2028b\u2029\"}",
		`{"esc":"\u003c\u2028\/\"\\"}`:                         `{"esc":"\u003c\u2028\/\"\\"}`,
		`{"spaces":"a b\tc"}`:                                  `{"spaces":"a b\tc"}`,
		`{"pair":"\ud83d\ude00","upper":"\uD83D\uDE00","x":0}`: `{"pair":"\ud83d\ude00","upper":"\uD83D\uDE00","x":0}`,
		`{"notsurrogate":"\\ud800"}`:                           `{"notsurrogate":"\\ud800"}`,
		`{"":{"":""}}`:                                         `{"":{"":""}}`,
		`{"a":{"x":1},"b":{"x":1},"c":[{"x":1},{"x":1}]}`:      `{"a":{"x":1},"b":{"x":1},"c":[{"x":1},{"x":1}]}`,
	} {
		got, err := backend.ParseMetadata([]byte(text))
		if err != nil || got.String() != want {
			t.Errorf("ParseMetadata(%s) = %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestEmptyMetadataIsTheZeroValue(t *testing.T) {
	t.Parallel()
	m, err := backend.ParseMetadata([]byte(" { } "))
	if err != nil || m != "" {
		t.Errorf("ParseMetadata({ }) = %q, %v; want the zero value", string(m), err)
	}
	if text, err := json.Marshal(m); err != nil || string(text) != "{}" {
		t.Errorf("Marshal = %s, %v; want {}", text, err)
	}
}

func TestMetadataThatIsNoSoundObjectIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "x", "{", `{"a"`, `{"a":}`, `{"a":1}{`, `{"a":1} x`, "{'a':1}", `{"a":01}`, `{"a":NaN}`, // not JSON
		"null", "[]", `"text"`, "1", "true", ` [{"a":1}]`, // no object
		`{"a":1,"a":1}`, `{"a":1,"\u0061":2}`, `{"x":{"a":1,"a":2}}`, `{"x":[[{"a":1,"b":2,"a":3}]]}`, // twice
		"{\"a\":\"\xff\"}", "{\"\xc3\":1}", "{\"a\":\"\xed\xa0\x80\"}", // not UTF-8
		`{"a":"\ud800"}`, `{"a":"\udc00"}`, `{"a":"\ud800\ud800"}`, `{"a":"\ud800x\udc00"}`, `{"a":"\ud83d\\ude00"}`, `{"\uDBFF":1}`, `{"a":["\ud800\n"]}`, // lone surrogates
	} {
		m, err := backend.ParseMetadata([]byte(text))
		if !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("ParseMetadata(%q) = %q, %v; want ErrInvalid", text, string(m), err)
		}
	}
}

func TestMetadataErrorsNameTheMember(t *testing.T) {
	t.Parallel()
	for text, field := range map[string]string{
		`{"a":{"b":{"c":1,"c":2}}}`:   "metadata.a.b",
		`{"a":{"ok":1},"b":"\ud800"}`: "metadata.b",
		`{"c":1,"c":1}`:               "metadata",
	} {
		_, err := backend.ParseMetadata([]byte(text))
		var invalid *backend.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("ParseMetadata(%s) = %v; want an InvalidError about %s", text, err, field)
		}
	}
}

func nested(open, end string, depth int) string {
	return strings.Repeat(open, depth) + "1" + strings.Repeat(end, depth)
}

func TestMetadataIsEightDeepAtMost(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		nested(`{"a":`, "}", 8),
		`{"a":` + nested("[", "]", 7) + `}`,
		`{"a":{"b":[{"c":[{"d":[{"e":1}]}]}]}}`,
	} {
		if _, err := backend.ParseMetadata([]byte(text)); err != nil {
			t.Errorf("ParseMetadata(%s) = %v; want nil", text, err)
		}
	}
	for _, text := range []string{
		nested(`{"a":`, "}", 9),
		`{"a":` + nested("[", "]", 8) + `}`,
		`{"a":1,"b":[` + nested(`{"a":`, "}", 7) + `]}`,
		`{"a":` + nested("[", "]", 5000) + `}`,
	} {
		if _, err := backend.ParseMetadata([]byte(text)); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("ParseMetadata(%.60s) = %v; want ErrInvalid", text, err)
		}
	}
}

func TestManyNamesAreCheckedForTwins(t *testing.T) {
	t.Parallel()
	members := make([]string, 0, 5000)
	for i := range 5000 {
		members = append(members, `"m`+strings.Repeat("x", i%7)+string(rune('a'+i%26))+json.Number(strings.Repeat("1", 1+i%5)).String()+string(rune(0x4e00+i))+`":1`)
	}
	if _, err := backend.ParseMetadata([]byte("{" + strings.Join(members, ",") + "}")); err != nil {
		t.Errorf("distinct names: %v", err)
	}
	for _, twin := range []int{0, 15, 16, 4999} {
		text := "{" + strings.Join(members, ",") + "," + members[twin] + "}"
		if _, err := backend.ParseMetadata([]byte(text)); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("name %d twice: %v; want ErrInvalid", twin, err)
		}
	}
}

func TestMetadataOfEncodesGoValues(t *testing.T) {
	t.Parallel()
	m, err := backend.MetadataOf(struct {
		Big  int64  `json:"big"`
		HTML string `json:"html"`
	}{9007199254740993, "<&>"})
	if err != nil || m.String() != `{"big":9007199254740993,"html":"<&>"}` {
		t.Errorf("MetadataOf = %s, %v", m, err)
	}
	var back struct {
		Big int64 `json:"big"`
	}
	if err := m.Decode(&back); err != nil || back.Big != 9007199254740993 {
		t.Errorf("Decode = %+v, %v", back, err)
	}
	for _, v := range []any{[]int{1}, "text", nil, func() {}, make(chan int)} {
		if m, err := backend.MetadataOf(v); err == nil {
			t.Errorf("MetadataOf(%T) = %s; want an error", v, m)
		}
	}
}

func TestMetadataAsPartOfAJSONDocument(t *testing.T) {
	t.Parallel()
	var doc struct{ Metadata backend.Metadata }
	if err := json.Unmarshal([]byte(`{"Metadata": {"a": 1} }`), &doc); err != nil || doc.Metadata != `{"a":1}` {
		t.Errorf("Unmarshal = %q, %v", string(doc.Metadata), err)
	}
	if err := json.Unmarshal([]byte(`{"Metadata": {"a": 1, "a": 2} }`), &doc); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("Unmarshal with a name twice = %v; want ErrInvalid", err)
	}
}
