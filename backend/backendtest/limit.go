package backendtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/roostbus/roost/backend"
)

var registerLimitClauses = []clause{
	{name: "WhatReachesALimitIsAccepted", check: atTheLimits},
	{name: "WhatBreaksALimitIsRefusedByField", check: beyondTheLimits},
	{name: "ABodyOfMoreThan64KiBIsErrTooLarge", check: bodyLimit},
	{name: "AMergeThatGrowsBeyond64KiBIsErrTooLarge", check: mergeLimit},
	{name: "AReasonHasAtMost256Bytes", check: reasonLimit},
	{name: "InvalidKeysAreErrInvalidEverywhere", check: invalidKeys},
}

func manyEndpoints(n int) backend.Endpoints {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprintf("e%02d", i)] = "tcp://host"
	}
	return backend.EndpointsOf(m)
}

// nested returns metadata that is depth deep.
func nested(open, end string, depth int) backend.Metadata {
	return backend.Metadata(`{"a":` + strings.Repeat(open, depth-1) + "1" + strings.Repeat(end, depth-1) + "}")
}

// filled returns payments/i-1 with a body that is size bytes long.
func filled(member string, size int) backend.Registration {
	r := instance("payments", "i-1")
	r.Endpoints = nil
	around := len(`{"endpoints":{},"metadata":{"":""}}`) + len(member)
	r.Metadata = backend.Metadata(`{"` + member + `":"` + strings.Repeat("x", size-around) + `"}`)
	return r
}

func atTheLimits(t *testing.T, s subject) {
	for name, change := range map[string]func(*backend.Registration){
		"long names": func(r *backend.Registration) {
			long := strings.Repeat("é", backend.MaxName/2)
			r.Key = backend.Key{Namespace: long, Service: long, Instance: long}
		},
		"32 endpoints": func(r *backend.Registration) { r.Endpoints = manyEndpoints(backend.MaxEndpoints) },
		"no endpoints": func(r *backend.Registration) { r.Endpoints = nil },
		"deep objects": func(r *backend.Registration) { r.Metadata = nested(`{"a":`, "}", backend.MaxDepth) },
		"deep arrays":  func(r *backend.Registration) { r.Metadata = nested("[", "]", backend.MaxDepth) },
		"64 KiB":       func(r *backend.Registration) { *r = filled("fill", backend.MaxBody) },
		"weight 65535": func(r *backend.Registration) { r.Weight = backend.MaxWeight },
		"a long URI": func(r *backend.Registration) {
			r.Endpoints = backend.Endpoints{{Name: "a", URI: strings.Repeat("u", backend.MaxEndpointURI)}}
		},
		"a spaced name": func(r *backend.Registration) { r.Instance = "a b.c/d" },
	} {
		r := instance("payments", "i-1")
		change(&r)
		got, stamp, err := s.Register(patient(t), r, backend.Write{})
		if err != nil {
			t.Errorf("%s: %v; want nil", name, err)
			continue
		}
		same(t, s.lookup(t, r.Key, seen(stamp)), got)
	}
}

func beyondTheLimits(t *testing.T, s subject) {
	for _, c := range []struct {
		field  string
		change func(*backend.Registration)
	}{
		{"status", func(r *backend.Registration) { r.Status = 9 }},
		{"endpoints", func(r *backend.Registration) { r.Endpoints = manyEndpoints(backend.MaxEndpoints + 1) }},
		{"endpoints", func(r *backend.Registration) { r.Endpoints = backend.Endpoints{{Name: "", URI: "u"}} }},
		{"endpoints", func(r *backend.Registration) {
			r.Endpoints = backend.Endpoints{{Name: "b", URI: "u"}, {Name: "a", URI: "v"}, {Name: "b", URI: "w"}}
		}},
		{"endpoints.a", func(r *backend.Registration) { r.Endpoints = backend.Endpoints{{Name: "a"}} }},
		{"metadata", func(r *backend.Registration) { r.Metadata = `[]` }},
		{"metadata", func(r *backend.Registration) { r.Metadata = `"text"` }},
		{"metadata", func(r *backend.Registration) { r.Metadata = `{"a":1,"a":2}` }},
		{"metadata", func(r *backend.Registration) { r.Metadata = `{"a":` }},
		{"metadata.a.a.a.a.a.a.a.a", func(r *backend.Registration) { r.Metadata = nested(`{"a":`, "}", backend.MaxDepth+1) }},
		{"metadata.a", func(r *backend.Registration) { r.Metadata = nested("[", "]", backend.MaxDepth+1) }},
		{"metadata", func(r *backend.Registration) { r.Metadata = "{\"a\":\"\xff\"}" }},
		{"metadata.a", func(r *backend.Registration) { r.Metadata = `{"a":"\ud800"}` }},
	} {
		r := instance("payments", "i-1")
		c.change(&r)
		_, _, err := s.Register(patient(t), r, backend.Write{})
		invalid(t, fmt.Sprintf("Register of %.80s", text(r)), err, c.field)
	}
	s.absent(t, instance("payments", "i-1").Key, linearizable)

	stored, _ := s.register(t, instance("payments", "i-1"), backend.Write{})
	for field, c := range map[string]backend.Change{
		"status":         {Status: address(backend.Status(9))},
		"endpoints":      {Endpoints: address(manyEndpoints(backend.MaxEndpoints + 1))},
		"metadata":       {Metadata: address(backend.Metadata(`[]`))},
		"merge_metadata": {Metadata: address(backend.Metadata(`{}`)), Merge: address(backend.Metadata(`{"a":1}`))},
	} {
		_, _, err := s.Update(patient(t), stored.Key, c, backend.Write{})
		invalid(t, "Update of "+field, err, field)
	}
	same(t, s.lookup(t, stored.Key, linearizable), stored)
}

