package view

import (
	"cmp"
	"strings"

	"github.com/roostbus/roost/backend"
)

// Registrations are ordered by the bytes of Key.String. The functions of this file
// compare names as their tokens would, without making the tokens.

// weightOf is the first byte of the token that the name byte c becomes.
func weightOf(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		return c
	}
	return '='
}

// compareInstances orders two instance names by their tokens. The token of the empty
// one is "_".
func compareInstances(a, b string) int {
	if a == "" {
		a = "_"
	}
	if b == "" {
		b = "_"
	}
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	if i == n {
		return cmp.Compare(len(a), len(b))
	}
	if d := cmp.Compare(weightOf(a[i]), weightOf(b[i])); d != 0 {
		return d
	}
	return cmp.Compare(a[i], b[i]) // both escaped: their hexadecimal digits follow
}

// prefixOf is what the keys of a scope begin with, its closing dot included: '-' sorts
// before '.', so "a-b." comes before "a.".
func prefixOf(s backend.Scope) string {
	if s.Namespace == "" {
		return ""
	}
	b := append(backend.AppendToken(make([]byte, 0, len(s.Namespace)+len(s.Service)+2), s.Namespace), '.')
	if s.Service == "" {
		return string(b)
	}
	return string(append(backend.AppendToken(b, s.Service), '.'))
}

// position is a place between keys: behind the instance of the service whose prefix is
// given, or, if before is set, in front of all that begins with the prefix.
type position struct {
	prefix   string
	instance string
	before   bool
}

// start is the place in front of everything in s.
func start(s backend.Scope) position { return position{prefix: prefixOf(s), before: true} }

// behind is the place behind key.
func behind(key backend.Key) position {
	return position{
		prefix:   prefixOf(backend.Scope{Namespace: key.Namespace, Service: key.Service}),
		instance: key.Instance,
	}
}

// compare orders p among the rows: above 0 if r lies in front of p.
func (p *position) compare(r *row) int {
	if d := strings.Compare(p.prefix, r.service.prefix); d != 0 || p.before {
		if d == 0 {
			return -1
		}
		return d
	}
	if d := compareInstances(p.instance, r.instance); d != 0 {
		return d
	}
	return 1
}

// later returns the later one of two places.
func (p position) later(o position) position {
	d := strings.Compare(p.prefix, o.prefix)
	switch {
	case d > 0, d == 0 && o.before:
		return p
	case d < 0, p.before:
		return o
	}
	if compareInstances(p.instance, o.instance) > 0 {
		return p
	}
	return o
}

// within reports whether a service lies in scope.
func within(scope, service backend.Scope) bool {
	return (scope.Namespace == "" || scope.Namespace == service.Namespace) &&
		(scope.Service == "" || scope.Service == service.Service)
}

func compareRevisions(a, b backend.Revision) int { return cmp.Compare(a, b) }

// compareVersions orders versions by key.
func compareVersions(a, b *version) int {
	if a.Namespace != b.Namespace || a.Service != b.Service {
		return strings.Compare(
			prefixOf(backend.Scope{Namespace: a.Namespace, Service: a.Service}),
			prefixOf(backend.Scope{Namespace: b.Namespace, Service: b.Service}))
	}
	return compareInstances(a.Instance, b.Instance)
}
