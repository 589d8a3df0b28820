package coordination_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
)

// The sentences of the protocol about each object, one by one.

func who(owner string) coordination.Party { return coordination.Party{Owner: owner} }

func ticket(id string) *coordination.Ticket { return &coordination.Ticket{Node: "n", ID: id} }

func candidate(owner string, priority int) coordination.Candidate {
	return coordination.Candidate{Owner: owner, Priority: priority}
}

// campaign has candidates come one after the other.
func campaign(t *testing.T, all ...coordination.Candidate) (e coordination.Election) {
	t.Helper()
	for _, c := range all {
		e = must[coordination.Election](t)(e.Campaign(plain(), c))
	}
	return e
}

// order returns who leads, and then the candidates.
func order(e coordination.Election) string {
	return strings.Join(e.Owners(), " ")
}

func TestTheHighestPriorityLeadsThenTheFirstToCome(t *testing.T) {
	t.Parallel()
	e := campaign(t, candidate("first", 0), candidate("low", -1), candidate("b", 0), candidate("high", 5), candidate("c", 0))
	if got := order(e); got != "first high b c low" {
		t.Errorf("order is %s; nobody is pre-empted, and then it is high b c low", got)
	}
	if e = e.Resign(plain(), "first"); order(e) != "high b c low" || e.Term != 2 {
		t.Errorf("after a resignation %s in term %d; want high to lead in term 2", order(e), e.Term)
	}
}

func TestALeaderWhoResignsIsReplacedByTheNextLiveCandidateAtOnce(t *testing.T) {
	t.Parallel()
	e := campaign(t, candidate("a", 0), candidate("b", 0), candidate("c", 0)).Resign(endedIn("b"), "a")
	if order(e) != "c" || e.Term != 2 {
		t.Errorf("%s in term %d; want c in term 2", order(e), e.Term)
	}
}

func TestWhoResignsWhenItsTurnHasJustComeLeadsInNoTerm(t *testing.T) {
	t.Parallel()
	e := campaign(t, candidate("a", 0), candidate("b", 0), candidate("c", 0)).Resign(endedIn("a"), "b")
	if order(e) != "c" || e.Term != 2 || len(e.Recent) != 2 {
		t.Errorf("%s in term %d, remembered %v; want c in term 2", order(e), e.Term, e.Recent)
	}
}

func TestALeaderWhoTransfersIsReplacedAndBecomesACandidate(t *testing.T) {
	t.Parallel()
	e := campaign(t, candidate("a", 0), candidate("b", 0), candidate("c", 0))
	e = must[coordination.Election](t)(e.Transfer(plain(), "a", "c"))
	if order(e) != "c b a" || e.Term != 2 {
		t.Errorf("%s in term %d; want c to lead before b and a in term 2", order(e), e.Term)
	}
	if _, err := e.Transfer(plain(), "c", "nobody"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("to nobody: %v; want ErrNotFound", err)
	}
	if _, err := e.Transfer(plain(), "b", "a"); !errors.Is(err, backend.ErrNotOwner) {
		t.Errorf("by one who does not lead: %v; want ErrNotOwner", err)
	}
	if _, err := e.Transfer(endedIn("c"), "b", "a"); !errors.Is(err, backend.ErrNotOwner) {
		t.Errorf("by one who would lead next: %v; want ErrNotOwner", err)
	}
}

func TestARepeatedCampaignReplacesValueAndPriorityInPlace(t *testing.T) {
	t.Parallel()
	e := campaign(t, candidate("a", 0), candidate("b", 0), candidate("c", 0))
	e = must[coordination.Election](t)(e.Campaign(plain(), coordination.Candidate{Owner: "a", Value: []byte(`{"at":1}`), Priority: -7}))
	if e.Term != 1 || string(e.Leader.Value) != `{"at":1}` || e.Leader.Owner != "a" {
		t.Errorf("a leader that campaigns again: %+v in term %d", e.Leader, e.Term)
	}
	e = must[coordination.Election](t)(e.Campaign(plain(), candidate("c", 1)))
	e = must[coordination.Election](t)(e.Campaign(plain(), candidate("c", 0)))
	if order(e) != "a b c" {
		t.Errorf("order is %s; want c to keep when it came", order(e))
	}
}

