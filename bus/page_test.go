package bus_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/bus"
)

const oneListed = `{"namespace":"a","service":"b","instance":"c","endpoints":{"http":"h"},"metadata":{"k":"v"},"weight":1,"status":"up",` +
	`"owner":"","revision":7,"created_revision":7,"created_at":"2026-11-21T10:05:00.000Z","updated_at":"2026-11-21T10:05:00.000Z"}`

var listReplies = []string{
	`{"registrations":[]}`,
	`{"registrations":[` + oneListed + `]}`,
	`{"registrations":[` + oneListed + `,` + oneListed + `],"next":"MSA0"}`,
	`{"registrations":[` + oneListed + `],"removed":[],"next":"MSA0"}`,
	`{"registrations":[],"removed":[{"namespace":"a","service":"b","instance":"","revision":9,"reason":"expired"}]}`,
	`{"registrations":[` + oneListed + `],"later":{"x":1}}`,
	`{"registrations":[{"namespace":"\u0061","service":"b"},` + oneListed + `,{ "service": "b", "namespace": "a" }]}`,
	` {"registrations": [` + oneListed + `]}`,
	`{"next":"MSA0","registrations":[` + oneListed + `]}`,
	`{"registrations":[` + oneListed + `],"registrations":[]}`,
	`{"registrations":[` + oneListed + `],"registrations":null}`,
	`{"registrations":[` + oneListed + `],"Registrations":[null,` + oneListed + `]}`,
	`{"registrations":[null]}`, `{"registrations":null}`, `{}`,
	``, `{"registrations":[`, `{"registrations":[` + oneListed, `{"registrations":[` + oneListed + `,]}`,
	`{"registrations":[` + oneListed + `]`, `{"registrations":[` + oneListed + `]}}`, `{"registrations":[],}`,
	`{"registrations":[` + oneListed + ` ]}`, `{"registrations":[{"namespace":7}]}`,
	`{"registrations":[` + oneListed + oneListed + `]}`, `{"registrations":[` + oneListed + `],"next":7}`,
}

// readAsJSON checks that ParseListReply does as json.Unmarshal.
func readAsJSON(t *testing.T, text []byte) {
	t.Helper()
	var want bus.ListReply
	wantErr := json.Unmarshal(text, &want)
	got, err := bus.ParseListReply(text)
	if (err == nil) != (wantErr == nil) {
		t.Errorf("%s: %v; want %v", text, err, wantErr)
		return
	}
	if diff := cmp.Diff(want, got); err == nil && diff != "" {
		t.Errorf("%s is read otherwise (-json +ours):\n%s", text, diff)
	}
	if next := bus.NextOf(text); err == nil && next != "" && next != want.Next {
		t.Errorf("%s has %q next; want %q", text, next, want.Next)
	}
}

func TestAReplyToAListIsReadAsJSON(t *testing.T) {
	t.Parallel()
	for _, text := range listReplies {
		readAsJSON(t, []byte(text))
	}
}

func TestWhatIsNextIsSeenWithoutReadingTheReply(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"registrations":[` + oneListed + `],"next":"MSA0-_9"}`:                                     "MSA0-_9",
		`{"registrations":[],"removed":[],"next":"MSA0"}`:                                            "MSA0",
		`{"registrations":[` + oneListed + `]}`:                                                      "",
		`{"registrations":[],"removed":[{"namespace":"a","service":"b","reason":"","next":"MSA0"}]}`: "",
		`{"registrations":[],"later":{"a":1,"next":"MSA0"}}`:                                         "",
		`{"registrations":[],"later":",\"next\":\"MSA0"}`:                                            "",
		`{"registrations":[],"next":"a b"}`:                                                          "", `{"registrations":[],"next":""}`: "", `"}`: "", ``: "",
	} {
		if got := bus.NextOf([]byte(text)); got != want {
			t.Errorf("%s: %q; want %q", text, got, want)
		}
	}
}

func FuzzParseListReply(f *testing.F) {
	for _, text := range listReplies {
		f.Add([]byte(text))
	}
	f.Fuzz(readAsJSON)
}
