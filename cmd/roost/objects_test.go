package main

import (
	"strings"
	"testing"
)

// What is said of objects must not be advice about registrations.
func TestEveryFailureOfAnObjectSaysWhatToDoAboutIt(t *testing.T) {
	t.Parallel()
	node := serve(t, "--backend", "memory")
	must(t, node.url, "barrier", "b", "--size", "1")
	secret := strings.TrimSpace(must(t, node.url, "lease", "grant"))
	must(t, node.url, "register", "payments/i-1", "--lease", secret)
	for _, row := range []struct {
		args []string
		code int
		said string
	}{
		{[]string{"barrier", "b", "--size", "1", "--generation", "9"}, exitConflict, "the generation is 2 (conflict); do as the others do who use it"},
		{[]string{"vote", "p", "yes", "--id", "x", "--lease", secret}, exitNotFound, "the last 16"},
		{[]string{"propose", "p", "1", "--voters", "nobody"}, exitNotFound, "without --permanent"},
		{[]string{"lock", "a\nb", "--", "true"}, exitUsage, `"a\nb" contains a control character`},
		{[]string{"elect", "_a", "--", "true"}, exitUsage, "reserved"},
		{[]string{"semaphore", strings.Repeat("x", 129), "--limit", "1", "--", "true"}, exitUsage, "name"},
		{[]string{"counter", "c", "add", "-3"}, exitUsage, "roost counter c add -- -3"},
		{[]string{"counter", "c", "add", "-x"}, exitUsage, "-x"},
	} {
		code, _, said := roost(t, node.url, row.args...)
		if code != row.code || !strings.Contains(said, row.said) || strings.Count(said, "\n") != 1 ||
			strings.Contains(said, "roost list") || strings.Contains(said, "its revision") {
			t.Errorf("roost %v = %d, %q; want %d and one line with %q", row.args, code, said, row.code, row.said)
		}
	}
}