func TestWhoResignsAndCampaignsAgainBeginsANewTerm(t *testing.T) {
	t.Parallel()
	e := campaign(t, candidate("a", 0)).Resign(plain(), "a")
	if e.Leader != nil || e.Term != 1 || len(e.Recent) != 1 {
		t.Errorf("emptied: %+v", e)
	}
	was := e.Token
	if e = campaign2(t, e, "a"); e.Term != 2 || e.Token.Compare(was) <= 0 {
		t.Errorf("term %d with %v after %v; want term 2 and a greater token", e.Term, e.Token, was)
	}
}

func campaign2(t *testing.T, e coordination.Election, owner string) coordination.Election {
	t.Helper()
	return must[coordination.Election](t)(e.Campaign(plain(), candidate(owner, 0)))
}

func TestSixteenLeadershipsAreRemembered(t *testing.T) {
	t.Parallel()
	var e coordination.Election
	for i := range 20 {
		e = campaign2(t, e, fmt.Sprint("o", i))
		e = e.Resign(plain(), fmt.Sprint("o", i))
	}
	if len(e.Recent) != 16 || e.Recent[0].Term != 5 || e.Recent[15].Term != 20 {
		t.Errorf("remembered: %+v; want terms 5 to 20", e.Recent)
	}
}

func TestACandidatesValueIsBoundedAndAnyJSON(t *testing.T) {
	t.Parallel()
	var e coordination.Election
	if _, err := e.Campaign(plain(), coordination.Candidate{Owner: "a", Value: []byte(`"` + strings.Repeat("x", coordination.MaxValue) + `"`)}); !errors.Is(err, backend.ErrTooLarge) {
		t.Errorf("a large value: %v; want ErrTooLarge", err)
	}
	if _, err := e.Campaign(plain(), coordination.Candidate{Owner: "a", Value: []byte(`{`)}); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("no JSON: %v; want ErrInvalid", err)
	}
}

// acquire has the lock be acquired, or waited for, by one after the other.
func acquire(t *testing.T, l coordination.Lock, mode coordination.Mode, owners ...string) coordination.Lock {
	t.Helper()
	for _, owner := range owners {
		l = must[coordination.Lock](t)(l.Acquire(plain(), who(owner), mode, ticket(owner)))
	}
	return l
}

// holders returns the owners of those who hold l.
func holders(l coordination.Lock) string {
	var all []string
	for _, h := range l.Holders {
		all = append(all, h.Owner)
	}
	return strings.Join(all, " ")
}

func TestAWaitingWriterHoldsBackLaterReaders(t *testing.T) {
	t.Parallel()
	l := acquire(t, coordination.Lock{}, coordination.Shared, "r1", "r2")
	l = acquire(t, l, coordination.Exclusive, "w")
	l = acquire(t, l, coordination.Shared, "r3", "r4")
	if got := holders(l); got != "r1 r2" {
		t.Fatalf("held by %s; want r1 r2", got)
	}
	l = l.Release(plain(), who("r1")).Release(plain(), who("r2"))
	if got := holders(l); got != "w" {
		t.Errorf("held by %s; want w", got)
	}
	l = l.Release(plain(), who("w"))
	if got := holders(l); got != "r3 r4" || l.Holders[0].Token != l.Holders[1].Token {
		t.Errorf("held by %s with %v; want r3 and r4 to share a token", got, l.Holders)
	}
}

func TestAWaiterWhoseLeaseHasEndedIsNeverGranted(t *testing.T) {
	t.Parallel()
	l := acquire(t, coordination.Lock{}, coordination.Exclusive, "a", "b", "c")
	if l = l.Release(endedIn("b"), who("a")); holders(l) != "c" {
		t.Errorf("held by %s; want c", holders(l))
	}
}

