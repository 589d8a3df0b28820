package rules_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/rules"
)

var (
	key     = backend.Key{Namespace: "default", Service: "payments", Instance: "i-1"}
	created = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	now     = time.Date(2026, 11, 21, 10, 5, 0, 1_999_999, time.UTC)
	stamped = time.Date(2026, 11, 21, 10, 5, 0, 1_000_000, time.UTC) // now, to the millisecond
	first   = backend.OperationID{1}
	second  = backend.OperationID{2}
)

// held is what is stored: at revision 42 of epoch 3, made by the operation first.
func held(owner string) rules.State {
	return rules.State{
		Present: true, Alive: true, Operation: first, Revision: 42, Epoch: 3,
		Registration: backend.Registration{
			Key: key, Metadata: `{"v":1}`, Weight: 100, Status: backend.Up, Owner: owner,
			Revision: 42, CreatedRevision: 40, CreatedAt: created, UpdatedAt: created,
		},
	}
}

// ended is held by a, whose lease has ended.
func ended() rules.State {
	s := held("a")
	s.Alive = false
	return s
}

// removed is what remains of held after the operation first removed it at revision 42.
func removed(owner string) rules.State {
	s := held(owner)
	s.Present, s.Alive = false, false
	s.Registration.Revision = 41
	return s
}

// free is a key of which nothing is remembered.
func free() rules.State { return rules.State{Epoch: 3} }

func says(metadata backend.Metadata) backend.Registration {
	return backend.Registration{Key: key, Metadata: metadata, Weight: 100, Status: backend.Up}
}

func holder(t *testing.T, err error) string {
	t.Helper()
	var exists *backend.ExistsError
	if !errors.As(err, &exists) {
		t.Fatalf("error is %v; want an ExistsError", err)
	}
	return exists.Holder.Owner
}

func conflict(t *testing.T, err error) backend.Revision {
	t.Helper()
	var c *backend.ConflictError
	if !errors.As(err, &c) || c.Key != key {
		t.Fatalf("error is %v; want a ConflictError about %s", err, key)
	}
	return c.Revision
}

func owner(t *testing.T, err error) string {
	t.Helper()
	var not *backend.NotOwnerError
	if !errors.As(err, &not) || not.Key != key {
		t.Fatalf("error is %v; want a NotOwnerError about %s", err, key)
	}
	return not.Owner
}

// same checks an outcome.
func same(t *testing.T, what string, got rules.Outcome, err error, want rules.Outcome) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: (-want +got) %s", what, diff)
	}
}

func TestRegisterOfAFreeNameCreates(t *testing.T) {
	t.Parallel()
	want := says(`{"v":2}`)
	want.Owner, want.CreatedAt, want.UpdatedAt = "a", stamped, stamped
	for name, state := range map[string]rules.State{"free": free(), "removed": removed("b"), "removed, own": removed("a")} {
		r := says(`{"v":2}`)
		r.Owner, r.Revision, r.CreatedRevision, r.CreatedAt = "liar", 9, 9, created // ignored
		got, err := rules.Register(state, r, backend.Write{Owner: "a", Reason: "start", If: backend.IfAbsent()}, now)
		same(t, name, got, err, rules.Outcome{Action: rules.Store, Registration: want, Kind: backend.Registered, Reason: "start"})
	}
}

func TestRegisterReplacesAnEndedOwnerInOneWrite(t *testing.T) {
	t.Parallel()
	want := says(`{"v":1}`) // the very content that the ended owner had
	want.Owner, want.CreatedAt, want.UpdatedAt = "b", stamped, stamped
	for name, w := range map[string]backend.Write{
		"plain": {Owner: "b"}, "if absent": {Owner: "b", If: backend.IfAbsent()}, "with a reason": {Owner: "b", Reason: "mine"},
	} {
		got, err := rules.Register(ended(), says(`{"v":1}`), w, now)
		same(t, name, got, err, rules.Outcome{Action: rules.Store, Registration: want, Kind: backend.Registered, Reason: backend.ReasonReplaced})
	}
	_, err := rules.Register(ended(), says(""), backend.Write{Owner: "b", If: backend.IfRevision(42)}, now)
	if got := conflict(t, err); got != 0 {
		t.Errorf("conflict with revision %d; want 0, for what has ended is absent", got)
	}
}

