package view_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
)

// seen is what of an event the tests compare.
type seen struct {
	Kind     backend.EventKind
	Key      string
	Revision backend.Revision
}

// take pulls n events.
func take(t *testing.T, next func() (backend.Event, error, bool), n int) []seen {
	t.Helper()
	var events []seen
	for range n {
		e, err, ok := next()
		if err != nil || !ok {
			t.Fatalf("after %v: %v", events, err)
		}
		s := seen{Kind: e.Kind, Revision: e.Revision}
		if e.Registration != nil {
			s.Key = e.Registration.Instance
		}
		events = append(events, s)
	}
	return events
}

func watch(t *testing.T, v *view.View, q backend.Query, since backend.Revision) func() (backend.Event, error, bool) {
	t.Helper()
	next, stop := iter.Pull2(v.Watch(t.Context(), q, nil, since))
	t.Cleanup(stop)
	return next
}

func TestWatchBeginsWhereItIsCalled(t *testing.T) {
	t.Parallel()
	v := view.New(1)
	v.Apply(1, put(1, key("a", "before"), ""))
	next := watch(t, v, backend.Query{}, 0)
	v.Apply(2, put(2, key("a", "after"), ""))
	v.Apply(3, removal(3, key("a", "before")))
	want := []seen{{backend.Registered, "after", 2}, {backend.Unregistered, "before", 3}}
	if diff := cmp.Diff(want, take(t, next, 2)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestWatchSaysWhatDoesNotMatch(t *testing.T) {
	t.Parallel()
	v := view.New(1)
	next := watch(t, v, backend.Query{
		Scope: backend.Scope{Namespace: "default", Service: "a"}, Where: map[string]backend.Scalar{"n": "1"},
	}, 0)
	v.Apply(1, put(1, key("a", "1"), `{"n":1}`))
	got := take(t, next, 1)
	v.Apply(2, put(2, key("b", "1"), `{"n":1}`))
	v.Apply(3, put(3, key("a", "1"), `{"n":2}`))
	want := []seen{{backend.Registered, "1", 1}, {backend.Unmatched, "1", 3}}
	if diff := cmp.Diff(want, append(got, take(t, next, 1)...)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestSlowWatcherGetsAGapAndTheNewestState(t *testing.T) {
	t.Parallel()
	v := view.New(1, view.WithWatchBuffer(2))
	next := watch(t, v, backend.Query{}, 0)
	v.Apply(1, put(1, key("a", "1"), ""))
	take(t, next, 1)
	for r := backend.Revision(2); r <= 9; r++ { // two fit
		v.Apply(r, put(r, key("a", "1"), ""))
	}
	v.Apply(10, put(10, key("a", "2"), ""))
	want := []seen{
		{backend.Registered, "1", 2},
		{backend.Registered, "1", 3},
		{backend.Gap, "", 3},
		{backend.Registered, "1", 9},
		{backend.Registered, "2", 10},
	}
	if diff := cmp.Diff(want, take(t, next, 5)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	v.Apply(11, put(11, key("a", "3"), ""))
	if diff := cmp.Diff([]seen{{backend.Registered, "3", 11}}, take(t, next, 1)); diff != "" {
		t.Errorf("afterwards (-want +got):\n%s", diff)
	}
}

func TestWatchThatMissesNoSingleChangeHasNoGap(t *testing.T) {
	t.Parallel()
	v := view.New(1, view.WithWatchBuffer(1))
	v.Apply(2, put(1, key("a", "1"), ""), put(2, key("a", "2"), ""))
	next := watch(t, v, backend.Query{}, 1)
	for r := backend.Revision(3); r <= 5; r++ {
		v.Apply(r, put(r, key("b", string(rune('0'+r))), ""))
	}
	want := []seen{
		{backend.Registered, "2", 2},
		{backend.Registered, "3", 3},
		{backend.Registered, "4", 4},
		{backend.Registered, "5", 5},
	}
	if diff := cmp.Diff(want, take(t, next, 4)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestWatcherIsToldOfAllThatEndsAtOneRevision(t *testing.T) {
	t.Parallel()
	v := view.New(1, view.WithWatchBuffer(2))
	v.Apply(3, owned(1, key("a", "1"), "o"), owned(2, key("a", "2"), "o"), owned(3, key("a", "3"), "o"))
	next := watch(t, v, backend.Query{}, 2)
	take(t, next, 1) // it is now fed
	v.End(backend.Ending{Owner: "o", Revision: 4, Reason: backend.ReasonRevoked})
	v.Advance(4)
	want := []seen{{backend.Expired, "1", 4}, {backend.Expired, "2", 4}, {backend.Expired, "3", 4}}
	if diff := cmp.Diff(want, take(t, next, 3)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestWatchEndsWithCompactedWhereChangesAreForgotten(t *testing.T) {
	t.Parallel()
	v := view.New(1, view.WithMemory(time.Hour, 1), view.WithWatchBuffer(1))
	v.Apply(3, put(1, key("a", "1"), ""), put(2, key("a", "2"), ""), put(3, key("a", "3"), ""))
	slow := watch(t, v, backend.Query{}, 2)
	take(t, slow, 1)
	v.Apply(5, removal(4, key("a", "1")), removal(5, key("a", "2")))
	v.Apply(7, put(6, key("a", "3"), ""), removal(7, key("a", "3")))
	if v.Floor() < 5 {
		t.Errorf("Floor() = %d; want the newest forgotten removal", v.Floor())
	}
	if e, err, _ := slow(); e.Revision != 4 || err != nil {
		t.Errorf("what was in the buffer = %v, %v", e, err)
	}
	if _, err, _ := slow(); !errors.Is(err, backend.ErrCompacted) {
		t.Errorf("slow watch = %v; want ErrCompacted", err)
	}
	if _, err, _ := watch(t, v, backend.Query{}, 4)(); !errors.Is(err, backend.ErrCompacted) {
		t.Errorf("Watch since 4 = %v; want ErrCompacted", err)
	}
	if _, _, err := v.List(t.Context(), after(backend.Query{}, 4), nil); !errors.Is(err, backend.ErrCompacted) {
		t.Errorf("Since(4) = %v; want ErrCompacted", err)
	}
	if _, _, err := v.List(t.Context(), after(backend.Query{}, v.Floor()), nil); err != nil {
		t.Errorf("Since(Floor()) = %v", err)
	}
}

func TestRemovalsAreForgottenAfterTheirTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := view.New(1, view.WithMemory(40*time.Minute, 100))
		v.Apply(2, put(1, key("a", "1"), ""), removal(2, key("a", "1")))
		time.Sleep(40 * time.Minute)
		v.Advance(3)
		if row := v.Row(key("a", "1")); row.Revision != 2 || v.Floor() != 0 {
			t.Errorf("at 40 minutes: row at %d, floor %d; want it remembered", row.Revision, v.Floor())
		}
		time.Sleep(time.Nanosecond)
		v.Advance(4)
		if row := v.Row(key("a", "1")); row.Revision != 0 || v.Floor() != 2 {
			t.Errorf("after 40 minutes: row at %d, floor %d; want it forgotten", row.Revision, v.Floor())
		}
	})
}

func TestEndedOwnerIsRememberedAsLongAsSomethingOfItIsStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := view.New(1)
		v.Apply(1, owned(1, key("a", "1"), "o"))
		v.End(backend.Ending{Owner: "o", Revision: 2})
		for range 3 {
			time.Sleep(time.Hour)
			v.Advance(2)
		}
		if r, _ := v.Lookup(key("a", "1")); r != nil || !v.Ended("o") || !v.Row(key("a", "1")).Present {
			t.Error("an ended owner was forgotten while something of it is stored")
		}
		v.Apply(3, removal(3, key("a", "1")))
		time.Sleep(time.Hour)
		v.Advance(4)
		time.Sleep(time.Hour)
		v.Advance(5)
		if v.Ended("o") || v.Row(key("a", "1")).Revision != 0 {
			t.Error("an ended owner of whom nothing is left is remembered for ever")
		}
	})
}

func TestWatchHoldsNothingBeforeAndAfterItRuns(t *testing.T) {
	t.Parallel()
	v := view.New(1)
	events := v.Watch(t.Context(), backend.Query{}, nil, 0)
	if n := v.Watchers(); n != 0 {
		t.Errorf("%d watchers before the range", n)
	}
	v.Apply(1, put(1, key("a", "1"), ""))
	for range events {
		if n := v.Watchers(); n != 1 {
			t.Errorf("%d watchers in the range", n)
		}
		break
	}
	if n := v.Watchers(); n != 0 {
		t.Errorf("%d watchers after the range", n)
	}
}

func TestWatchEndsWithItsContextAndWithClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := view.New(1)
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		run := func(ctx context.Context) {
			for _, err := range v.Watch(ctx, backend.Query{}, nil, 0) {
				errs <- err
			}
		}
		go run(ctx)
		synctest.Wait()
		cancel()
		if err := <-errs; !errors.Is(err, backend.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("Watch with a done context ended with %v", err)
		}
		go run(t.Context())
		synctest.Wait()
		v.Close()
		if err := <-errs; !errors.Is(err, backend.ErrClosed) {
			t.Errorf("Watch ended with %v after Close", err)
		}
	})
}
