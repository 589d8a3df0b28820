package coordination_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
)

// What an operator's release does, and what becomes of those who do not wait any more.

func TestWhatAnOperatorReleasesIsEmptyAndKeepsItsTokens(t *testing.T) {
	t.Parallel()
	l := acquire(t, coordination.Lock{}, coordination.Exclusive, "a", "b")
	if diff := cmp.Diff(text(t, l.Kept()), text(t, l.Clear(plain()))); diff != "" || l.Token.IsZero() {
		t.Errorf("a lock (-want +got):\n%s", diff)
	}
	do := must[coordination.Semaphore](t)
	s := do(coordination.Semaphore{}.Acquire(plain(), who("a"), 2, 2, nil))
	s = do(s.Acquire(plain(), who("b"), 1, 2, ticket("b")))
	if diff := cmp.Diff(text(t, s.Kept()), text(t, s.Clear(plain()))); diff != "" || s.Token.IsZero() {
		t.Errorf("a semaphore (-want +got):\n%s", diff)
	}
}

func TestOfAnElectionThatAnOperatorReleasesTheLeaderResigns(t *testing.T) {
	t.Parallel()
	e := campaign(t, candidate("a", 0), candidate("b", 0)).Clear(plain())
	if order(e) != "b" || e.Term != 2 {
		t.Errorf("%s in term %d; want b to lead alone in term 2", order(e), e.Term)
	}
	if e = e.Clear(plain()); order(e) != "" || e.Term != 2 {
		t.Errorf("again: %s in term %d; want nobody to lead after term 2", order(e), e.Term)
	}
}

func TestFromABarrierThatAnOperatorReleasesAllAreSentAwayInItsGeneration(t *testing.T) {
	t.Parallel()
	b := coordination.Barrier{Done: 3}
	b, _, err := b.Arrive(plain(), who("a"), 2, 0, ticket("a"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(coordination.Barrier{Done: 3}, b.Clear(plain())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatIsVotedOnIsAbortedByAnOperator(t *testing.T) {
	t.Parallel()
	s := vote(t, proposed(t, 2), plain(), "a", true).Clear(plain())
	if s.Latest.State != coordination.Aborted || s.Latest.Reason != "admin" {
		t.Errorf("%s (%s); want aborted (admin)", s.Latest.State, s.Latest.Reason)
	}
	committed := vote(t, proposed(t, 1), plain(), "a", true)
	if diff := cmp.Diff(text(t, committed), text(t, committed.Clear(plain()))); diff != "" {
		t.Errorf("what was decided has changed (-want +got):\n%s", diff)
	}
}

// arrived has one party wait at a barrier for two.
func arrived(t *testing.T) coordination.Barrier {
	t.Helper()
	b, _, err := coordination.Barrier{}.Arrive(plain(), who("a"), 2, 0, ticket("first"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAPartyWhoseWaitIsOverDoesNotCount(t *testing.T) {
	t.Parallel()
	gone := func(id string) func(coordination.Ticket) bool {
		return func(t coordination.Ticket) bool { return t.ID == id }
	}
	if diff := cmp.Diff(coordination.Barrier{}, arrived(t).GiveUp(plain(), gone("first"))); diff != "" {
		t.Errorf("when its only request is over (-want +got):\n%s", diff)
	}
	again, _, err := arrived(t).Arrive(plain(), who("a"), 2, 0, ticket("second"))
	if err != nil {
		t.Fatal(err)
	}
	if again = again.GiveUp(plain(), gone("first")); len(again.Parties) != 1 {
		t.Errorf("when an earlier request is over: %+v; want it to wait on", again)
	}
	if again = again.GiveUp(plain(), gone("second")); len(again.Parties) != 0 {
		t.Errorf("when the latest request is over: %+v; want nobody", again)
	}
}

func TestAnArrivalWithoutAWaitTakesOutTheOneBeforeIt(t *testing.T) {
	t.Parallel()
	b, arrival, err := arrived(t).Arrive(plain(), who("a"), 2, 0, nil)
	if diff := cmp.Diff(coordination.Barrier{}, b); diff != "" || arrival.Released || err != nil {
		t.Errorf("%+v, %v (-want +got):\n%s", arrival, err, diff)
	}
}

func TestWhoWaitsCannotWaitForSomethingElseBesides(t *testing.T) {
	t.Parallel()
	l := acquire(t, coordination.Lock{}, coordination.Exclusive, "a", "b")
	if _, err := l.Acquire(plain(), who("b"), coordination.Shared, ticket("again")); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("in another mode: %v; want ErrConflict", err)
	}
	do := must[coordination.Semaphore](t)
	s := do(coordination.Semaphore{}.Acquire(plain(), who("a"), 2, 2, nil))
	s = do(s.Acquire(plain(), who("b"), 1, 2, ticket("b")))
	if _, err := s.Acquire(plain(), who("b"), 2, 2, ticket("again")); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("for another number of permits: %v; want ErrConflict", err)
	}
}

func TestALeaderWhoTransfersToItselfChangesNothing(t *testing.T) {
	t.Parallel()
	e := campaign(t, candidate("a", 0), candidate("b", 0))
	same, err := e.Transfer(plain(), "a", "a")
	if diff := cmp.Diff(text(t, e), text(t, same)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestAtMostAThousandAreCandidates(t *testing.T) {
	t.Parallel()
	e := campaign(t, candidate("leader", 0))
	for i := range coordination.MaxWaiters {
		e = campaign2(t, e, fmt.Sprint("o", i))
	}
	if _, err := e.Campaign(plain(), candidate("late", 9)); !errors.Is(err, backend.ErrLimitExceeded) {
		t.Errorf("one more: %v; want ErrLimitExceeded", err)
	}
	if _, err := e.Campaign(plain(), candidate("o7", 9)); err != nil {
		t.Errorf("one of them again: %v", err)
	}
}

func TestTheFirstTokenOfAnEpochBearsItAndCountsAfresh(t *testing.T) {
	t.Parallel()
	l := acquire(t, coordination.Lock{}, coordination.Exclusive, "a").Release(plain(), who("a"))
	l = must[coordination.Lock](t)(l.Acquire(later(), who("b"), coordination.Exclusive, nil))
	if want := (coordination.Token{Epoch: 2, Counter: 1}); l.Token != want {
		t.Errorf("the token is %v; want %v", l.Token, want)
	}
}

func TestARepeatForAFinishedGenerationGetsItsResultWhateverElseItSays(t *testing.T) {
	t.Parallel()
	b, _, err := coordination.Barrier{Done: 1}.Arrive(plain(), who("b"), 3, 0, ticket("b"))
	if err != nil {
		t.Fatal(err)
	}
	same, arrival, err := b.Arrive(plain(), who("a"), 2, 1, ticket("a"))
	if want := (coordination.Arrival{Generation: 1, Released: true}); err != nil || arrival != want {
		t.Errorf("%+v, %v; want %+v", arrival, err, want)
	}
	if diff := cmp.Diff(b, same); diff != "" {
		t.Errorf("it joins the next (-want +got):\n%s", diff)
	}
}

func TestHowManyMayMeetAndHowManyPermitsThereAreIsBounded(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, -1, 1001} {
		if _, _, err := (coordination.Barrier{}).Arrive(plain(), who("a"), size, 0, ticket("a")); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("a barrier for %d: %v; want ErrInvalid", size, err)
		}
	}
	for _, limit := range []int{0, -1, 1<<30 + 1} {
		if _, err := (coordination.Semaphore{}).Acquire(plain(), who("a"), 1, limit, nil); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("a semaphore of %d: %v; want ErrInvalid", limit, err)
		}
	}
}
