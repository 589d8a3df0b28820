package backend_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
)

var plainExample = backend.Registration{
	Key:       backend.Key{Namespace: "default", Service: "payments", Instance: "10.0.0.7:8080"},
	Endpoints: backend.EndpointsOf(map[string]string{"http": "http://10.0.0.7:8080", "nats": "nats:payments.charge"}),
	Metadata:  `{"version":"2.1.0","capabilities":["charge","refund"],"limits":{"rps":200},"beta":true,"none":null,"empty":{},"list":[]}`,
	Weight:    7, Status: backend.Draining, Owner: "xx7efk5icnktva4ttus6qidmat", Revision: 42, CreatedRevision: 40,
	CreatedAt: time.Date(2024, 2, 29, 23, 59, 59, 987e6, time.UTC), UpdatedAt: time.Date(2026, 11, 21, 10, 5, 0, 0, time.UTC),
}

// alike reports on text that the plain reader takes and the general one takes otherwise.
func alike(t *testing.T, text []byte) (taken bool) {
	t.Helper()
	r, rest, ok := backend.CutPlain(text)
	if !ok {
		return false
	}
	want, err := backend.ParseGeneral(text[:len(text)-len(rest)])
	if err != nil {
		t.Errorf("%s is taken for plain: %v", text, err)
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("%s is read otherwise (-general +plain):\n%s", text, diff)
	}
	return true
}

func TestWhatIsWrittenIsReadInOnePass(t *testing.T) {
	t.Parallel()
	bare := plainExample
	numbers := plainExample
	numbers.Metadata = `{"names":"Zoë","numbers":[0,-1,2.5,-0.25e-9,1E+3,0e0,18446744073709551616]}`
	bare.Endpoints, bare.Metadata, bare.Owner, bare.CreatedRevision, bare.Instance = nil, "", "", 0, ""
	for _, r := range []backend.Registration{plainExample, bare, numbers} {
		for _, text := range [][]byte{r.AppendJSON(nil), r.AppendStored(nil)} {
			if !alike(t, text) {
				t.Errorf("%s is not taken for plain", text)
			}
			if _, rest, ok := backend.CutPlain(append(text, ",{"...)); !ok || string(rest) != ",{" {
				t.Errorf("behind %s is %q, %v; want what was there", text, rest, ok)
			}
		}
	}
}

func TestWhatIsNotPlainIsLeftToTheGeneralReader(t *testing.T) {
	t.Parallel()
	text := string(plainExample.AppendJSON(nil))
	for _, change := range [][2]string{
		{`"payments"`, `"p\u0061yments"`},
		{`"payments"`, `"pay` + "\n" + `ments"`},
		{`"payments"`, "\"pay\xffments\""},
		{`"2.1.0"`, "\"2.1.\xff\""},
		{`"payments"`, `"_payments"`},
		{`"weight":7`, `"weight":07`},
		{`"weight":7`, `"weight":70000`},
		{`"weight":7`, `"weight":-7`},
		{`"weight":7`, `"weight": 7`},
		{`"revision":42`, `"revision":42424242424242424242`},
		{`"draining"`, `"tired"`},
		{`"version"`, `"beta"`},
		{`"rps":200`, `"rps":02`},
		{`"rps":200`, `"rps":2e`},
		{`"rps":200`, `"rps":2.`},
		{`"rps":200`, `"rps":+2`},
		{`"rps":200`, `"rps":-`},
		{`"rps":200`, `"rps":.5`},
		{`"rps":200`, `"rps":200,"nested":{"a":1,"\u0061":2}`},
		{`"rps":200`, `"rps":200,"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1`},
		{`"rps":200`, `"rps":[[[[[[[[1]]]]]]]]`},
		{`"nats":`, `"http":`},
		{`2024-02-29`, `2023-02-29`},
		{`23:59:59.987Z`, `24:59:59.987Z`},
		{`23:59:59.987Z`, `23:59:60.987Z`},
		{`23:59:59.987Z`, `23:59:59+01:00`},
		{`"owner"`, `"owned"`},
		{`}`, ``},
	} {
		changed := bytes.Replace([]byte(text), []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(changed, []byte(text)) {
			t.Fatalf("%q does not occur", change[0])
		}
		if alike(t, changed) {
			t.Errorf("%s is taken for plain", changed)
		}
	}
	for n := range text {
		if alike(t, []byte(text[:n])) {
			t.Errorf("%s is taken for plain", text[:n])
		}
	}
}

func TestARegistrationIsCutOffWhatIsBehindItPlainOrNot(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		string(plainExample.AppendJSON(nil)),
		`{"namespace":"n","service":"\u0073","metadata":{"updated_at":"2026-11-21T10:05:00.000Z"}}`,
		`{ "service" : "s" , "namespace" : "n" }`,
	} {
		want, err := backend.ParseRegistration([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		got, rest, ok := backend.CutRegistration([]byte(text + `,{"namespace":"next"`))
		if !ok || string(rest) != `,{"namespace":"next"` {
			t.Errorf("behind %s is %q, %v", text, rest, ok)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s is read otherwise (-alone +cut):\n%s", text, diff)
		}
	}
	for _, text := range []string{``, `]`, `{}`, `{"namespace":"n"`, `{"namespace":"n","service":"_s"}`} {
		if r, rest, ok := backend.CutRegistration([]byte(text)); ok || string(rest) != text {
			t.Errorf("%q begins with %+v before %q", text, r, rest)
		}
	}
}

func FuzzPlainRegistrations(f *testing.F) {
	f.Add(plainExample.AppendJSON(nil))
	f.Add(plainExample.AppendStored(nil))
	f.Add([]byte(`{"namespace":"a","service":"b","instance":"","endpoints":{},"metadata":{},"weight":0,"status":"up","owner":"","created_at":"2026-11-21T10:05:00.000Z","updated_at":"2026-11-21T10:05:00.000Z"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		alike(t, text)
	})
}

func BenchmarkReadInOnePass(b *testing.B) {
	text := plainExample.AppendJSON(nil)
	for name, parse := range map[string]func([]byte) (backend.Registration, error){"plain": backend.ParseRegistration, "general": backend.ParseGeneral} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
