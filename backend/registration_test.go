package backend_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
)

func endpoints(n int) backend.Endpoints {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprintf("e%02d", i)] = "tcp://h"
	}
	return backend.EndpointsOf(m)
}

func registration(change func(*backend.Registration)) backend.Registration {
	r := backend.Registration{
		Key:       backend.Key{Namespace: "default", Service: "payments", Instance: "10.0.0.7:8080"},
		Endpoints: backend.EndpointsOf(map[string]string{"nats": "nats:payments.charge", "http": "http://10.0.0.7:8080"}),
		Metadata:  `{"version":"2.1.0"}`,
		Weight:    100,
		Status:    backend.Up,
	}
	if change != nil {
		change(&r)
	}
	return r
}

// sized returns metadata that makes the body of a registration without endpoints n
// bytes long.
func sized(n int) backend.Metadata {
	const around = `{"endpoints":{},"metadata":{"fill":""}}`
	return backend.Metadata(`{"fill":"` + strings.Repeat("x", n-len(around)) + `"}`)
}

func TestARegistrationAtItsLimitsIsValid(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*backend.Registration){
		"nothing":      func(r *backend.Registration) { *r = backend.Registration{Key: r.Key} },
		"32 endpoints": func(r *backend.Registration) { r.Endpoints = endpoints(32) },
		"long URI": func(r *backend.Registration) {
			r.Endpoints = backend.Endpoints{{Name: "a", URI: strings.Repeat("u", backend.MaxEndpointURI)}}
		},
		"long name": func(r *backend.Registration) {
			r.Endpoints = backend.Endpoints{{Name: strings.Repeat("n", backend.MaxName), URI: "u"}}
		},
		"64 KiB":       func(r *backend.Registration) { r.Endpoints, r.Metadata = nil, sized(64<<10) },
		"braces":       func(r *backend.Registration) { r.Metadata = "{}" },
		"no instance":  func(r *backend.Registration) { r.Instance = "" },
		"weight":       func(r *backend.Registration) { r.Weight = backend.MaxWeight },
		"down":         func(r *backend.Registration) { r.Status = backend.Down },
		"status unset": func(r *backend.Registration) { r.Status = 0 },
	} {
		r := registration(change)
		if err := r.Validate(); err != nil {
			t.Errorf("%s: Validate() = %v; want nil", name, err)
		}
	}
}

func TestARegistrationBeyondItsLimitsIsRefusedByField(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field  string
		change func(*backend.Registration)
	}{
		{"namespace", func(r *backend.Registration) { r.Namespace = "" }},
		{"service", func(r *backend.Registration) { r.Service = "_roost" }},
		{"instance", func(r *backend.Registration) { r.Instance = strings.Repeat("i", 129) }},
		{"status", func(r *backend.Registration) { r.Status = 4 }},
		{"endpoints", func(r *backend.Registration) { r.Endpoints = endpoints(33) }},
		{"endpoints", func(r *backend.Registration) { r.Endpoints = backend.Endpoints{{Name: "", URI: "u"}} }},
		{"endpoints", func(r *backend.Registration) { r.Endpoints = backend.Endpoints{{Name: "_a", URI: "u"}} }},
		{"endpoints", func(r *backend.Registration) {
			r.Endpoints = backend.Endpoints{{Name: "a", URI: "u"}, {Name: "a", URI: "v"}}
		}},
		{"endpoints", func(r *backend.Registration) {
			r.Endpoints = backend.Endpoints{{Name: "b", URI: "u"}, {Name: "a", URI: "v"}, {Name: "b", URI: "w"}}
		}},
		{"endpoints.a", func(r *backend.Registration) { r.Endpoints = backend.Endpoints{{Name: "a"}} }},
		{"endpoints.a", func(r *backend.Registration) { r.Endpoints = backend.Endpoints{{Name: "a", URI: "\xff"}} }},
		{"endpoints.a", func(r *backend.Registration) {
			r.Endpoints = backend.Endpoints{{Name: "a", URI: strings.Repeat("u", backend.MaxEndpointURI+1)}}
		}},
		{"metadata", func(r *backend.Registration) { r.Metadata = "[]" }},
		{"metadata", func(r *backend.Registration) { r.Metadata = `{"a": 1}` }},
		{"metadata", func(r *backend.Registration) { r.Metadata = `{"a":1` }},
		{"metadata.a", func(r *backend.Registration) { r.Metadata = `{"a":"\udfff"}` }},
	} {
		r := registration(c.change)
		err := r.Validate()
		var invalid *backend.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != c.field {
			t.Errorf("Validate() = %v; want an InvalidError about %s", err, c.field)
		}
	}
}

