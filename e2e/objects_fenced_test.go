package e2e_test

import "testing"

// The tests of this file are of C1, with holders that are stopped: at a resource that
// checks tokens, no two holders interleave.

func TestAResourceThatChecksTokensSeesNoInterleavedHoldersWhoeverIsStoppedWhileWriting(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"lock", "leader"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			interleaved, refused, stops := stopHolders(t, role, true)
			if interleaved != 0 || refused < stops {
				t.Errorf("%d writes were let in after one of a later holder, %d were refused; want none, and %d or more",
					interleaved, refused, stops)
			}
		})
	}
}

// The leases, locks and contexts are the same: only the token keeps the holders apart.
func TestWithoutTheCheckOfTokensTheSameResourceSeesInterleavedHolders(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"lock", "leader"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			interleaved, refused, stops := stopHolders(t, role, false)
			if interleaved < stops || refused != 0 {
				t.Errorf("%d writes were let in after one of a later holder, %d were refused; want %d or more, and none",
					interleaved, refused, stops)
			}
		})
	}
}

// stopHolders has processes act on a resource while they have a role, stops one after the
// other of them in the midst of it for longer than its lease, and returns what the resource
// has seen.
func stopHolders(t *testing.T, role string, checks bool) (interleaved, refused, stops int) {
	t.Helper()
	n := singleNode(t, 1)
	r := startResource(t, checks)
	all := r.holders(t, n.url, role, 3)
	stops = rounds(8)
	for range stops {
		r.more(t, 50)
		r.stopWhileWriting(t, all)
	}
	r.more(t, 50)
	interleaved, refused = r.verdict(t)
	return interleaved, refused, stops
}