func TestAcquiringWhatOneHoldsChangesNothingAndAnotherModeIsAConflict(t *testing.T) {
	t.Parallel()
	l := acquire(t, coordination.Lock{}, coordination.Shared, "a")
	again := must[coordination.Lock](t)(l.Acquire(plain(), who("a"), coordination.Shared, nil))
	if diff := cmp.Diff(l.Holders, again.Holders); diff != "" || again.Token != l.Token {
		t.Errorf("acquired again (-want +got):\n%s", diff)
	}
	if _, err := l.Acquire(plain(), who("a"), coordination.Exclusive, nil); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("in another mode: %v; want ErrConflict", err)
	}
	if _, err := l.Acquire(plain(), who("a"), "none", nil); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("in no mode: %v; want ErrInvalid", err)
	}
	other := must[coordination.Lock](t)(l.Acquire(plain(), coordination.Party{Owner: "a", Holder: "h"}, coordination.Shared, nil))
	if len(other.Holders) != 2 {
		t.Errorf("two holders of one lease: %v", other.Holders)
	}
}

// A transition in which some are served and somebody else then gets the rest gives one token.
func TestWhoeverIsServedInOneTransitionSharesItsToken(t *testing.T) {
	t.Parallel()
	l := acquire(t, acquire(t, coordination.Lock{}, coordination.Exclusive, "a"), coordination.Shared, "b")
	was := l.Token
	l = must[coordination.Lock](t)(l.Acquire(endedIn("a"), who("c"), coordination.Shared, nil))
	if holders(l) != "b c" || l.Token.Counter != was.Counter+1 || l.Holders[1].Token != l.Token {
		t.Errorf("held by %v after %v; want b and c with the next token", l.Holders, was)
	}
}

func TestARequestWithoutAWaitTakesOutTheOneBeforeIt(t *testing.T) {
	t.Parallel()
	l := acquire(t, coordination.Lock{}, coordination.Exclusive, "a", "b")
	l = must[coordination.Lock](t)(l.Acquire(plain(), who("b"), coordination.Exclusive, nil))
	if len(l.Waiters) != 0 {
		t.Errorf("%v wait", l.Waiters)
	}
}

func TestAtMostAThousandWait(t *testing.T) {
	t.Parallel()
	l := acquire(t, coordination.Lock{}, coordination.Exclusive, "holder")
	for i := range coordination.MaxWaiters {
		l = acquire(t, l, coordination.Exclusive, fmt.Sprint("o", i))
	}
	if _, err := l.Acquire(plain(), who("late"), coordination.Exclusive, ticket("late")); !errors.Is(err, backend.ErrLimitExceeded) {
		t.Errorf("one more: %v; want ErrLimitExceeded", err)
	}
	text, err := json.Marshal(l)
	if err != nil || len(text) > coordination.MaxRecord {
		t.Errorf("a thousand take %d bytes, %v", len(text), err)
	}
}

func TestTheFirstToAcquireASemaphoreSaysItsLimitUntilItIsEmpty(t *testing.T) {
	t.Parallel()
	do := must[coordination.Semaphore](t)
	s := do(coordination.Semaphore{}.Acquire(plain(), who("a"), 2, 3, nil))
	if _, err := s.Acquire(plain(), who("b"), 1, 4, nil); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("another limit: %v; want ErrConflict", err)
	}
	if _, err := s.Acquire(plain(), who("b"), 4, 3, nil); !errors.Is(err, backend.ErrInvalid) {
		t.Errorf("more than the limit: %v; want ErrInvalid", err)
	}
	s = do(s.Acquire(endedIn("a"), who("b"), 4, 4, nil))
	if s.Limit != 4 || len(s.Holders) != 1 {
		t.Errorf("after it was empty: %+v; want a limit of 4", s)
	}
}

func TestALargeWaiterAtTheHeadHoldsBackSmallOnes(t *testing.T) {
	t.Parallel()
	do := must[coordination.Semaphore](t)
	s := do(coordination.Semaphore{}.Acquire(plain(), who("a"), 2, 3, nil))
	s = do(s.Acquire(plain(), who("large"), 3, 3, ticket("large")))
	s = do(s.Acquire(plain(), who("small"), 1, 3, ticket("small")))
	if len(s.Holders) != 1 || len(s.Waiters) != 2 {
		t.Errorf("%+v; want both to wait", s)
	}
	if s = s.GiveUp(plain(), func(t coordination.Ticket) bool { return t.ID == "large" }); len(s.Holders) != 2 {
		t.Errorf("when the large one has gone: %+v; want the small one to be served", s)
	}
}

