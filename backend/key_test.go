package backend_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/roostbus/roost/backend"
)

// scripts are names in ten scripts, one of them right to left and one beyond the BMP.
var scripts = []string{
	"payments", "платежи", "πληρωμές", "支付服务", "お支払い", "결제", "تسديد", "תשלומים", "भुगतान", "การชำระเงิน", "𐎀𐎁 💳",
}

func TestNamesOfTenScriptsSurviveTheirTokens(t *testing.T) {
	t.Parallel()
	for _, name := range scripts {
		token := backend.Token(name)
		if strings.ContainsAny(token, ".*> \t") {
			t.Errorf("Token(%q) = %q, which is no NATS token", name, token)
		}
		got, err := backend.ParseToken("service", token)
		if err != nil || got != name {
			t.Errorf("ParseToken(%q) = %q, %v; want %q", token, got, err, name)
		}
	}
}

func TestTokenEscapesEverythingButPlainBytes(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"aZ09_-":        "aZ09_-",
		"10.0.0.7:8080": "10=2E0=2E0=2E7=3A8080",
		"a=b":           "a=3Db",
		"*":             "=2A",
		">":             "=3E",
		" ":             "=20",
		"é":             "=C3=A9",
	} {
		if got := backend.Token(name); got != want {
			t.Errorf("Token(%q) = %q; want %q", name, got, want)
		}
	}
}

func TestOnlyTheCanonicalTokenIsAccepted(t *testing.T) {
	t.Parallel()
	for _, token := range []string{
		"", "_", "_x", "=5Fx", // empty and reserved
		"=41", "=61b", "=2D", // escapes of plain bytes
		"a=2e", "a=2", "a=", "=", "a=GG", "a==2E", // malformed escapes
		"a.b", "a b", "é", "a*", "a\x00", // bytes that must be escaped
		"=00", "=7F", "=1F", "=C2=80", "=C2=9F", // control characters
		"=FF", "=C3", "=C3=28", "=ED=A0=80", // not UTF-8
		strings.Repeat("a", 129), strings.Repeat("=2E", 129),
	} {
		name, err := backend.ParseToken("service", token)
		var invalid *backend.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "service" {
			t.Errorf("ParseToken(%q) = %q, %v; want an InvalidError about service", token, name, err)
		}
	}
}

func TestNameLimits(t *testing.T) {
	t.Parallel()
	for _, name := range append(slices.Clone(scripts), "a", "-", "a_", strings.Repeat("n", 128), strings.Repeat("é", 64), "\u00a0", "a b", "=") {
		if err := backend.ValidateName("instance", name); err != nil {
			t.Errorf("ValidateName(%q) = %v; want nil", name, err)
		}
	}
	for _, name := range []string{
		"", "_", "_roost", strings.Repeat("n", 129), strings.Repeat("é", 64) + "n",
		"a\x00", "a\n", "\x1f", "a\x7f", "a\u0080", "é\u0085", "a\u009f", "é\x01", "\xff", "a\xc3", "\xed\xa0\x80",
	} {
		err := backend.ValidateName("instance", name)
		if !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("ValidateName(%q) = %v; want ErrInvalid", name, err)
		}
	}
}

func TestEmptyInstanceIsAnUnderscore(t *testing.T) {
	t.Parallel()
	k := backend.Key{Namespace: "default", Service: "scheduler"}
	if got := k.String(); got != "default.scheduler._" {
		t.Errorf("String() = %q; want default.scheduler._", got)
	}
	got, err := backend.ParseKey("default.scheduler._")
	if err != nil || got != k {
		t.Errorf("ParseKey = %+v, %v; want %+v", got, err, k)
	}
	if err := k.Validate(); err != nil {
		t.Errorf("Validate() = %v; want nil", err)
	}
}

func TestMalformedKeysAreRefusedByTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	for text, field := range map[string]string{
		"": "key", "a": "key", "a.b": "key",
		".b.c": "namespace", "_.b.c": "namespace", "a._.c": "service", "a..c": "service",
		"a.b.": "instance", "a.b._c": "instance", "a.b.c.d": "instance", "a.b.__": "instance",
	} {
		_, err := backend.ParseKey(text)
		var invalid *backend.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("ParseKey(%q) = %v; want an InvalidError about %s", text, err, field)
		}
	}
	for field, k := range map[string]backend.Key{
		"namespace": {Service: "s"},
		"service":   {Namespace: "n", Instance: "i"},
		"instance":  {Namespace: "n", Service: "s", Instance: "_i"},
	} {
		var invalid *backend.InvalidError
		if err := k.Validate(); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%+v.Validate() = %v; want an InvalidError about %s", k, err, field)
		}
	}
}

func names() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[a-z][a-z0-9_.:=-]{0,20}`),
		rapid.StringN(1, 32, backend.MaxName),
		rapid.SampledFrom(scripts),
	).Filter(func(s string) bool { return backend.ValidateName("name", s) == nil })
}

func keys() *rapid.Generator[backend.Key] {
	return rapid.Custom(func(t *rapid.T) backend.Key {
		return backend.Key{
			Namespace: names().Draw(t, "namespace"),
			Service:   names().Draw(t, "service"),
			Instance:  rapid.OneOf(rapid.Just(""), names()).Draw(t, "instance"),
		}
	})
}

func TestAnyKeySurvivesItsText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := keys().Draw(t, "key")
		got, err := backend.ParseKey(k.String())
		if err != nil || got != k {
			t.Fatalf("ParseKey(%q) = %+v, %v; want %+v", k.String(), got, err, k)
		}
		if appended := string(k.Append([]byte("P."))); appended != "P."+k.String() {
			t.Fatalf("Append = %q; want P.%s", appended, k)
		}
	})
}

func TestInstancesOfAServiceAreNeighboursInTheOrderOfKeys(t *testing.T) {
	t.Parallel()
	service := func(name string) []string {
		return []string{
			backend.Key{Namespace: "n", Service: name}.String(),
			backend.Key{Namespace: "n", Service: name, Instance: "0"}.String(),
			backend.Key{Namespace: "n", Service: name, Instance: "~"}.String(),
		}
	}
	var all []string
	for _, name := range []string{"a", "a-", "a-b", "a.b", "a_", "a0", "aa", "A", "é"} {
		all = append(all, service(name)...)
	}
	slices.Sort(all)
	var services []string
	for _, text := range all {
		k, err := backend.ParseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		services = append(services, k.Service)
	}
	if groups := slices.Compact(services); len(groups) != 9 {
		t.Errorf("services in the order of keys: %q; want each once", groups)
	}
}

func TestScope(t *testing.T) {
	t.Parallel()
	k := backend.Key{Namespace: "n", Service: "s", Instance: "i"}
	for _, s := range []backend.Scope{{}, {Namespace: "n"}, {Namespace: "n", Service: "s"}} {
		if !s.Contains(k) {
			t.Errorf("%s does not contain %s", s, k)
		}
		if err := s.Validate(); err != nil {
			t.Errorf("%s.Validate() = %v", s, err)
		}
	}
	for _, s := range []backend.Scope{{Namespace: "m"}, {Namespace: "n", Service: "t"}, {Namespace: "m", Service: "s"}} {
		if s.Contains(k) {
			t.Errorf("%s contains %s", s, k)
		}
	}
	for _, s := range []backend.Scope{{Service: "s"}, {Namespace: "_n"}, {Namespace: "n", Service: "\n"}} {
		if err := s.Validate(); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("%+v.Validate() = %v; want ErrInvalid", s, err)
		}
	}
	want := []string{"everything", `namespace "n"`, `service "s" in namespace "n"`}
	got := []string{backend.Scope{}.String(), backend.Scope{Namespace: "n"}.String(), backend.Scope{Namespace: "n", Service: "s"}.String()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
