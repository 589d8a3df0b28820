package rules_test

import (
	"errors"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/rules"
)

// verbs are the three writes, made as w on state s.
var verbs = map[string]func(s rules.State, w backend.Write) (rules.Outcome, error){
	"register": func(s rules.State, w backend.Write) (rules.Outcome, error) {
		return rules.Register(s, says(`{"v":2}`), w, now)
	},
	"update": func(s rules.State, w backend.Write) (rules.Outcome, error) {
		metadata := backend.Metadata(`{"v":2}`)
		return rules.Update(s, key, backend.Change{Metadata: &metadata}, w, now)
	},
	"unregister": func(s rules.State, w backend.Write) (rules.Outcome, error) {
		return rules.Unregister(s, key, w)
	},
}

func TestARepeatOnAKeyThatChangedSinceItWasFirstSentIsAConflict(t *testing.T) {
	t.Parallel()
	for verb, do := range verbs {
		for name, state := range map[string]rules.State{"held": held(""), "removed": removed("")} {
			_, err := do(state, backend.Write{ID: second, Repeated: true, Known: 41})
			var conflict *backend.ConflictError
			if !errors.As(err, &conflict) {
				t.Errorf("%s on %s: got %v; want a conflict", verb, name, err)
			}
		}
	}
}

func TestARepeatOnAKeyThatHasNotChangedSinceItWasFirstSentIsDone(t *testing.T) {
	t.Parallel()
	for verb, do := range verbs {
		o, err := do(held(""), backend.Write{ID: second, Repeated: true, Known: 42})
		if err != nil || o.Action == rules.Keep {
			t.Errorf("%s: got action %v, %v; want it done", verb, o.Action, err)
		}
	}
}

func TestARepeatThatIsRecognisedIsAnsweredWhateverWasKnown(t *testing.T) {
	t.Parallel()
	for verb, state := range map[string]rules.State{"register": held(""), "update": held(""), "unregister": removed("")} {
		o, err := verbs[verb](state, backend.Write{ID: first, Repeated: true, Known: 1})
		if err != nil || o.Action != rules.Keep {
			t.Errorf("%s: got action %v, %v; want the answer it had", verb, o.Action, err)
		}
	}
}

func TestARepeatInAnotherEpochIsAConflict(t *testing.T) {
	t.Parallel()
	for verb, do := range verbs {
		_, err := do(free(), backend.Write{ID: second, Repeated: true, Known: 100, Epoch: 2})
		if !errors.Is(err, backend.ErrConflict) {
			t.Errorf("%s: got %v; want a conflict", verb, err)
		}
	}
}

func TestAFirstSendingOfAKeyThatChangedAfterAllItsSenderKnowsIsNotDone(t *testing.T) {
	t.Parallel()
	for verb, do := range verbs {
		for name, w := range map[string]backend.Write{
			"an older revision": {ID: second, Dated: true, Known: 41},
			"another epoch":     {ID: second, Dated: true, Known: 100, Epoch: 2},
		} {
			if _, err := do(held(""), w); !errors.Is(err, backend.ErrUnavailable) {
				t.Errorf("%s of one that knows %s: got %v; want it to be unavailable", verb, name, err)
			}
		}
		o, err := do(held(""), backend.Write{ID: second, Dated: true, Known: 42})
		if err != nil || o.Action == rules.Keep {
			t.Errorf("%s: got action %v, %v; want it done", verb, o.Action, err)
		}
	}
}

func TestWhatWouldChangeNothingIsAnsweredWhateverItsSenderKnows(t *testing.T) {
	t.Parallel()
	for verb, do := range verbs {
		w := backend.Write{ID: second, Dated: true, Known: 41, If: backend.IfRevision(7)}
		if _, err := do(held(""), w); !errors.Is(err, backend.ErrConflict) {
			t.Errorf("%s on a condition that does not hold: got %v; want a conflict", verb, err)
		}
	}
	w := backend.Write{ID: second, Dated: true, Known: 1}
	if o, err := rules.Unregister(removed(""), key, w); err != nil || o.Action != rules.Keep {
		t.Errorf("unregister of nothing: got action %v, %v", o.Action, err)
	}
	w = backend.Write{ID: second, Dated: true, Known: 100, Epoch: 2, If: backend.IfAbsent()}
	if _, err := rules.Register(free(), says(`{"v":2}`), w, now); !errors.Is(err, backend.ErrUnavailable) {
		t.Errorf("register of a free name by one that knows another epoch: got %v; want it to be unavailable", err)
	}
}
