package bus_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// The owner of this secret was computed with another program:
// printf 'roost-owner%s' "$secret" | sha256sum | cut -c1-64 | xxd -r -p | base32 | tr A-Z a-z | cut -c1-26.
const (
	secret = "pTqkZ4mB7sUe1Xh0aWc9Rg"
	owner  = "xx7efk5icnktva4ttus6qidmat"
)

func TestTheOwnerIsWhatTheProtocolSays(t *testing.T) {
	t.Parallel()
	if got := bus.Owner(secret); got != owner {
		t.Errorf("Owner(%s) = %s; want %s", secret, got, owner)
	}
	if got := bus.Owner(secret + "x"); got == owner || !regexp.MustCompile(`^[a-z2-7]{26}$`).MatchString(got) {
		t.Errorf("Owner of another secret = %s", got)
	}
}

func TestASecretOfTheWrongFormIsInvalidAndNotRepeated(t *testing.T) {
	t.Parallel()
	for _, good := range []string{secret, strings.Repeat("a", 22), strings.Repeat("Z", 64), strings.Repeat("-_0", 10)} {
		if err := bus.ValidateSecret(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", strings.Repeat("a", 21), strings.Repeat("a", 65), strings.Repeat("a", 22) + ".",
		strings.Repeat("a", 22) + " ", strings.Repeat("é", 20), strings.Repeat("a", 22) + "=2E",
	} {
		err := bus.ValidateSecret(bad)
		if !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("%q: got %v; want ErrInvalid", bad, err)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}

func TestAnOperationIdTellsRequestsApart(t *testing.T) {
	t.Parallel()
	seen := map[backend.OperationID]string{}
	for _, id := range []string{"r1", "r2"} {
		for _, subject := range []string{"s", "s2"} {
			for _, body := range []string{"", "{}", "{} "} {
				for _, index := range []int{-1, 0, 1, 10} {
					what := strings.Join([]string{id, subject, body}, "|") + "|" + string(rune('A'+index))
					got := bus.OperationID(id, subject, []byte(body), index)
					if got == (backend.OperationID{}) || seen[got] != "" {
						t.Errorf("%s has the id of %q", what, seen[got])
					}
					seen[got] = what
				}
			}
		}
	}
}

func TestAnOperationIdIsTheSameOnEveryNode(t *testing.T) {
	t.Parallel()
	const subject = "roost.v1.registry.batch.default"
	ids := bus.OperationIDs("r1", subject, []byte(`{"operations":[]}`))
	for _, index := range []int{2, 0, 2, 1} {
		if got, want := ids(index), bus.OperationID("r1", subject, []byte(`{"operations":[]}`), index); got != want {
			t.Errorf("index %d: got %v; want %v", index, got, want)
		}
	}
	// printf 'r1\0s\0{}' | sha256sum; printf 'r1\0s\0{}\0%s' 3 | sha256sum.
	if got, want := bus.OperationID("r1", "s", []byte("{}"), -1).String(), "7468f058e596057eac7c55dff9097e307a2a95dded0c0df260865f5c49bb1755"; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	if got, want := bus.OperationID("r1", "s", []byte("{}"), 3).String(), "b346a6dfb33f9cec698d2e3101d3e6c2b23ad29670e54005e572a0c811f64c97"; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	if got := bus.OperationID("", "s", []byte("{}"), 3); got != (backend.OperationID{}) {
		t.Errorf("without a request id: %v; want none", got)
	}
}
