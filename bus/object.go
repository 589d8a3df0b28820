package bus

import (
	"strings"

	"github.com/roostbus/roost/backend"
)

// Kind is a kind of object that programs coordinate through.
type Kind string

// The kinds.
const (
	KindElection  Kind = "election"
	KindLock      Kind = "lock"
	KindSemaphore Kind = "semaphore"
	KindBarrier   Kind = "barrier"
	KindCounter   Kind = "counter"
	KindProposal  Kind = "proposal"
)

// Kinds returns every kind.
func Kinds() []Kind {
	return []Kind{KindElection, KindLock, KindSemaphore, KindBarrier, KindCounter, KindProposal}
}

// Object names an object of some kind.
type Object struct{ Namespace, Name string }

// Validate checks both names.
func (o Object) Validate() error {
	if err := backend.ValidateName("namespace", o.Namespace); err != nil {
		return err
	}
	return backend.ValidateName("name", o.Name)
}

// String returns o as it stands in subjects and keys: <namespace>.<name>.
func (o Object) String() string {
	b := backend.AppendToken(make([]byte, 0, len(o.Namespace)+len(o.Name)+8), o.Namespace)
	return string(backend.AppendToken(append(b, '.'), o.Name))
}

// ParseObject is the inverse of [Object.String]. ErrInvalid.
func ParseObject(text string) (o Object, err error) {
	namespace, name, ok := strings.Cut(text, ".")
	if !ok {
		return o, backend.Invalid("name", "%q has no name in the namespace", text)
	}
	if o.Namespace, err = backend.ParseToken("namespace", namespace); err != nil {
		return Object{}, err
	}
	if o.Name, err = backend.ParseToken("name", name); err != nil {
		return Object{}, err
	}
	return o, nil
}

// The requests about objects.
const (
	VerbCampaign Verb = "campaign"
	VerbResign   Verb = "resign"
	VerbTransfer Verb = "transfer"
	VerbAcquire  Verb = "acquire"
	VerbRelease  Verb = "release"
	VerbArrive   Verb = "arrive"
	VerbAdd      Verb = "add"
	VerbPropose  Verb = "propose"
	VerbVote     Verb = "vote"
	VerbGet      Verb = "get" // of every kind, as is VerbList
)

// OfObject returns the subject of a request about one object.
func (s Subjects) OfObject(kind Kind, v Verb, o Object) string {
	return s.room(kind, v) + "." + o.String()
}

// OfObjects returns the subject of a request for the names of all objects of a kind, or of
// those in a namespace.
func (s Subjects) OfObjects(kind Kind, namespace string) string {
	if namespace == "" {
		return s.room(kind, VerbList)
	}
	return s.room(kind, VerbList) + "." + backend.Token(namespace)
}

// AdminRelease returns the subject of an operator's release.
func (s Subjects) AdminRelease(kind Kind, o Object) string {
	return s.prefix + ".admin.release." + string(kind) + "." + o.String()
}

// Announcement returns the subject that an object's record is published on.
func (s Subjects) Announcement(kind Kind, o Object) string {
	return s.prefix + ".announce." + string(kind) + "." + o.String()
}

// Announcements returns the subject that matches the announcements of all objects of a
// kind, or of those in a namespace.
func (s Subjects) Announcements(kind Kind, namespace string) string {
	if namespace == "" {
		namespace = "*"
	} else {
		namespace = backend.Token(namespace)
	}
	return s.prefix + ".announce." + string(kind) + "." + namespace + ".*"
}

// ParseObject returns the object in the subject of a request v.
func (s Subjects) ParseObject(kind Kind, v Verb, subject string) (Object, error) {
	return s.parseObject(string(kind)+"."+string(v), subject)
}

// ParseObjects returns the namespace in the subject of a request for names, "" for all.
func (s Subjects) ParseObjects(kind Kind, subject string) (namespace string, err error) {
	if subject == s.OfObjects(kind, "") {
		return "", nil
	}
	rest, err := s.rest(string(kind)+"."+string(VerbList), subject)
	if err != nil {
		return "", err
	}
	return backend.ParseToken("namespace", rest)
}

// ParseAdminRelease returns the object in the subject of an operator's release.
func (s Subjects) ParseAdminRelease(kind Kind, subject string) (Object, error) {
	return s.parseObject("admin.release."+string(kind), subject)
}

// ParseAnnouncement returns the object in the subject of an announcement.
func (s Subjects) ParseAnnouncement(kind Kind, subject string) (Object, error) {
	return s.parseObject("announce."+string(kind), subject)
}

func (s Subjects) parseObject(room, subject string) (Object, error) {
	rest, err := s.rest(room, subject)
	if err != nil {
		return Object{}, err
	}
	return ParseObject(rest)
}

func (s Subjects) room(kind Kind, v Verb) string {
	return s.prefix + "." + string(kind) + "." + string(v)
}