func TestAnotherSizeOrALaterGenerationOfABarrierIsAConflict(t *testing.T) {
	t.Parallel()
	b, arrival, err := coordination.Barrier{}.Arrive(plain(), who("a"), 2, 0, ticket("a"))
	if err != nil || arrival != (coordination.Arrival{Generation: 1}) {
		t.Fatalf("the first: %+v, %v", arrival, err)
	}
	if _, _, err := b.Arrive(plain(), who("b"), 3, 0, ticket("b")); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("another size: %v; want ErrConflict", err)
	}
	if _, _, err := b.Arrive(plain(), who("b"), 2, 2, ticket("b")); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("a later generation: %v; want ErrConflict", err)
	}
	gone, _, err := b.Arrive(endedIn("a"), who("b"), 2, 0, ticket("b"))
	if err != nil || gone.Done != 0 || len(gone.Parties) != 1 {
		t.Errorf("a party that has ended counts: %+v, %v", gone, err)
	}
	b, arrival, err = b.Arrive(plain(), who("b"), 2, 1, ticket("b"))
	if err != nil || !arrival.Released || b.Generation() != 2 {
		t.Errorf("the last: %+v of %+v, %v", arrival, b, err)
	}
	same, arrival, err := b.Arrive(plain(), who("a"), 2, 1, ticket("a"))
	if err != nil || !arrival.Released || len(same.Parties) != 0 {
		t.Errorf("a repeat for what is over: %+v of %+v, %v", arrival, same, err)
	}
}

// proposed returns a proposal to five voters.
func proposed(t *testing.T, quorum int) coordination.Proposals {
	t.Helper()
	return must[coordination.Proposals](t)(coordination.Proposals{}.Propose(plain(), coordination.Proposal{
		ID: "p", Voters: []string{"a", "b", "c", "d", "e"}, Quorum: quorum, TimeoutMs: 1000,
	}))
}

func vote(t *testing.T, s coordination.Proposals, turn *coordination.Turn, owner string, accept bool) coordination.Proposals {
	t.Helper()
	return must[coordination.Proposals](t)(s.Vote(turn, "p", coordination.Ballot{Owner: owner, Accept: accept}))
}

func TestAProposalIsCommittedByTheVoteThatReachesTheQuorum(t *testing.T) {
	t.Parallel()
	for quorum := 1; quorum <= 5; quorum++ {
		s := proposed(t, quorum)
		for i, owner := range []string{"a", "b", "c", "d", "e"}[:quorum] {
			if s.Latest.State != coordination.Voting {
				t.Errorf("quorum %d: %s after %d votes", quorum, s.Latest.State, i)
			}
			s = vote(t, s, plain(), owner, true)
		}
		if s.Latest.State != coordination.Committed {
			t.Errorf("quorum %d: %s after as many votes", quorum, s.Latest.State)
		}
	}
}

func TestAProposalIsAbortedAsSoonAsTheQuorumCannotBeReached(t *testing.T) {
	t.Parallel()
	s := vote(t, vote(t, proposed(t, 3), plain(), "a", false), plain(), "b", false)
	if s.Latest.State != coordination.Voting {
		t.Fatalf("%s with three votes open", s.Latest.State)
	}
	if s = s.Advance(endedIn("a", "c")); s.Latest.State != coordination.Aborted || s.Latest.Reason != coordination.ReasonRefused {
		t.Errorf("%s (%s) when a third voter has ended; want aborted", s.Latest.State, s.Latest.Reason)
	}
}

func TestTheVoteOfAVoterWhoseLeaseHasEndedSinceCounts(t *testing.T) {
	t.Parallel()
	s := vote(t, proposed(t, 2), plain(), "a", true)
	if s = vote(t, s, endedIn("a", "c", "d", "e"), "b", true); s.Latest.State != coordination.Committed {
		t.Errorf("%s; want committed", s.Latest.State)
	}
}

