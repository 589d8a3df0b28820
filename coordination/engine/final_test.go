package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/kvstore/memkv"
)

// C8: a generation that was released cannot be taken back when the node that released it
// hears of an end that had come before.
func TestANodeThatIsLateReleasesNoGenerationWithOneWhoseLeaseHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n, behind := start(t, store, "one"), start(t, store, "behind")
		grant(t, store, "a", "b", "c")
		arrive := func(n *node, owner string, wait time.Duration) error {
			_, _, err := n.Barriers.Arrive(context.Background(), object, party(owner), 2, 0, wait, as(owner))
			return err
		}
		first := make(chan error)
		go func() { first <- arrive(n, "a", time.Hour) }()
		synctest.Wait()
		thaws := func() {
			time.Sleep(time.Second)
			behind.store.thaw()
		}

		behind.store.freeze()
		end(t, store, "a")
		if err := <-first; !errors.Is(err, backend.ErrLeaseExpired) {
			t.Fatalf("whose lease has ended: %v", err)
		}
		go thaws()
		if err := arrive(behind, "b", 2*time.Second); !errors.Is(err, backend.ErrTimeout) {
			t.Errorf("who comes after one whose lease has ended: %v; want ErrTimeout", err)
		}

		go func() { first <- arrive(n, "b", time.Hour) }()
		synctest.Wait()
		behind.store.freeze()
		end(t, store, "c")
		go thaws()
		if err := arrive(behind, "c", 0); !errors.Is(err, backend.ErrLeaseExpired) {
			t.Errorf("who comes after its lease has ended: %v; want ErrLeaseExpired", err)
		}
		grant(t, store, "d")
		if err := arrive(n, "d", 0); err != nil {
			t.Error(err)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

// C7: a vote counts for ever.
func TestANodeThatIsLateCountsNoVoteOfOneWhoseLeaseHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n, behind := start(t, store, "one"), start(t, store, "behind")
		grant(t, store, "p", "v1", "v2")
		p, _, err := n.Proposals.Propose(t.Context(), object, coordination.Proposal{
			Proposer: "p", Voters: []string{"v1", "v2"}, Quorum: 1, TimeoutMs: 10_000,
		}, as("p"))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		behind.store.freeze()
		end(t, store, "v1")
		go func() {
			time.Sleep(time.Second)
			behind.store.thaw()
		}()
		vote := func(owner string) (coordination.Proposal, error) {
			got, _, err := behind.Proposals.Vote(t.Context(), object, p.ID, coordination.Ballot{Owner: owner, Accept: true}, as(owner))
			return got, err
		}
		if got, err := vote("v1"); !errors.Is(err, backend.ErrLeaseExpired) {
			t.Errorf("the vote of one whose lease has ended: %v, %+v; want ErrLeaseExpired", err, got)
		}
		if got, err := vote("v2"); err != nil || len(got.Votes) != 1 {
			t.Errorf("the vote of one who lives: %v, %+v; want it to be the only one", err, got)
		}
	})
}
