package bench_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/cmd/roost/bench"
)

// event is a message about a change, as it comes to a subscriber.
func event(subject, sequence, body string) *nats.Msg {
	return &nats.Msg{Subject: subject, Data: []byte(body), Header: nats.Header{"Nats-Sequence": {sequence}}}
}

func TestAChangeHasArrivedWhenAllSubscribersHaveIt(t *testing.T) {
	t.Parallel()
	a := bench.NewAudience(2)
	took, err := a.Tell(t.Context(), "s", func() (backend.Revision, error) {
		a.Hear(0, event("s", "7", "{"+bench.Content+"}"))
		go a.Hear(1, event("s", "7", "{"+bench.Content+"}"))
		return 7, nil
	})
	if err != nil || len(took) != 2 || min(took[0], took[1]) <= 0 {
		t.Errorf("Tell = %v, %v; want a time of each", took, err)
	}
	if n := a.Strange(); n != 0 {
		t.Errorf("%d messages were strange; want none", n)
	}
}

func TestAnEventOfAnotherChangeIsNoArrival(t *testing.T) {
	t.Parallel()
	for why, wrong := range map[string]*nats.Msg{
		"revision":    event("s", "8", "{"+bench.Content+"}"),
		"no revision": event("s", "", "{"+bench.Content+"}"),
		"body":        event("s", "7", "{}"),
	} {
		a := bench.NewAudience(1)
		took, err := a.Tell(t.Context(), "s", func() (backend.Revision, error) {
			a.Hear(0, wrong)
			return 7, nil
		})
		if err == nil {
			t.Errorf("%s: Tell = %v; want an error", why, took)
		}
	}
}

func TestMessagesThatNobodyWaitsForAreCounted(t *testing.T) {
	t.Parallel()
	a := bench.NewAudience(1)
	right := event("s", "7", "{"+bench.Content+"}")
	a.Hear(0, right) // before
	_, err := a.Tell(t.Context(), "s", func() (backend.Revision, error) {
		a.Hear(0, event("other", "7", "{"+bench.Content+"}"))
		a.Hear(0, right)
		a.Hear(0, right) // once more
		return 7, nil
	})
	a.Hear(0, right) // afterwards
	if err != nil || a.Strange() != 4 {
		t.Errorf("Tell: %v, with %d strange messages; want 4", err, a.Strange())
	}
}

func TestAnEventThatDoesNotComeIsMissed(t *testing.T) {
	t.Parallel()
	a := bench.NewAudience(3)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := a.Tell(ctx, "s", func() (backend.Revision, error) {
		a.Hear(1, event("s", "7", "{"+bench.Content+"}"))
		return 7, nil
	})
	if err == nil || !strings.Contains(err.Error(), "2 of 3") {
		t.Errorf("Tell = %v; want that 2 of 3 miss it", err)
	}
}

func TestTheRevisionOfAReplyIsFoundOrMissed(t *testing.T) {
	t.Parallel()
	if n, err := bench.RevisionIn([]byte(`{"owner":"","revision":42,"created_revision":40}`)); err != nil || n != 42 {
		t.Errorf("revision = %d, %v; want 42", n, err)
	}
	for _, bad := range []string{``, `{"created_revision":40}`, `{"revision":x,"a":1}`} {
		if n, err := bench.RevisionIn([]byte(bad)); err == nil {
			t.Errorf("revision of %s = %d; want an error", bad, n)
		}
	}
}
