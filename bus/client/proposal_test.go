package client

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// votes has a voter vote until the test ends.
func votes(t *testing.T, c *Client, lease *Lease, decide func(context.Context, Proposal) (bool, string, error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Voter{Lease: lease, Decide: decide}.Run(ctx, c) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v; want nil", err)
		}
	})
	synctest.Wait()
}

func accepts(context.Context, Proposal) (bool, string, error) { return true, "", nil }

func proposes(t *testing.T, s *Proposals, lease *Lease, voters ...*Lease) Proposal {
	t.Helper()
	var owners []string
	for _, v := range voters {
		owners = append(owners, v.Owner())
	}
	p, err := s.Propose(t.Context(), lease, json.RawMessage(`{"version":2}`), ProposeOptions{Voters: owners, Quorum: QuorumAll()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wantDecision(t *testing.T, s *Proposals, id string, want Decision) Proposal {
	t.Helper()
	p, err := s.Wait(t.Context(), id)
	if err != nil || p.Decision != want {
		t.Errorf("Wait = %v, %v; want %v", p.Decision, err, want)
	}
	return p
}

func TestVotersAnswerWhatNamesThemAndNothingElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newOffice(t)
		s := c.Proposals("default", "rollout")
		a, b, other := grant(t, c, ttl), grant(t, c, ttl), grant(t, c, ttl)
		before := proposes(t, s, a, a, b) // nobody is there yet
		votes(t, c, a, accepts)
		votes(t, c, b, func(_ context.Context, p Proposal) (bool, string, error) {
			return string(p.Value) == `{"version":2}`, "as asked", nil
		})
		votes(t, c, other, func(context.Context, Proposal) (bool, string, error) {
			t.Error("asked although it is none of the voters")
			return false, "", nil
		})
		p := wantDecision(t, s, before.ID, Committed)
		if len(p.Votes) != 2 || p.Votes[1].Reason != "as asked" {
			t.Errorf("got votes %+v", p.Votes)
		}
		wantDecision(t, s, proposes(t, s, other, b, a).ID, Committed)
	})
}

func TestAVoterVotesOnWhatItMissed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		s, a := c.Proposals("default", "rollout"), grant(t, c, ttl)
		votes(t, c, a, accepts)
		o.do(func() { o.silent = true })
		lost := proposes(t, s, a, a)
		o.become(nats.RECONNECTING)
		o.become(nats.CONNECTED)
		wantDecision(t, s, lost.ID, Committed)
		lost = proposes(t, s, a, a)
		o.beacon("another")
		wantDecision(t, s, lost.ID, Committed)
	})
}

func TestAVoterIsAskedAgainUntilItsVoteHasArrived(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		s, a := c.Proposals("default", "rollout"), grant(t, c, ttl)
		var asked atomic.Int32
		votes(t, c, a, func(context.Context, Proposal) (bool, string, error) {
			if asked.Add(1) == 1 {
				return false, "", errors.New("not now")
			}
			o.keeper.set(func() { o.away = true })
			time.AfterFunc(time.Minute, func() { o.keeper.set(func() { o.away = false }) })
			return false, "no", nil
		})
		p := proposes(t, s, a, a)
		time.Sleep(2 * time.Minute)
		if p := wantDecision(t, s, p.ID, Aborted); p.Reason == "" || p.Votes[0].Reason != "no" {
			t.Errorf("got %+v", p)
		}
	})
}

func TestADecisionThatCountsForNothingIsEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newOffice(t)
		s, a, b := c.Proposals("default", "rollout"), grant(t, c, ttl), grant(t, c, ttl)
		ended := make(chan time.Time, 1)
		votes(t, c, a, func(ctx context.Context, _ Proposal) (bool, string, error) {
			<-ctx.Done()
			ended <- time.Now()
			return true, "", nil
		})
		p := proposes(t, s, a, a, b)
		time.Sleep(time.Second)
		if _, err := s.Vote(t.Context(), b, p.ID, false, ""); err != nil {
			t.Fatal(err)
		}
		if at := <-ended; !at.Equal(time.Now()) {
			t.Errorf("ended at %v, not when it was decided", at)
		}
		if p := wantDecision(t, s, "", Aborted); len(p.Votes) != 1 {
			t.Errorf("got votes %+v; want the one that decided", p.Votes)
		}
	})
}

func TestAVoterEndsWithItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		a := grant(t, c, ttl)
		time.AfterFunc(time.Minute, func() { o.ends(a) })
		wantErr(t, Voter{Lease: a, Decide: accepts}.Run(t.Context(), c), ErrLeaseExpired)
	})
}

func TestNobodyWaitsForAProposalThatIsNotThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newOffice(t)
		_, err := c.Proposals("default", "rollout").Wait(t.Context(), "never")
		wantErr(t, err, ErrNotFound)
	})
}
