package bus

import (
	"fmt"
	"strings"

	"github.com/roostbus/roost/backend"
)

// DefaultPrefix is what every subject begins with unless the settings say otherwise.
const DefaultPrefix = "roost.v1"

// QueueGroup is the queue group that all nodes answer requests in, and the name of their
// NATS service.
const QueueGroup = "roost"

// Subjects builds and parses the subjects of one registry.
type Subjects struct{ prefix string }

// maxPrefix leaves room, within NATS's limit of 4096 bytes for a subject, for the longest key.
const maxPrefix = 128

// NewSubjects returns the subjects under prefix: tokens of A-Z a-z 0-9 _ - joined by dots,
// the first of which does not begin with '_', as those of NATS's inboxes do.
func NewSubjects(prefix string) (Subjects, error) {
	if len(prefix) > maxPrefix {
		return Subjects{}, backend.Invalid("prefix", "is %d bytes long, at most %d are allowed", len(prefix), maxPrefix)
	}
	if strings.HasPrefix(prefix, "_") {
		return Subjects{}, backend.Invalid("prefix", "%q must not begin with '_'", prefix)
	}
	for token := range strings.SplitSeq(prefix, ".") {
		if token == "" || backend.Token(token) != token {
			return Subjects{}, backend.Invalid("prefix", "%q must be tokens of A-Z a-z 0-9 _ - joined by dots", prefix)
		}
	}
	return Subjects{prefix: prefix}, nil
}

// Prefix returns what every subject begins with.
func (s Subjects) Prefix() string { return s.prefix }

// Bucket returns the name of the registry's key-value bucket.
func (s Subjects) Bucket() string { return strings.ReplaceAll(s.prefix, ".", "_") }

// Verb is a request of the registry.
type Verb string

// The requests of the registry.
const (
	VerbRegister   Verb = "register"
	VerbLookup     Verb = "lookup"
	VerbUpdate     Verb = "update"
	VerbUnregister Verb = "unregister"
	VerbList       Verb = "list"
	VerbCount      Verb = "count"
	VerbServices   Verb = "services"
	VerbBatch      Verb = "batch"
	VerbHealth     Verb = "health"
)

// OfKey returns the subject of a request about one key.
func (s Subjects) OfKey(v Verb, k backend.Key) string {
	b := make([]byte, 0, len(s.prefix)+len(v)+len(k.Namespace)+len(k.Service)+len(k.Instance)+24)
	b = append(append(append(append(b, s.prefix...), ".registry."...), v...), '.')
	return string(k.Append(b))
}

// OfScope returns the subject of a request about a scope: list, count, services, batch.
func (s Subjects) OfScope(v Verb, scope backend.Scope) string {
	b := append(append(append([]byte(nil), s.prefix...), ".registry."...), v...)
	if scope.Namespace != "" {
		b = backend.AppendToken(append(b, '.'), scope.Namespace)
		if scope.Service != "" {
			b = backend.AppendToken(append(b, '.'), scope.Service)
		}
	}
	return string(b)
}

// Health returns the subject of the health request.
func (s Subjects) Health() string { return s.prefix + ".registry." + string(VerbHealth) }

// AdminUnregister returns the subject of an operator's unregister.
func (s Subjects) AdminUnregister(k backend.Key) string {
	return s.prefix + ".admin.unregister." + k.String()
}

// Event returns the subject that changes of k are published on.
func (s Subjects) Event(k backend.Key) string { return s.prefix + ".event." + k.String() }

// Events returns the subject that matches the events of a scope.
func (s Subjects) Events(scope backend.Scope) string {
	namespace, service := "*", "*"
	if scope.Namespace != "" {
		namespace = backend.Token(scope.Namespace)
	}
	if scope.Service != "" {
		service = backend.Token(scope.Service)
	}
	return s.prefix + ".event." + namespace + "." + service + ".*"
}

// Beacon returns the subject of the keeper's beacon.
func (s Subjects) Beacon() string { return s.prefix + ".beacon" }

// Requests returns the subjects that nobody but a server may subscribe to.
func (s Subjects) Requests() []string {
	rooms := []string{"registry", "lease", "admin"}
	for _, kind := range Kinds() {
		rooms = append(rooms, string(kind))
	}
	for i, room := range rooms {
		rooms[i] = s.prefix + "." + room + ".>"
	}
	return rooms
}

// rest returns what follows "<prefix>.<room>." in subject.
func (s Subjects) rest(room, subject string) (string, error) {
	rest, ok := strings.CutPrefix(subject, s.prefix+"."+room+".")
	if !ok {
		return "", fmt.Errorf("subject %q: %w", subject, backend.ErrInvalid)
	}
	return rest, nil
}

// ParseKey returns the key in the subject of a request v.
func (s Subjects) ParseKey(v Verb, subject string) (backend.Key, error) {
	rest, err := s.rest("registry."+string(v), subject)
	if err != nil {
		return backend.Key{}, err
	}
	return backend.ParseKey(rest)
}

// ParseEvent returns the key in the subject of an event.
func (s Subjects) ParseEvent(subject string) (backend.Key, error) {
	rest, err := s.rest("event", subject)
	if err != nil {
		return backend.Key{}, err
	}
	return backend.ParseKey(rest)
}

// ParseScope returns the scope in the subject of a request v.
func (s Subjects) ParseScope(v Verb, subject string) (backend.Scope, error) {
	if subject == s.prefix+".registry."+string(v) {
		return backend.Scope{}, nil
	}
	rest, err := s.rest("registry."+string(v), subject)
	if err != nil {
		return backend.Scope{}, err
	}
	namespace, service, both := strings.Cut(rest, ".")
	var scope backend.Scope
	if scope.Namespace, err = backend.ParseToken("namespace", namespace); err != nil {
		return backend.Scope{}, err
	}
	if both {
		scope.Service, err = backend.ParseToken("service", service)
	}
	return scope, err
}

// ParseAdminUnregister returns the key in the subject of an operator's unregister.
func (s Subjects) ParseAdminUnregister(subject string) (backend.Key, error) {
	rest, err := s.rest("admin.unregister", subject)
	if err != nil {
		return backend.Key{}, err
	}
	return backend.ParseKey(rest)
}