func TestABodyOneByteTooLargeSaysItsSizeAndTheLimit(t *testing.T) {
	t.Parallel()
	r := registration(func(r *backend.Registration) { r.Endpoints, r.Metadata = nil, sized(64<<10+1) })
	var large *backend.TooLargeError
	if err := r.Validate(); !errors.As(err, &large) || large.Size != 65537 || large.Limit != 65536 {
		t.Errorf("Validate() = %v; want a TooLargeError of 65537 over 65536", err)
	}
	// Endpoints count as well: what fits alone does not beside one.
	r = registration(func(r *backend.Registration) { r.Metadata = sized(64 << 10) })
	if err := r.Validate(); !errors.Is(err, backend.ErrTooLarge) {
		t.Errorf("Validate() with endpoints beside full metadata = %v; want ErrTooLarge", err)
	}
}

func TestNormalizeOrdersACopy(t *testing.T) {
	t.Parallel()
	given := backend.Endpoints{{Name: "b", URI: "2"}, {Name: "a", URI: "1"}}
	r := backend.Registration{Endpoints: given, Metadata: "{}"}.Normalize()
	want := backend.Registration{Endpoints: backend.Endpoints{{Name: "a", URI: "1"}, {Name: "b", URI: "2"}}, Status: backend.Up}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
	if given[0].Name != "b" {
		t.Error("Normalize reordered the caller's slice")
	}
}

func TestEndpointsAsJSON(t *testing.T) {
	t.Parallel()
	var e backend.Endpoints
	if err := json.Unmarshal([]byte(` { "b" : "2", "a<\n" : "\u0031" } `), &e); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(backend.Endpoints{{Name: "a<\n", URI: "1"}, {Name: "b", URI: "2"}}, e); diff != "" {
		t.Error(diff)
	}
	if text, err := e.MarshalJSON(); err != nil || string(text) != `{"a<\n":"1","b":"2"}` {
		t.Errorf("MarshalJSON = %s, %v", text, err)
	}
	for _, text := range []string{`[]`, `null`, `{"a":1}`, `{"a":null}`, `{"a":"1","a":"2"}`, `{"a":"1","b":"","\u0061":"2"}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}"} {
		if err := e.UnmarshalJSON([]byte(text)); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("UnmarshalJSON(%s) = %v; want ErrInvalid", text, err)
		}
	}
	if err := e.UnmarshalJSON([]byte("{")); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("UnmarshalJSON({) = %v; want ErrInvalid", err)
	}
}

func TestEndpointsAreFoundAndWalked(t *testing.T) {
	t.Parallel()
	e := backend.EndpointsOf(map[string]string{"http": "h", "grpc": "g", "nats": "n"})
	if uri, ok := e.Get("http"); !ok || uri != "h" {
		t.Errorf("Get(http) = %q, %v", uri, ok)
	}
	if _, ok := e.Get("ftp"); ok {
		t.Error("Get(ftp) found something")
	}
	var names []string
	for name := range e.All() {
		if names = append(names, name); len(names) == 2 {
			break
		}
	}
	if diff := cmp.Diff([]string{"grpc", "http"}, names); diff != "" {
		t.Error(diff)
	}
	if e := backend.EndpointsOf(nil); e != nil {
		t.Errorf("EndpointsOf(nil) = %v; want nil", e)
	}
}

func TestStatusIsSpelledAndParsed(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]backend.Status{"up": backend.Up, "draining": backend.Draining, "down": backend.Down} {
		if got, err := backend.ParseStatus(want); err != nil || got != s || s.String() != want {
			t.Errorf("ParseStatus(%q) = %v, %v; String() = %s", want, got, err, s)
		}
		var back backend.Status
		if err := json.Unmarshal([]byte(`"`+want+`"`), &back); err != nil || back != s {
			t.Errorf("Unmarshal(%q) = %v, %v", want, back, err)
		}
	}
	if got := backend.Status(0).String(); got != "up" {
		t.Errorf("the zero Status is %q; want up", got)
	}
	for _, text := range []string{"", "UP", "up ", "gone", "Status(4)"} {
		if _, err := backend.ParseStatus(text); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("ParseStatus(%q) = %v; want ErrInvalid", text, err)
		}
	}
}

func TestSameContentComparesWhatACallerSays(t *testing.T) {
	t.Parallel()
	a := registration(nil)
	b := registration(func(r *backend.Registration) { r.Owner, r.Revision, r.CreatedRevision = "other", 7, 5 })
	if !a.SameContent(&b) {
		t.Error("a different owner and revision made different content")
	}
	for name, change := range map[string]func(*backend.Registration){
		"endpoints": func(r *backend.Registration) { r.Endpoints = nil },
		"metadata":  func(r *backend.Registration) { r.Metadata = `{"version":"2.1.1"}` },
		"weight":    func(r *backend.Registration) { r.Weight = 0 },
		"status":    func(r *backend.Registration) { r.Status = backend.Draining },
	} {
		if b := registration(change); a.SameContent(&b) {
			t.Errorf("different %s is the same content", name)
		}
	}
}
