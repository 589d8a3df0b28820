package backendtest_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/backendtest"
)

func TestAnOwnerLivesFromItsGrantToItsEndAndNeverAgain(t *testing.T) {
	t.Parallel()
	l := backendtest.NewLeases()
	lives := func(want bool) {
		t.Helper()
		confirmed, err := l.Confirm(t.Context(), "a")
		if l.Lives("a") != want || confirmed != want || err != nil {
			t.Errorf("lives %v, confirmed %v, %v; want %v", l.Lives("a"), confirmed, err, want)
		}
	}
	lives(false)
	l.Grant("a")
	l.Grant("a")
	lives(true)
	l.End("a", backend.ReasonExpired)
	lives(false)
	l.Grant("a")
	lives(false)
}

func TestEndingsAreToldOnceAndToAllInOneOrder(t *testing.T) {
	t.Parallel()
	l := backendtest.NewLeases()
	var first, second []string
	l.OnEnd(func(e backend.Ending) {
		if l.Lives(e.Owner) {
			t.Errorf("%s still lives while its end is told", e.Owner)
		}
		first = append(first, e.Owner+" "+e.Reason)
	})
	cancel := l.OnEnd(func(e backend.Ending) { second = append(second, e.Owner+" "+e.Reason) })
	l.End("never granted", backend.ReasonExpired)
	var wg sync.WaitGroup
	for i := range 20 {
		owner := strconv.Itoa(i)
		l.Grant(owner)
		for range 2 {
			wg.Go(func() { l.End(owner, backend.ReasonClosed) })
		}
	}
	wg.Wait()
	if len(first) != 20 || !slices.Equal(first, second) {
		t.Errorf("told %q and %q; want the same 20", first, second)
	}
	cancel()
	l.Grant("late")
	l.End("late", backend.ReasonRevoked)
	if len(first) != 21 || len(second) != 20 {
		t.Errorf("told %d and %d after the second has left; want 21 and 20", len(first), len(second))
	}
}

func TestConfirmNeedsTime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := backendtest.NewLeases().Confirm(ctx, "a"); !errors.Is(err, backend.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Confirm = %v; want ErrUnavailable for context.Canceled", err)
	}
}