func TestRegisterByTheSameOwnerReplacesTheContent(t *testing.T) {
	t.Parallel()
	for _, o := range []string{"", "a"} {
		want := says(`{"v":2}`)
		want.Owner, want.CreatedRevision, want.CreatedAt, want.UpdatedAt = o, 40, created, stamped
		for name, w := range map[string]backend.Write{
			"plain": {Owner: o, Reason: "again"}, "at its revision": {Owner: o, Reason: "again", If: backend.IfRevision(42), Epoch: 3},
		} {
			got, err := rules.Register(held(o), says(`{"v":2}`), w, now)
			same(t, name, got, err, rules.Outcome{Action: rules.Store, Registration: want, Kind: backend.Updated, Reason: "again"})
		}
	}
}

func TestRegisterThatChangesNothingWritesNothing(t *testing.T) {
	t.Parallel()
	got, err := rules.Register(held("a"), says(`{"v":1}`), backend.Write{Owner: "a", ID: second}, now)
	same(t, "register", got, err, rules.Outcome{Action: rules.Keep, Registration: held("a").Registration})

	m := backend.Metadata(`{"v":1}`)
	got, err = rules.Update(held("a"), key, backend.Change{Metadata: &m}, backend.Write{Owner: "a"}, now)
	same(t, "update", got, err, rules.Outcome{Action: rules.Keep, Registration: held("a").Registration})
}

func TestRegisterOfAnothersNameIsRefusedWithTheHolder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ holder, by string }{{"a", "b"}, {"a", ""}, {"", "b"}} {
		for name, condition := range map[string]backend.Condition{"none": {}, "absent": backend.IfAbsent(), "right": backend.IfRevision(42), "wrong": backend.IfRevision(7)} {
			_, err := rules.Register(held(c.holder), says(`{"v":1}`), backend.Write{Owner: c.by, If: condition}, now)
			if got := holder(t, err); got != c.holder {
				t.Errorf("condition %s: the holder is %q; want %q", name, got, c.holder)
			}
		}
	}
}

func TestRegisterConditions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		state rules.State
		write backend.Write
		want  backend.Revision
	}{
		{"absent, but it is there", held("a"), backend.Write{Owner: "a", If: backend.IfAbsent()}, 42},
		{"another revision", held("a"), backend.Write{Owner: "a", If: backend.IfRevision(41)}, 42},
		{"another epoch", held("a"), backend.Write{Owner: "a", If: backend.IfRevision(42), Epoch: 2}, 42},
		{"a revision of nothing", free(), backend.Write{Owner: "a", If: backend.IfRevision(42)}, 0},
		{"the revision of the removal", removed("a"), backend.Write{Owner: "a", If: backend.IfRevision(42)}, 0},
		{"absent, of another epoch", free(), backend.Write{Owner: "a", If: backend.IfAbsent(), Epoch: 2}, 0},
	} {
		_, err := rules.Register(c.state, says(`{"v":2}`), c.write, now)
		if got := conflict(t, err); got != c.want {
			t.Errorf("%s: conflict with revision %d; want %d", c.name, got, c.want)
		}
	}
	if _, err := rules.Register(held("a"), says(`{"v":2}`), backend.Write{Owner: "a", Epoch: 2}, now); err != nil {
		t.Errorf("another epoch without a condition: %v; want nil", err)
	}
}

func TestUpdateChangesWhatItNamesAndKeepsTheOwner(t *testing.T) {
	t.Parallel()
	status := backend.Draining
	for _, c := range []struct{ holder, by string }{{"a", "a"}, {"", ""}, {"", "b"}} {
		want := held(c.holder).Registration
		want.Status, want.Revision, want.UpdatedAt = backend.Draining, 0, stamped
		w := backend.Write{Owner: c.by, If: backend.IfRevision(42), Epoch: 3, Reason: "deploy"}
		got, err := rules.Update(held(c.holder), key, backend.Change{Status: &status}, w, now)
		same(t, c.holder+" by "+c.by, got, err, rules.Outcome{Action: rules.Store, Registration: want, Kind: backend.Updated, Reason: "deploy"})
	}
}

