package backendtest

import (
	"strconv"
	"testing"

	"github.com/roostbus/roost/backend"
)

var metadataClauses = []clause{
	{name: "MetadataComesBackAsItWentIn", check: metadataRoundTrip},
	{name: "MetadataIsTakenInCompactFormOnly", check: metadataCompact},
}

// R8. foundation: "nested metadata round trip", "metadata preserved".
func metadataRoundTrip(t *testing.T, s subject) {
	want := map[string]backend.Metadata{}
	var stamp backend.Stamp
	for i, m := range []backend.Metadata{
		"",
		`{"n":9007199254740993,"m":-18446744073709551617,"d":0.1000,"e":1E+2,"z":-0,"huge":1e400}`,
		`{"z":1,"a":2,"m":{"z":1,"a":[3,1,2,null,true,{"b":[]}]}}`,
		`{"html":"<a href='x'>&amp;</a>","lines":"a\nb\tc","slash":"\/","unicode":"\u00e9é\u2028"}`,
		"{\"sep\":\"\u2028\u2029\",\"del\":\"\u007f\",\"emoji\":\"💳\"}",
		`{"":{"":[""]},"with.dot":{"a b":1},"ключ":"значение"}`,
		`{"list":[{"zone":"a"},{"zone":"b"},[[]]],"empty":{},"none":null}`,
	} {
		name := "i-" + strconv.Itoa(i)
		want[name] = m
		var got backend.Registration
		got, stamp = s.register(t, described("payments", name, m), backend.Write{})
		if got.Metadata != m {
			t.Errorf("Register returned %s; want %s", got.Metadata, m)
		}
	}
	for name, m := range want {
		if got := s.lookup(t, instance("payments", name).Key, seen(stamp)).Metadata; got != m {
			t.Errorf("Lookup returned %s; want %s", got, m)
		}
	}
	list := s.list(t, backend.Query{Scope: scope("payments"), Read: seen(stamp)})
	if len(list) != len(want) {
		t.Errorf("the list has %d entries; want %d", len(list), len(want))
	}
	for _, r := range list {
		if r.Metadata != want[r.Instance] {
			t.Errorf("List returned %s; want %s", r.Metadata, want[r.Instance])
		}
	}
}

func metadataCompact(t *testing.T, s subject) {
	r := instance("payments", "i-1")
	for _, m := range []backend.Metadata{`{ "a":1}`, ` {}`, "{\"a\":\n1}"} {
		r.Metadata = m
		_, _, err := s.Register(patient(t), r, backend.Write{})
		invalid(t, "Register with "+strconv.Quote(string(m)), err, "metadata")
	}
}
