package kvstore

import "strings"

// Scanned is what a [Store.Scan] has found.
type Scanned struct {
	// Entries are the newest ones of all keys that were asked for, markers included, in no
	// order.
	Entries []Entry
	// Revision is how far the answer reaches: every change up to it is taken into account.
	// Single entries may be newer. A key that is missing had no entry at Revision, or has
	// had none since.
	Revision uint64
}

// CheckPatterns reports patterns that no store scans: [ErrInvalid]. A pattern is a key
// some tokens of which may be "*", which stands for any token, and whose last one may be
// ">", which stands for one or more.
func CheckPatterns(patterns []string) error {
	if len(patterns) == 0 {
		return invalid("scan", "has no patterns")
	}
	for _, p := range patterns {
		plain := strings.TrimSuffix(p, ">")
		if plain != p {
			if plain == "" {
				continue
			}
			plain = strings.TrimSuffix(plain, ".") + ".x"
		}
		tokens := strings.Split(plain, ".")
		for i, token := range tokens {
			if token == "*" {
				tokens[i] = "x"
			}
		}
		if !validKey(strings.Join(tokens, ".")) || plain != p && !strings.HasSuffix(p, ".>") {
			return invalid(p, "is no pattern of keys")
		}
	}
	return nil
}

// Matches reports whether key is one that pattern, a sound one, stands for.
func Matches(pattern, key string) bool {
	for {
		want, wants, more := strings.Cut(pattern, ".")
		if want == ">" {
			return key != ""
		}
		have, has, rest := strings.Cut(key, ".")
		if want != "*" && want != have || more != rest {
			return false
		}
		if !more {
			return true
		}
		pattern, key = wants, has
	}
}

// MatchesAny reports whether key is one that any of patterns stands for.
func MatchesAny(patterns []string, key string) bool {
	for _, p := range patterns {
		if Matches(p, key) {
			return true
		}
	}
	return false
}
