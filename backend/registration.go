package backend

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits of one registration.
const (
	MaxEndpoints     = 32       // endpoints a registration has
	MaxEndpointURI   = 2048     // bytes of one endpoint's URI
	MaxBody          = 64 << 10 // bytes of {"endpoints":…,"metadata":…} as compact JSON
	MaxWeight        = 65535    // the greatest weight
	DefaultWeight    = 100      // the weight of those who say none
	MaxReason        = 256      // bytes of a caller's reason
	DefaultListLimit = 10_000   // the greatest number of entries in one page
)

// Revision orders all committed changes of one epoch. 0 means "none".
type Revision uint64

// Epoch numbers the lives of a store. A store that was lost, re-created, rolled back or
// restored begins a higher one, and revisions of different epochs do not compare.
// 0 means "not said".
type Epoch uint32

// Status says what a registration wants to be used for. The zero value stands for [Up].
type Status uint8

// The statuses.
const (
	Up       Status = iota + 1 // use me
	Draining                   // finish what you have, begin nothing new
	Down                       // do not use me
)

var statusNames = [...]string{Up: "up", Draining: "draining", Down: "down"}

// String returns the status as the protocol spells it.
func (s Status) String() string {
	if s == 0 {
		s = Up
	}
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// ParseStatus is the inverse of [Status.String]; anything else is an [InvalidError].
func ParseStatus(s string) (Status, error) {
	if i := slices.Index(statusNames[:], s); i > 0 {
		return Status(i), nil
	}
	return 0, Invalid("status", "%q is none of up, draining, down", s)
}

// MarshalText implements encoding.TextMarshaler.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Status) UnmarshalText(text []byte) error {
	parsed, err := ParseStatus(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// Endpoint is one way to reach an instance.
type Endpoint struct {
	Name string // what the way is for: "http", "grpc"
	URI  string
}

// Endpoints are the ways to reach an instance, ordered by name, which is unique. It is
// a slice because a map of one entry weighs ten times as much, a million times over.
type Endpoints []Endpoint

// EndpointsOf returns the entries of m, ordered.
func EndpointsOf(m map[string]string) Endpoints {
	if len(m) == 0 {
		return nil
	}
	e := make(Endpoints, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		e = append(e, Endpoint{Name: name, URI: m[name]})
	}
	return e
}

// Get returns the URI of the endpoint called name.
func (e Endpoints) Get(name string) (uri string, ok bool) {
	for i := range e {
		if e[i].Name == name {
			return e[i].URI, true
		}
	}
	return "", false
}

// All yields the names and URIs in order.
func (e Endpoints) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := range e {
			if !yield(e[i].Name, e[i].URI) {
				return
			}
		}
	}
}

// MarshalJSON writes e as a JSON object.
func (e Endpoints) MarshalJSON() ([]byte, error) { return e.append(nil), nil }

func (e Endpoints) append(dst []byte) []byte {
	dst = append(dst, '{')
	for i := range e {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, e[i].Name), ':')
		dst = appendQuoted(dst, e[i].URI)
	}
	return append(dst, '}')
}

// UnmarshalJSON reads a JSON object of strings. A name that occurs twice, and anything
// else, is an [InvalidError].
func (e *Endpoints) UnmarshalJSON(text []byte) error {
	if !json.Valid(text) {
		return Invalid("endpoints", "is not JSON")
	}
	object := string(text)
	if err := checkJSON("endpoints", object, MaxDepth); err != nil {
		return err
	}
	parsed, err := parseEndpoints(object)
	if err != nil {
		return err
	}
	*e = parsed
	return nil
}

func parseEndpoints(text string) (Endpoints, error) {
	if text[skipSpace(text, 0)] != '{' {
		return nil, Invalid("endpoints", "must be a JSON object of name and URI")
	}
	var e Endpoints
	for name, value := range members(text) {
		if value[0] != '"' {
			return nil, Invalid("endpoints."+name, "must be a string")
		}
		e = append(e, Endpoint{Name: name, URI: unquote(value)})
	}
	e = e.sorted()
	return e, e.unique()
}

func (e Endpoints) unique() error {
	for i := 1; i < len(e); i++ {
		if e[i].Name == e[i-1].Name {
			return Invalid("endpoints", "has the name %q twice", e[i].Name)
		}
	}
	return nil
}

// validate checks the number, the names and the URIs of e.
func (e Endpoints) validate() error {
	if len(e) > MaxEndpoints {
		return Invalid("endpoints", "has %d entries, at most %d are allowed", len(e), MaxEndpoints)
	}
	for _, p := range e {
		field := "endpoints." + p.Name
		if err := ValidateName("endpoints", p.Name); err != nil {
			return err
		}
		switch {
		case p.URI == "":
			return Invalid(field, "must not be empty")
		case len(p.URI) > MaxEndpointURI:
			return Invalid(field, "is %d bytes long, at most %d are allowed", len(p.URI), MaxEndpointURI)
		case !utf8.ValidString(p.URI):
			return Invalid(field, "is not valid UTF-8")
		}
	}
	return e.sorted().unique()
}

func byName(a, b Endpoint) int { return strings.Compare(a.Name, b.Name) }

// sorted returns e ordered by name, which is e itself if it is.
func (e Endpoints) sorted() Endpoints {
	if slices.IsSortedFunc(e, byName) {
		return e
	}
	e = slices.Clone(e)
	slices.SortFunc(e, byName)
	return e
}

// Registration says that an instance of a service exists, where it is, and whose it is.
type Registration struct {
	Key
	Endpoints Endpoints
	Metadata  Metadata
	Weight    uint16 // share of the load, 0 to 65535; see [DefaultWeight]
	Status    Status

	// Owner is the public name of the lease that the registration ends with; "" means
	// that it is permanent.
	Owner string

	// What follows is set by the Backend and ignored in what is written.

	Revision        Revision // of the last change
	CreatedRevision Revision // of the change that created it
	CreatedAt       time.Time
	UpdatedAt       time.Time
}

// Normalize returns r with its endpoints ordered and its status said.
func (r Registration) Normalize() Registration {
	r.Endpoints = r.Endpoints.sorted()
	if r.Status == 0 {
		r.Status = Up
	}
	if r.Metadata == "{}" {
		r.Metadata = ""
	}
	return r
}

// Validate reports what is wrong with the part of r that a caller sets: an
// [InvalidError] or a [TooLargeError].
func (r *Registration) Validate() error {
	if err := r.Key.Validate(); err != nil {
		return err
	}
	if r.Status > Down {
		return Invalid("status", "%d is none of up, draining, down", r.Status)
	}
	if err := r.Endpoints.validate(); err != nil {
		return err
	}
	if err := r.Metadata.validate("metadata"); err != nil {
		return err
	}
	if size := r.bodySize(); size > MaxBody {
		return &TooLargeError{Field: "registration", Size: int64(size), Limit: MaxBody}
	}
	return nil
}

// bodySize is the length of {"endpoints":…,"metadata":…}.
func (r *Registration) bodySize() int {
	return len(`{"endpoints":,"metadata":}`) + len(r.Endpoints.append(nil)) + len(r.Metadata.String())
}

// SameContent reports whether r and o say the same about their instance: endpoints,
// metadata, weight and status.
func (r *Registration) SameContent(o *Registration) bool {
	return slices.Equal(r.Endpoints, o.Endpoints) && r.Metadata == o.Metadata &&
		r.Weight == o.Weight && r.Status == o.Status
}