func TestTheFirstVoteStandsAndOneAfterTheEndGetsTheRecord(t *testing.T) {
	t.Parallel()
	s := vote(t, proposed(t, 2), plain(), "a", true)
	if _, err := s.Vote(plain(), "p", coordination.Ballot{Owner: "a"}); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("a different second vote: %v; want ErrConflict", err)
	}
	if _, err := s.Vote(plain(), "p", coordination.Ballot{Owner: "x"}); !errors.Is(err, backend.ErrNotOwner) {
		t.Errorf("a vote by no voter: %v; want ErrNotOwner", err)
	}
	if _, err := s.Vote(plain(), "q", coordination.Ballot{Owner: "a"}); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("on nothing: %v; want ErrNotFound", err)
	}
	if _, err := s.Propose(plain(), coordination.Proposal{ID: "q", Voters: []string{"a"}, Quorum: 1, TimeoutMs: 1}); !errors.Is(err, backend.ErrExists) {
		t.Errorf("a rival: %v; want ErrExists", err)
	}
	s = vote(t, s, plain(), "b", true)
	late := vote(t, s, plain(), "c", false)
	if diff := cmp.Diff(s, late); diff != "" {
		t.Errorf("a late vote has changed (-want +got):\n%s", diff)
	}
}

func TestSixteenProposalsStayReadable(t *testing.T) {
	t.Parallel()
	var s coordination.Proposals
	for i := range 20 {
		id := fmt.Sprint(i)
		s = must[coordination.Proposals](t)(s.Propose(plain(), coordination.Proposal{ID: id, Voters: []string{"a"}, Quorum: 1, TimeoutMs: 1}))
		s = s.Expire(plain(), id, coordination.ReasonTimeout)
	}
	for i := range 20 {
		p, ok := s.Find(fmt.Sprint(i))
		if want := i >= 3; ok != want || ok && p.Reason != coordination.ReasonTimeout {
			t.Errorf("proposal %d: %+v, %t", i, p, ok)
		}
	}
}

func TestLargeProposalsHaveRoomInARecord(t *testing.T) {
	t.Parallel()
	var s coordination.Proposals
	var voters []string
	for i := range coordination.MaxVoters {
		voters = append(voters, fmt.Sprintf("%026d", i))
	}
	for i := range 3 {
		id := fmt.Sprint(i)
		s = must[coordination.Proposals](t)(s.Propose(plain(), coordination.Proposal{
			ID: id, Voters: voters, Quorum: len(voters), TimeoutMs: 1, Value: []byte(`"` + strings.Repeat("x", coordination.MaxValue-2) + `"`),
		}))
		for _, v := range voters {
			s = must[coordination.Proposals](t)(s.Vote(plain(), id, coordination.Ballot{Owner: v, Accept: true, Reason: strings.Repeat("r", backend.MaxReason)}))
		}
		text, err := json.Marshal(s)
		if err != nil || len(text) > coordination.MaxRecord || s.Latest.State != coordination.Committed {
			t.Fatalf("%d bytes, %s, %v", len(text), s.Latest.State, err)
		}
	}
}

func TestATokensTextHasAFixedWidthAndItsOrder(t *testing.T) {
	t.Parallel()
	tokens := []coordination.Token{{}, {Counter: 9}, {Counter: 10}, {Epoch: 1}, {Epoch: 9, Counter: 1 << 63}, {Epoch: 1 << 31}}
	for i, token := range tokens {
		parsed, err := coordination.ParseToken(token.String())
		if err != nil || parsed != token || len(token.String()) != 25 {
			t.Errorf("%v is read as %v, %v", token, parsed, err)
		}
		if i > 0 && (token.Compare(tokens[i-1]) <= 0 || token.String() <= tokens[i-1].String()) {
			t.Errorf("%v is not above %v", token, tokens[i-1])
		}
	}
	for _, text := range []string{"", "00000001-000000000000000A", "1-2", "00000001-+00000000000000a", "00000001_000000000000000a"} {
		if _, err := coordination.ParseToken(text); !errors.Is(err, backend.ErrInvalid) {
			t.Errorf("ParseToken(%q) = %v; want ErrInvalid", text, err)
		}
	}
}
