package backend_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/roostbus/roost/backend"
)

func stored(change func(*backend.Registration)) backend.Registration {
	r := registration(func(r *backend.Registration) {
		r.Owner, r.Revision, r.CreatedRevision = "k5zq", 42, 40
		r.CreatedAt = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
		r.UpdatedAt = time.Date(2026, 11, 21, 10, 5, 0, 7_000_000, time.UTC)
	})
	if change != nil {
		change(&r)
	}
	return r
}

func TestARegistrationIsWrittenAsTheProtocolShowsIt(t *testing.T) {
	t.Parallel()
	r := stored(func(r *backend.Registration) { r.Metadata = `{"html":"<&>","n":9007199254740993}` })
	const content = `{"namespace":"default","service":"payments","instance":"10.0.0.7:8080",` +
		`"endpoints":{"http":"http://10.0.0.7:8080","nats":"nats:payments.charge"},` +
		`"metadata":{"html":"<&>","n":9007199254740993},"weight":100,"status":"up","owner":"k5zq"`
	const times = `"created_at":"2026-11-21T10:00:00.000Z","updated_at":"2026-11-21T10:05:00.007Z"}`
	if diff := cmp.Diff(content+`,"revision":42,"created_revision":40,`+times, string(r.AppendJSON(nil))); diff != "" {
		t.Errorf("AppendJSON: %s", diff)
	}
	if diff := cmp.Diff("x"+content+`,"created_revision":40,`+times, string(r.AppendStored([]byte("x")))); diff != "" {
		t.Errorf("AppendStored: %s", diff)
	}
	r.CreatedRevision = 0
	if diff := cmp.Diff(content+`,`+times, string(r.AppendStored(nil))); diff != "" {
		t.Errorf("AppendStored of a new one: %s", diff)
	}
	r.CreatedAt = r.CreatedAt.In(time.FixedZone("", 3600)).Add(999 * time.Microsecond)
	if diff := cmp.Diff(content+`,`+times, string(r.AppendStored(nil))); diff != "" {
		t.Errorf("AppendStored of another zone: %s", diff)
	}
}

func anyRegistration() *rapid.Generator[backend.Registration] {
	text := rapid.StringN(0, 20, -1)
	return rapid.Custom(func(t *rapid.T) backend.Registration {
		m, err := backend.MetadataOf(jsonObjects(2).Draw(t, "metadata"))
		if err != nil {
			t.Fatal(err)
		}
		at := time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, "at")).UTC()
		r := backend.Registration{
			Key:             keys().Draw(t, "key"),
			Endpoints:       backend.EndpointsOf(rapid.MapOfN(names(), text, 0, 4).Draw(t, "endpoints")),
			Metadata:        m,
			Weight:          rapid.Uint16().Draw(t, "weight"),
			Status:          rapid.SampledFrom([]backend.Status{backend.Up, backend.Draining, backend.Down}).Draw(t, "status"),
			Owner:           text.Draw(t, "owner"),
			CreatedRevision: backend.Revision(rapid.Uint64Min(1).Draw(t, "created")),
			CreatedAt:       at,
			UpdatedAt:       at.Add(time.Millisecond),
		}
		r.Revision = r.CreatedRevision
		return r
	})
}

func TestAnyRegistrationSurvivesItsJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := anyRegistration().Draw(t, "registration")
		text := r.AppendJSON(nil)
		if !json.Valid(text) {
			t.Fatalf("AppendJSON wrote %s, which is not JSON", text)
		}
		got, err := backend.ParseRegistration(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Fatal(diff)
		}
		var spaced bytes.Buffer
		if err := json.Indent(&spaced, text, " ", "\t"); err != nil {
			t.Fatal(err)
		}
		var back backend.Registration
		if err := json.Unmarshal(spaced.Bytes(), &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, back); diff != "" {
			t.Fatal(diff)
		}

		got, err = backend.ParseRegistration(r.AppendStored(nil))
		if err != nil {
			t.Fatal(err)
		}
		r.Revision = 0
		if diff := cmp.Diff(r, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAParsedRegistrationSharesNoMemoryWithItsText(t *testing.T) {
	t.Parallel()
	want := stored(nil)
	text := want.AppendJSON(nil)
	got, err := backend.ParseRegistration(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range text {
		text[i] = 'X'
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestARegistrationIsReadWithSpaceUnknownMembersAndDefaults(t *testing.T) {
	t.Parallel()
	got, err := backend.ParseRegistration([]byte(` { "later" : {"x":[1,{"y":null}]}, "service" : "s" , "namespace":"n",
		"metadata" : { "b" : [ 1 , "a b" ] } , "instance":"\u0069" , "endpoints" : { "z":"1" , "a":"2" }, "revision" : 7 } `))
	if err != nil {
		t.Fatal(err)
	}
	want := backend.Registration{
		Key:       backend.Key{Namespace: "n", Service: "s", Instance: "i"},
		Endpoints: backend.Endpoints{{Name: "a", URI: "2"}, {Name: "z", URI: "1"}},
		Metadata:  `{"b":[1,"a b"]}`,
		Weight:    100, Status: backend.Up, Revision: 7, CreatedRevision: 7,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAMalformedRegistrationIsRefused(t *testing.T) {
	t.Parallel()
	const key = `"namespace":"n","service":"s"`
	for _, text := range []string{
		"", " ", "{", "null", "[]", `"x"`, "1",
		`{}`, `{"namespace":"n"}`, `{"namespace":"n","service":"_s"}`, `{"namespace":null,"service":"s"}`,
		`{` + key + `,"service":"t"}`,
		`{` + key + `,"endpoints":null}`, `{` + key + `,"endpoints":{"a":1}}`, `{` + key + `,"endpoints":{"a":"1","a":"2"}}`,
		`{` + key + `,"metadata":null}`, `{` + key + `,"metadata":[]}`, `{` + key + `,"metadata":{"a":1,"a":2}}`, `{` + key + `,"metadata": { "a":"\ud800" }}`,
		`{` + key + `,"weight":-1}`, `{` + key + `,"weight":65536}`, `{` + key + `,"weight":1.0}`, `{` + key + `,"weight":"1"}`,
		`{` + key + `,"status":"gone"}`, `{` + key + `,"status":1}`, `{` + key + `,"owner":0}`, "{" + key + ",\"owner\":\"\xff\"}",
		`{` + key + `,"revision":18446744073709551616}`, `{` + key + `,"created_revision":null}`,
		`{` + key + `,"created_at":"yesterday"}`, `{` + key + `,"updated_at":1}`,
		`{` + key + `,"deep":` + nested("[", "]", 9000) + `}`,
	} {
		r, err := backend.ParseRegistration([]byte(text))
		if !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("ParseRegistration(%.80s) = %+v, %v; want ErrInvalid", text, r, err)
		}
	}
}

func TestWritingARegistrationAllocatesNothingAndReadingOneItsTextAndEndpoints(t *testing.T) {
	r := stored(nil)
	buf := r.AppendJSON(nil)
	if got := testing.AllocsPerRun(100, func() { buf = r.AppendJSON(buf[:0]) }); got != 0 {
		t.Errorf("writing: %v allocations; want none", got)
	}
	text := r.AppendStored(nil)
	if got := testing.AllocsPerRun(100, func() { _, _ = backend.ParseRegistration(text) }); got > 2 {
		t.Errorf("reading: %v allocations; want 2", got)
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	r := stored(nil)
	buf := r.AppendJSON(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = r.AppendJSON(buf[:0])
	}
}

func BenchmarkParseRegistration(b *testing.B) {
	r := stored(func(r *backend.Registration) {
		r.Metadata = `{"version":"2.1.0","region":"eu-west","capabilities":["charge","refund"],"limits":{"rps":200}}`
	})
	text := r.AppendStored(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := backend.ParseRegistration(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate64KiB(b *testing.B) {
	r := registration(func(r *backend.Registration) { r.Endpoints, r.Metadata = nil, sized(64<<10) })
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}