func TestUpdateChecksAbsenceThenOwnerThenConditionThenContent(t *testing.T) {
	t.Parallel()
	m := backend.Metadata(`{"fill":"` + strings.Repeat("x", 64<<10) + `"}`)
	c := backend.Change{Merge: &m}
	wrong := backend.IfRevision(7)
	for name, s := range map[string]rules.State{"free": free(), "removed": removed("a"), "ended": ended()} {
		if _, err := rules.Update(s, key, c, backend.Write{Owner: "a", If: wrong}, now); !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("%s: %v; want ErrNotFound", name, err)
		}
	}
	for _, by := range []string{"", "b"} {
		_, err := rules.Update(held("a"), key, c, backend.Write{Owner: by, If: wrong}, now)
		if got := owner(t, err); got != "a" {
			t.Errorf("the owner is %q; want a", got)
		}
	}
	for _, w := range []backend.Write{{Owner: "a", If: wrong}, {Owner: "a", If: backend.IfAbsent()}, {Owner: "a", If: backend.IfRevision(42), Epoch: 4}} {
		_, err := rules.Update(held("a"), key, c, w, now)
		if got := conflict(t, err); got != 42 {
			t.Errorf("conflict with revision %d; want 42", got)
		}
	}
	if _, err := rules.Update(held("a"), key, c, backend.Write{Owner: "a"}, now); !errors.Is(err, backend.ErrTooLarge) {
		t.Errorf("a merge that grows too large: %v; want ErrTooLarge", err)
	}
}

func TestUnregisterLeavesWhatItRemoved(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ holder, by string }{{"a", "a"}, {"", ""}, {"", "b"}} {
		w := backend.Write{Owner: c.by, If: backend.IfRevision(42), Reason: "bye"}
		got, err := rules.Unregister(held(c.holder), key, w)
		same(t, c.holder+" by "+c.by, got, err, rules.Outcome{
			Action: rules.Remove, Registration: held(c.holder).Registration, Kind: backend.Unregistered, Reason: "bye",
		})
	}
}

func TestUnregisterOfNothingDoesNothing(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]rules.State{"free": free(), "removed": removed("a"), "ended": ended()} {
		for _, w := range []backend.Write{{}, {Owner: "b"}, {If: backend.IfAbsent()}, {ID: second}} {
			got, err := rules.Unregister(s, key, w)
			same(t, name, got, err, rules.Outcome{Action: rules.Keep})
		}
		_, err := rules.Unregister(s, key, backend.Write{Owner: "a", If: backend.IfRevision(42)})
		if got := conflict(t, err); got != 0 {
			t.Errorf("%s: conflict with revision %d; want 0", name, got)
		}
	}
}

func TestUnregisterChecksOwnerThenCondition(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"", "b"} {
		_, err := rules.Unregister(held("a"), key, backend.Write{Owner: by, If: backend.IfRevision(7)})
		if got := owner(t, err); got != "a" {
			t.Errorf("the owner is %q; want a", got)
		}
	}
	for _, w := range []backend.Write{{Owner: "a", If: backend.IfRevision(7)}, {Owner: "a", If: backend.IfAbsent()}, {Owner: "a", If: backend.IfRevision(42), Epoch: 9}} {
		_, err := rules.Unregister(held("a"), key, w)
		if got := conflict(t, err); got != 42 {
			t.Errorf("conflict with revision %d; want 42", got)
		}
	}
}

