package kvstore_test

import (
	"errors"
	"testing"

	"github.com/roostbus/roost/kvstore"
)

func TestPatternsMatchKeysTokenByToken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, key string
		want         bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a.b", false},
		{"a.b", "a", false},
		{"*", "a", true},
		{"*", "a.b", false},
		{"a.*", "a.b", true},
		{"a.*", "a", false},
		{"*.b", "a.b", true},
		{"*.b", "a.c", false},
		{"a.*.c", "a.b.c", true},
		{"a.*.c", "a.b.d", false},
		{">", "a", true},
		{">", "a.b.c", true},
		{"a.>", "a.b", true},
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{"a.>", "b.c", false},
		{"a.>", "ab.c", false},
		{"a.*.>", "a.b", false},
		{"a.*.>", "a.b.c", true},
	} {
		if got := kvstore.Matches(c.pattern, c.key); got != c.want {
			t.Errorf("Matches(%q, %q) = %t; want %t", c.pattern, c.key, got, c.want)
		}
	}
}

func TestPatternsThatAreNoneAreErrInvalid(t *testing.T) {
	t.Parallel()
	for _, sound := range []string{">", "*", "a", "a.b", "a.*", "a.>", "*.*.>", "event.a=2Eb._.*"} {
		if err := kvstore.CheckPatterns([]string{sound}); err != nil {
			t.Errorf("CheckPatterns(%q) = %v; want nil", sound, err)
		}
	}
	for _, unsound := range []string{"", ".", "a.", ".a", "a..b", "a>", "a*", ">.a", "a.>.b", "a b", ".>", "a..>", "a.b>"} {
		if err := kvstore.CheckPatterns([]string{"a", unsound}); !errors.Is(err, kvstore.ErrInvalid) {
			t.Errorf("CheckPatterns(%q) = %v; want ErrInvalid", unsound, err)
		}
	}
	if err := kvstore.CheckPatterns(nil); !errors.Is(err, kvstore.ErrInvalid) {
		t.Errorf("CheckPatterns() = %v; want ErrInvalid", err)
	}
}