func bodyLimit(t *testing.T, s subject) {
	_, _, err := s.Register(patient(t), filled("fill", backend.MaxBody+1), backend.Write{})
	tooLarge(t, "Register", err, backend.MaxBody)
	s.absent(t, instance("payments", "i-1").Key, linearizable)
}

func mergeLimit(t *testing.T, s subject) {
	stored, _ := s.register(t, filled("half", backend.MaxBody*3/4), backend.Write{})
	more := filled("more", backend.MaxBody*3/4).Metadata
	_, _, err := s.Update(patient(t), stored.Key, backend.Change{Merge: &more}, backend.Write{})
	tooLarge(t, "Update", err, backend.MaxBody)
	same(t, s.lookup(t, stored.Key, linearizable), stored)
	s.update(t, stored.Key, backend.Change{Metadata: &more}, backend.Write{})
}

func reasonLimit(t *testing.T, s subject) {
	r := instance("payments", "i-1")
	s.register(t, r, backend.Write{Reason: s.reason(strings.Repeat("r", backend.MaxReason))})
	for _, reason := range []string{strings.Repeat("r", backend.MaxReason+1), "two\nlines", "\xff"} {
		w := backend.Write{Reason: reason}
		_, _, err := s.Register(patient(t), r, w)
		invalid(t, "Register", err, "reason")
		_, _, err = s.Update(patient(t), r.Key, backend.Change{}, w)
		invalid(t, "Update", err, "reason")
		_, _, err = s.Unregister(patient(t), r.Key, w)
		invalid(t, "Unregister", err, "reason")
	}
	s.lookup(t, r.Key, linearizable)
}

func invalidKeys(t *testing.T, s subject) {
	for _, c := range []struct {
		field string
		key   backend.Key
	}{
		{"namespace", backend.Key{Service: "s", Instance: "i"}},
		{"namespace", backend.Key{Namespace: "_roost", Service: "s", Instance: "i"}},
		{"service", backend.Key{Namespace: "n", Instance: "i"}},
		{"service", backend.Key{Namespace: "n", Service: "s\x00", Instance: "i"}},
		{"service", backend.Key{Namespace: "n", Service: strings.Repeat("s", backend.MaxName+1), Instance: "i"}},
		{"instance", backend.Key{Namespace: "n", Service: "s", Instance: "_"}},
		{"instance", backend.Key{Namespace: "n", Service: "s", Instance: "i\u0085"}},
		{"instance", backend.Key{Namespace: "n", Service: "s", Instance: "i\xff"}},
	} {
		_, _, err := s.Register(patient(t), backend.Registration{Key: c.key}, backend.Write{})
		invalid(t, fmt.Sprintf("Register(%+v)", c.key), err, c.field)
		_, _, err = s.Lookup(patient(t), c.key, backend.Read{})
		invalid(t, fmt.Sprintf("Lookup(%+v)", c.key), err, c.field)
		_, _, err = s.Update(patient(t), c.key, backend.Change{}, backend.Write{})
		invalid(t, fmt.Sprintf("Update(%+v)", c.key), err, c.field)
		_, _, err = s.Unregister(patient(t), c.key, backend.Write{})
		invalid(t, fmt.Sprintf("Unregister(%+v)", c.key), err, c.field)
	}
}
