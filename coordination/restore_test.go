package coordination_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
)

// later is a turn in the epoch after that of plain.
func later() *coordination.Turn { return &coordination.Turn{Epoch: 2, Ended: nobody} }

func text(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestTheMarksOfAnElectionAreItsTermItsTokenAndWhoLed(t *testing.T) {
	t.Parallel()
	e := campaign(t, candidate("a", 0), candidate("b", 0)).Resign(plain(), "a")
	kept := e.Kept()
	if kept.Leader != nil || len(kept.Candidates) != 0 || kept.Term != 2 || len(kept.Recent) != 2 {
		t.Errorf("kept %s; want term 2 of two leaderships and nobody", text(t, kept))
	}
	got, ok, err := coordination.Election{}.Restore(later(), kept)
	if err != nil || !ok || text(t, got) != text(t, kept) {
		t.Errorf("restored %s, %v, %v; want %s", text(t, got), ok, err, text(t, kept))
	}
	next, err := got.Campaign(later(), candidate("c", 0))
	if err != nil || next.Term != 3 || next.Token.Compare(kept.Token) <= 0 {
		t.Errorf("after the next campaign %s, %v; want term 3 and a token above %v", text(t, next), err, kept.Token)
	}
}

func TestRestoringTwiceChangesNothingAndNeverLowersAMark(t *testing.T) {
	t.Parallel()
	older := campaign(t, candidate("a", 0))
	newer := older.Resign(plain(), "a")
	newer = must[coordination.Election](t)(newer.Campaign(plain(), candidate("b", 0)))
	high, _, err := coordination.Election{}.Restore(later(), newer.Kept())
	if err != nil {
		t.Fatal(err)
	}
	for _, marks := range []coordination.Election{newer.Kept(), older.Kept(), {}} {
		again, ok, err := high.Restore(later(), marks)
		if err != nil || !ok || text(t, again) != text(t, high) {
			t.Errorf("restoring %s made %s, %v, %v; want nothing changed", text(t, marks), text(t, again), ok, err)
		}
	}
	barrier := coordination.Barrier{Done: 7}
	if got, ok, err := barrier.Restore(later(), coordination.Barrier{Done: 3}); got.Done != 7 || !ok || err != nil {
		t.Errorf("a barrier at 7 is at %d after restoring 3", got.Done)
	}
}

func TestWhatIsInUseIsNotRestored(t *testing.T) {
	t.Parallel()
	led := must[coordination.Election](t)(coordination.Election{}.Campaign(later(), candidate("a", 0)))
	if got, ok, err := led.Restore(later(), coordination.Election{Term: 9}); ok || err != nil || got.Term != 1 {
		t.Errorf("a led election: term %d, %v, %v; want it left alone", got.Term, ok, err)
	}
	ended := &coordination.Turn{Epoch: 2, Ended: func(owner string) bool { return owner == "a" }}
	if got, ok, err := led.Restore(ended, coordination.Election{Term: 9}); !ok || err != nil || got.Term != 9 {
		t.Errorf("one whose leader has ended: term %d, %v, %v; want 9", got.Term, ok, err)
	}
	barrier, _, err := coordination.Barrier{}.Arrive(later(), who("a"), 2, 0, ticket("1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := barrier.Restore(later(), coordination.Barrier{Done: 3}); ok || err != nil {
		t.Errorf("a barrier with somebody at it: %v, %v; want it left alone", ok, err)
	}
}

func TestATokenOfThePresentEpochIsNotRestored(t *testing.T) {
	t.Parallel()
	held := must[coordination.Lock](t)(coordination.Lock{}.Acquire(plain(), who("a"), coordination.Exclusive, nil))
	kept := held.Kept()
	if len(kept.Holders) != 0 || kept.Token.IsZero() {
		t.Fatalf("kept %s; want the token alone", text(t, kept))
	}
	if _, _, err := (coordination.Lock{}).Restore(plain(), kept); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("in its own epoch: %v; want ErrConflict", err)
	}
	got, ok, err := coordination.Lock{}.Restore(later(), kept)
	if err != nil || !ok || got.Token != kept.Token {
		t.Fatalf("in the next epoch: %s, %v, %v", text(t, got), ok, err)
	}
	next := must[coordination.Lock](t)(got.Acquire(later(), who("b"), coordination.Exclusive, nil))
	if next.Token.Compare(kept.Token) <= 0 {
		t.Errorf("the next token is %v; want more than %v", next.Token, kept.Token)
	}
}

func TestDecisionsAreKeptAndWhatIsVotedOnIsNot(t *testing.T) {
	t.Parallel()
	one := coordination.Proposal{ID: "1", Proposer: "p", Voters: []string{"v"}, Quorum: 1, TimeoutMs: 1000}
	s := must[coordination.Proposals](t)(coordination.Proposals{}.Propose(plain(), one))
	if kept := s.Kept(); kept.Latest != nil || kept.Past != nil {
		t.Errorf("kept %s of a vote alone; want nothing", text(t, kept))
	}
	s = must[coordination.Proposals](t)(s.Vote(plain(), "1", coordination.Ballot{Owner: "v", Accept: true}))
	decided := s
	one.ID = "2"
	s = must[coordination.Proposals](t)(s.Propose(plain(), one))
	kept := s.Kept()
	if diff := cmp.Diff(text(t, decided), text(t, kept)); diff != "" {
		t.Errorf("kept differs from what was decided (-want +got):\n%s", diff)
	}
	got, ok, err := coordination.Proposals{}.Restore(later(), kept)
	if err != nil || !ok || text(t, got) != text(t, kept) {
		t.Errorf("restored %s, %v, %v; want %s", text(t, got), ok, err, text(t, kept))
	}
	if _, ok, err := got.Restore(later(), kept); !ok || err != nil {
		t.Errorf("again: %v, %v; want it known", ok, err)
	}
	if _, _, err := (coordination.Proposals{}).Restore(later(), s); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("restoring what is voted on: %v; want ErrInvalid", err)
	}
}

func TestACountForWhichThereIsNoRoomIsNotRestored(t *testing.T) {
	t.Parallel()
	if _, _, err := (coordination.Election{}).Restore(later(), coordination.Election{Term: 1 << 53}); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("a term above all numbers of JSON: %v; want ErrInvalid", err)
	}
	if _, _, err := (coordination.Barrier{}).Restore(later(), coordination.Barrier{Done: 1 << 53}); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("as many generations: %v; want ErrInvalid", err)
	}
}