func TestARepeatGetsTheSameAnswerWhateverItsCondition(t *testing.T) {
	t.Parallel()
	keep := rules.Outcome{Action: rules.Keep, Registration: held("a").Registration}
	w := backend.Write{Owner: "a", ID: first, If: backend.IfAbsent()}
	got, err := rules.Register(held("a"), says(`{"v":2}`), w, now)
	same(t, "register", got, err, keep)

	w.If = backend.IfRevision(41)
	m := backend.Metadata(`{"v":2}`)
	got, err = rules.Update(held("a"), key, backend.Change{Metadata: &m}, w, now)
	same(t, "update", got, err, keep)

	got, err = rules.Unregister(removed("a"), key, w)
	same(t, "unregister", got, err, rules.Outcome{Action: rules.Keep, Removal: backend.Removal{Removed: true, Revision: 42}})
}

// A lease that ended after the write was acknowledged does not change what the repeat
// is told: it is recognised before the lease is looked at.
func TestARepeatIsRecognisedThoughTheLeaseHasEnded(t *testing.T) {
	t.Parallel()
	got, err := rules.Register(ended(), says(`{"v":2}`), backend.Write{Owner: "a", ID: first}, now)
	same(t, "register", got, err, rules.Outcome{Action: rules.Keep, Registration: held("a").Registration})
}

func TestAnotherOperationIsNoRepeat(t *testing.T) {
	t.Parallel()
	_, err := rules.Register(held("a"), says(`{"v":2}`), backend.Write{Owner: "a", ID: second, If: backend.IfAbsent()}, now)
	conflict(t, err)
	_, err = rules.Unregister(removed("a"), key, backend.Write{Owner: "a", ID: second, If: backend.IfRevision(41)})
	conflict(t, err)

	// The id of a removal does not make a register of the free name a repeat, nor does
	// that of a register an unregister; and no id is not the same id.
	got, err := rules.Register(removed("a"), says(`{"v":2}`), backend.Write{Owner: "a", ID: first}, now)
	if err != nil || got.Action != rules.Store {
		t.Errorf("register with the id of the removal: %+v, %v; want it stored", got, err)
	}
	got, err = rules.Unregister(held("a"), key, backend.Write{Owner: "a", ID: first})
	if err != nil || got.Action != rules.Remove {
		t.Errorf("unregister with the id of the register: %+v, %v; want a removal", got, err)
	}
	anonymous := held("a")
	anonymous.Operation = backend.OperationID{}
	_, err = rules.Register(anonymous, says(`{"v":2}`), backend.Write{Owner: "a", If: backend.IfAbsent()}, now)
	conflict(t, err)
}

func TestForceSkipsTheOwnerRulesAndNothingElse(t *testing.T) {
	t.Parallel()
	got, err := rules.Unregister(held("a"), key, backend.Write{Force: true})
	same(t, "unregister", got, err, rules.Outcome{
		Action: rules.Remove, Registration: held("a").Registration, Kind: backend.Unregistered, Reason: backend.ReasonAdmin,
	})
	got, err = rules.Unregister(held("a"), key, backend.Write{Force: true, Reason: "stuck"})
	if err != nil || got.Reason != "stuck" {
		t.Errorf("a forced removal has reason %q, %v; want the operator's own", got.Reason, err)
	}
	_, err = rules.Unregister(held("a"), key, backend.Write{Force: true, If: backend.IfRevision(7)})
	conflict(t, err)

	status := backend.Down
	got, err = rules.Update(held("a"), key, backend.Change{Status: &status}, backend.Write{Force: true}, now)
	if err != nil || got.Registration.Owner != "a" || got.Registration.Status != backend.Down {
		t.Errorf("a forced update: %+v, %v; want it down and still a's", got.Registration, err)
	}
	got, err = rules.Register(held("a"), says(`{"v":2}`), backend.Write{Owner: "b", Force: true}, now)
	if err != nil || got.Registration.Owner != "a" || got.Kind != backend.Updated {
		t.Errorf("a forced register: %+v, %v; want an update that is still a's", got, err)
	}
	if _, err := rules.Update(free(), key, backend.Change{}, backend.Write{Force: true}, now); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("a forced update of nothing: %v; want ErrNotFound", err)
	}
}
