package bus_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

func newSubjects(t *testing.T, prefix string) bus.Subjects {
	t.Helper()
	s, err := bus.NewSubjects(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var keys = []backend.Key{
	{Namespace: "default", Service: "payments", Instance: "10.0.0.7:8080"},
	{Namespace: "default", Service: "leader"},
	{Namespace: "a.b", Service: "*", Instance: ">"},
	{Namespace: "привет", Service: "日本", Instance: "a b"},
	{Namespace: "x", Service: "=", Instance: strings.Repeat("é", 64)},
}

func TestSubjectsAreWrittenAsTheProtocolSays(t *testing.T) {
	t.Parallel()
	s := newSubjects(t, bus.DefaultPrefix)
	k := keys[0]
	for _, c := range []struct{ got, want string }{
		{s.OfKey(bus.VerbRegister, k), "roost.v1.registry.register.default.payments.10=2E0=2E0=2E7=3A8080"},
		{s.OfKey(bus.VerbLookup, keys[1]), "roost.v1.registry.lookup.default.leader._"},
		{s.OfScope(bus.VerbList, backend.Scope{}), "roost.v1.registry.list"},
		{s.OfScope(bus.VerbList, backend.Scope{Namespace: "a.b"}), "roost.v1.registry.list.a=2Eb"},
		{s.OfScope(bus.VerbCount, backend.Scope{Namespace: "a", Service: "b"}), "roost.v1.registry.count.a.b"},
		{s.Health(), "roost.v1.registry.health"},
		{s.AdminUnregister(k), "roost.v1.admin.unregister.default.payments.10=2E0=2E0=2E7=3A8080"},
		{s.Event(k), "roost.v1.event.default.payments.10=2E0=2E0=2E7=3A8080"},
		{s.Events(backend.Scope{}), "roost.v1.event.*.*.*"},
		{s.Events(backend.Scope{Namespace: "a", Service: "b.c"}), "roost.v1.event.a.b=2Ec.*"},
		{s.Beacon(), "roost.v1.beacon"},
		{s.Bucket(), "roost_v1"},
		{s.Prefix(), "roost.v1"},
	} {
		if c.got != c.want {
			t.Errorf("got %s; want %s", c.got, c.want)
		}
	}
}

func TestAKeyComesBackFromItsSubject(t *testing.T) {
	t.Parallel()
	s := newSubjects(t, "x")
	for _, k := range keys {
		if got, err := s.ParseKey(bus.VerbUpdate, s.OfKey(bus.VerbUpdate, k)); err != nil || got != k {
			t.Errorf("%v: got %v, %v", k, got, err)
		}
		if got, err := s.ParseEvent(s.Event(k)); err != nil || got != k {
			t.Errorf("event of %v: got %v, %v", k, got, err)
		}
		if got, err := s.ParseAdminUnregister(s.AdminUnregister(k)); err != nil || got != k {
			t.Errorf("admin of %v: got %v, %v", k, got, err)
		}
		for _, scope := range []backend.Scope{{}, {Namespace: k.Namespace}, {Namespace: k.Namespace, Service: k.Service}} {
			if got, err := s.ParseScope(bus.VerbList, s.OfScope(bus.VerbList, scope)); err != nil || got != scope {
				t.Errorf("%v: got %v, %v", scope, got, err)
			}
		}
	}
}

func TestAMalformedSubjectIsInvalid(t *testing.T) {
	t.Parallel()
	s := newSubjects(t, bus.DefaultPrefix)
	long := strings.Repeat("a", 129)
	for _, tail := range []string{
		"", ".a", ".a.b", ".a.b.c.d", ".a..c", "..b.c", ".a.b.", ".a.b.=", ".a.b.=4", ".a.b.=2e", ".a.b.=41",
		".a.b.=00", ".a.b.=C3", ".a.b._x", ".a._.c", "._.b.c", ".=5Fa.b.c", ".a.b.*", ".a.b.>", ".a b.c.d",
		"." + long + ".b.c", ".a." + long + ".c", ".a.b." + long, ".a.b.=7F", ".a.b.=C2=85", ".é.b.c",
	} {
		if k, err := s.ParseKey(bus.VerbLookup, "roost.v1.registry.lookup"+tail); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("lookup%s: got %v, %v; want ErrInvalid", tail, k, err)
		}
		if k, err := s.ParseEvent("roost.v1.event" + tail); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("event%s: got %v, %v; want ErrInvalid", tail, k, err)
		}
	}
	for _, tail := range []string{".", ".a.", ".a.b.c", "..b", "._", ".a._", ".*", ".a.>", ".=41", "." + long} {
		if scope, err := s.ParseScope(bus.VerbList, "roost.v1.registry.list"+tail); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("list%s: got %v, %v; want ErrInvalid", tail, scope, err)
		}
	}
	if k, err := s.ParseKey(bus.VerbLookup, "other.v1.registry.lookup.a.b.c"); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("another prefix: got %v, %v; want ErrInvalid", k, err)
	}
}

func TestAPrefixIsPlainTokens(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"roost.v1", "a", "team-x.roost_2"} {
		if _, err := bus.NewSubjects(prefix); err != nil {
			t.Errorf("%q: %v", prefix, err)
		}
	}
	for _, prefix := range []string{
		"", ".", "a.", ".a", "a..b", "$SYS", "a.*", "a.>", "a b", "é", "_INBOX.x", strings.Repeat("a", 129),
	} {
		if _, err := bus.NewSubjects(prefix); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("%q: got %v; want ErrInvalid", prefix, err)
		}
	}
}

func FuzzParseKeyAcceptsOnlyWhatOfKeyWrites(f *testing.F) {
	for _, k := range keys {
		f.Add(k.String())
	}
	f.Add("a.b._")
	f.Add("=41.b.c")
	s, err := bus.NewSubjects(bus.DefaultPrefix)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, tail string) {
		subject := "roost.v1.registry.lookup." + tail
		k, err := s.ParseKey(bus.VerbLookup, subject)
		if err == nil && s.OfKey(bus.VerbLookup, k) != subject {
			t.Errorf("%q parsed as %v, which is written %q", subject, k, s.OfKey(bus.VerbLookup, k))
		}
	})
}
