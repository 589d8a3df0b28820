package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// C1: tokens grow across clean-up, whether the marker is remembered or forgotten, and across
// the loss of the store.
func TestTokensGrowAcrossCleanUpAndTheLossOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		nodes := []*node{start(t, store, "one").keep(1), start(t, store, "other")}
		grant(t, store, "a")
		var newest coordination.Token
		use := func(when string) {
			t.Helper()
			for _, n := range nodes {
				for range 3 {
					token, err := n.try("a")
					if err != nil || token.Compare(newest) <= 0 {
						t.Fatalf("%s: %v, %v; want one above %v", when, token, err, newest)
					}
					newest = token
					n.unlock(t, "a")
				}
			}
		}
		removed := func() bool {
			e, err := store.Get(context.Background(), "announce.lock.default.x")
			return errors.Is(err, kvstore.ErrNotFound) || e.Removed
		}
		use("at first")
		time.Sleep(59 * time.Minute)
		if removed() {
			t.Fatal("removed within an hour")
		}
		time.Sleep(3 * time.Minute)
		if !removed() {
			t.Fatal("not removed after an hour")
		}
		use("with the marker there")
		time.Sleep(63 * time.Minute)
		if !removed() {
			t.Fatal("not removed again")
		}
		time.Sleep(45 * time.Minute)
		if _, err := store.Get(t.Context(), "announce.lock.default.x"); !errors.Is(err, kvstore.ErrNotFound) {
			t.Fatalf("the marker: %v; want it forgotten", err)
		}
		use("with the marker forgotten")

		store.Reset()
		for _, n := range nodes {
			n.epochs.n.Store(2)
		}
		synctest.Wait()
		grant(t, store, "a")
		use("in a store made anew")
		store.Purge()
		synctest.Wait()
		grant(t, store, "a")
		use("after a purge")
	})
}

// A marker that the store has forgotten and this node remembers is no obstacle.
func TestAMarkerThatOnlyThisNodeRemembersIsNoObstacle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one").keep(1)
		grant(t, store, "a")
		before, err := n.try("a")
		if err != nil {
			t.Fatal(err)
		}
		n.unlock(t, "a")
		cell := kvstore.CellAt[coordination.Lock](store, "announce.lock.default.x")
		_, at, err := cell.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cell.Remove(t.Context(), at, time.Second, kvstore.Labels{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		after, err := n.try("a")
		if err != nil || after.Compare(before) <= 0 {
			t.Errorf("%v, %v; want one above %v", after, err, before)
		}
	})
}

func TestARecordInUseIsNotCleanedUpAndElectionsNeverAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one").keep(1)
		grant(t, store, "a")
		if _, err := n.try("a"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := n.Elections.Campaign(t.Context(), object, coordination.Candidate{Owner: "a"}, 0, as("a")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := n.Elections.Resign(t.Context(), object, "a", as("a")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		if l := stored(t, store); len(l.Holders) != 1 {
			t.Error("a lock that is held was removed")
		}
		e, _, err := n.Elections.Get(t.Context(), object, backend.Read{Consistency: backend.Linearizable})
		if err != nil || e.Record.Term != 1 {
			t.Errorf("the election: %+v, %v; want term 1", e.Record, err)
		}
	})
}

// A lost acknowledgement is found out, and what was asked for is done once.
func TestALostAcknowledgementEndsInWhatHasHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one").keep(1)
		grant(t, store, "a", "b")
		n.store.onWrite(func(kvstore.Write) { store.LoseAcknowledgements(1) })
		token, err := n.try("a")
		if err != nil {
			t.Fatal(err)
		}
		if l := stored(t, store); len(l.Holders) != 1 || l.Holders[0].Token != token {
			t.Errorf("%+v; want %v held", l, token)
		}
		store.LoseAcknowledgements(0) // the barrier before the release needs one
		arrival, _, err := n.Barriers.Arrive(t.Context(), object, party("a"), 1, 0, 0, as("a"))
		if want := (coordination.Arrival{Generation: 1, Released: true}); err != nil || arrival != want {
			t.Errorf("Arrive = %+v, %v; want %+v", arrival, err, want)
		}
	})
}

// Whoever has handed over does not lead any more, and may have no lease either: that is no
// reason to say that nothing was done.
func TestWhatMayHaveBeenDoneIsNotCalledRefused(t *testing.T) {
	for name, follows := range map[string]func(t *testing.T, store *memkv.Store, other *node){
		"not the leader any more": func(t *testing.T, _ *memkv.Store, other *node) {
			t.Helper()
			if _, _, err := other.Elections.Campaign(context.Background(), object, coordination.Candidate{Owner: "b", Priority: 1}, 0, as("b")); err != nil {
				t.Error(err)
			}
		},
		"without a lease": func(t *testing.T, store *memkv.Store, other *node) {
			t.Helper()
			if _, _, err := other.Elections.Campaign(context.Background(), object, coordination.Candidate{Owner: "b", Priority: 1}, 0, as("b")); err != nil {
				t.Error(err)
			}
			end(t, store, "a")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memkv.New()
				n, other := start(t, store, "one"), start(t, store, "other")
				grant(t, store, "a", "b")
				for _, owner := range []string{"a", "b"} {
					if _, _, err := n.Elections.Campaign(t.Context(), object, coordination.Candidate{Owner: owner}, 0, as(owner)); err != nil {
						t.Fatal(err)
					}
				}
				tries := 0
				n.store.onWrite(func(kvstore.Write) {
					if tries++; tries == 1 {
						store.LoseAcknowledgements(1)
					} else if tries == 2 {
						synctest.Wait()
						follows(t, store, other)
					}
				})
				_, _, err := n.Elections.Transfer(t.Context(), object, "a", "b", as("a"))
				if !errors.Is(err, backend.ErrUnknownOutcome) {
					t.Errorf("Transfer = %v; want ErrUnknownOutcome", err)
				}
				e, _, err := other.Elections.Get(t.Context(), object, backend.Read{Consistency: backend.Linearizable})
				if err != nil || e.Record.Leader == nil || e.Record.Leader.Owner != "b" || e.Record.Term != 2 {
					t.Errorf("the election: %+v, %v; want b lead in term 2", e.Record, err)
				}
			})
		})
	}
}

// What was done and superseded before that was known is not done again.
func TestWhatMayHaveBeenDoneIsNotDoneTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n, other := start(t, store, "one"), start(t, store, "other")
		grant(t, store, "a", "b")
		for _, owner := range []string{"a", "b"} {
			if _, _, err := n.Elections.Campaign(t.Context(), object, coordination.Candidate{Owner: owner}, 0, as(owner)); err != nil {
				t.Fatal(err)
			}
		}
		// The acknowledgement of the resignation is lost, and before it is asked for again the
		// same owner has come back: resigning once more would take it out.
		tries := 0
		n.store.onWrite(func(kvstore.Write) {
			if tries++; tries == 1 {
				store.LoseAcknowledgements(1)
			} else if tries == 2 {
				synctest.Wait()
				if _, _, err := other.Elections.Campaign(context.Background(), object, coordination.Candidate{Owner: "a"}, 0, as("a")); err != nil {
					t.Error(err)
				}
			}
		})
		_, _, err := n.Elections.Resign(t.Context(), object, "a", as("a"))
		if !errors.Is(err, backend.ErrUnknownOutcome) {
			t.Errorf("Resign = %v; want ErrUnknownOutcome", err)
		}
		e, _, err := other.Elections.Get(t.Context(), object, backend.Read{Consistency: backend.Linearizable})
		if err != nil || e.Record.Leader == nil || e.Record.Leader.Owner != "b" || len(e.Record.Candidates) != 1 {
			t.Errorf("afterwards %+v, %v; want b to lead and a to stand", e.Record, err)
		}
	})
}

func TestARepeatIsRecognisedByItsOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one").keep(1)
		grant(t, store, "a", "b", "c")
		by := backend.Write{Owner: "a", ID: backend.OperationID{1}}
		first, _, err := n.Barriers.Arrive(t.Context(), object, party("a"), 1, 0, 0, by)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := n.Barriers.Arrive(t.Context(), object, party("a"), 1, 0, 0, by)
		if err != nil || again != first {
			t.Errorf("a repeated arrival: %+v, %v; want %+v", again, err, first)
		}
		p := coordination.Proposal{Voters: []string{"b", "c"}, Quorum: 2, TimeoutMs: 60_000}
		one, _, err := n.Proposals.Propose(t.Context(), object, p, by)
		if err != nil {
			t.Fatal(err)
		}
		two, _, err := n.Proposals.Propose(t.Context(), object, p, by)
		if err != nil || two.ID != one.ID {
			t.Errorf("a repeated proposal: %v, %v; want %v", two.ID, err, one.ID)
		}
		sent := backend.Write{Owner: "a", ID: backend.OperationID{2}, Repeated: true, Known: 1, Epoch: 1}
		if _, _, err := n.Elections.Campaign(t.Context(), object, coordination.Candidate{Owner: "a"}, 0, as("a")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := n.Elections.Resign(t.Context(), object, "a", sent); !errors.Is(err, backend.ErrConflict) {
			t.Errorf("a resignation that may have been done and superseded: %v; want ErrConflict", err)
		}
	})
}

func TestNothingIsWrittenWhereNothingChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one").keep(1)
		grant(t, store, "a", "b")
		if _, err := n.try("a"); err != nil {
			t.Fatal(err)
		}
		wrote := n.store.wrote.Load()
		if _, err := n.try("a"); err != nil {
			t.Error(err)
		}
		if _, err := n.try("b"); !errors.Is(err, backend.ErrTimeout) {
			t.Error(err)
		}
		n.unlock(t, "b")
		other := engine.Name{Namespace: "default", Name: "y"}
		if _, _, err := n.Locks.Release(t.Context(), other, party("a"), as("a")); err != nil {
			t.Error(err)
		}
		if got := n.store.wrote.Load() - wrote; got != 0 {
			t.Errorf("%d writes", got)
		}
	})
}

// A refusal by a node whose feed is late is that of what is there.
func TestARefusalIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n, behind := start(t, store, "one"), start(t, store, "behind")
		grant(t, store, "a", "b")
		if _, err := n.try("a"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		behind.store.lag.Store(int64(100 * time.Millisecond))
		n.unlock(t, "a")
		if _, err := behind.try("b"); err != nil {
			t.Errorf("a lock that was released: %v", err)
		}
		grant(t, store, "c")
		if _, err := behind.lock("c", 10*time.Second); !errors.Is(err, backend.ErrTimeout) {
			t.Errorf("with a lease that this node has not heard of: %v; want ErrTimeout", err)
		}
		if _, err := behind.try("nobody"); !errors.Is(err, backend.ErrLeaseExpired) {
			t.Errorf("without a lease: %v; want ErrLeaseExpired", err)
		}
	})
}

// An owner whose lease a node has not heard of yet has not ended.
func TestALateNodeTakesNobodyForEndedWhoseGrantItHasNotSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n, behind := start(t, store, "one"), start(t, store, "behind")
		grant(t, store, "a")
		if _, err := n.try("a"); err != nil {
			t.Fatal(err)
		}
		n.unlock(t, "a")
		synctest.Wait()
		behind.store.freeze() // at a lock that nobody holds
		grant(t, store, "new")
		if _, err := n.try("new"); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Second)
			behind.store.thaw()
		}()
		if _, err := behind.try("a"); !errors.Is(err, backend.ErrTimeout) {
			t.Errorf("%v; want ErrTimeout", err)
		}
		if l := stored(t, store); len(l.Holders) != 1 || l.Holders[0].Owner != "new" {
			t.Errorf("held by %v; want the new one", l.Holders)
		}
	})
}

// C6: readers show nothing of an owner from its end on, whether the keeper has come to it or
// not.
func TestReadersShowNothingOfAnOwnerFromItsEndOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one") // nobody is the keeper
		grant(t, store, "a", "b")
		if _, err := n.try("a"); err != nil {
			t.Fatal(err)
		}
		for _, owner := range []string{"a", "b"} {
			if _, _, err := n.Elections.Campaign(t.Context(), object, coordination.Candidate{Owner: owner}, 0, as(owner)); err != nil {
				t.Fatal(err)
			}
		}
		at := end(t, store, "a")
		l, stamp, err := n.Locks.Get(t.Context(), object, backend.Read{MinRevision: backend.Revision(at)})
		if err != nil || len(l.Record.Holders) != 0 || stamp.Revision < backend.Revision(at) {
			t.Errorf("the lock: %+v at %d, %v; want nobody to hold it", l.Record, stamp.Revision, err)
		}
		e, _, err := n.Elections.Get(t.Context(), object, backend.Read{Consistency: backend.Linearizable})
		if err != nil || e.Record.Leader != nil || len(e.Record.Candidates) != 1 {
			t.Errorf("the election: %+v, %v; want b to stand alone", e.Record, err)
		}
		if got := n.Owned("a"); got != 2 {
			t.Errorf("Owned = %d; want 2", got)
		}
		n.keep(1) // and what the tenure before has left is gone on with
		eventually(t, "election that b leads", func() bool {
			e, _, err := n.Elections.Get(t.Context(), object, backend.Read{})
			return err == nil && e.Record.Leader != nil && e.Record.Leader.Owner == "b" && e.Record.Term == 2
		})
		if got := n.Owned("a"); got != 0 {
			t.Errorf("Owned = %d; want 0", got)
		}
	})
}

func TestALeaderWhoseLeaseEndsIsFollowedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		start(t, store, "one").keep(1)
		n := start(t, store, "other")
		time.Sleep(time.Second) // until the keeper knows that it is
		grant(t, store, "a", "b")
		if s, _, err := n.Elections.Campaign(t.Context(), object, coordination.Candidate{Owner: "a"}, 0, as("a")); err != nil || !s.Leads {
			t.Fatalf("%+v, %v", s, err)
		}
		led := make(chan time.Time, 1)
		go func() {
			s, _, err := n.Elections.Campaign(context.Background(), object, coordination.Candidate{Owner: "b", Value: []byte(`"v"`)}, time.Hour, as("b"))
			if err != nil || !s.Leads || s.Term != 2 || s.Leader == nil || string(s.Leader.Value) != `"v"` {
				t.Errorf("%+v, %v; want b to lead in term 2", s, err)
			}
			led <- time.Now()
		}()
		synctest.Wait()
		begin := time.Now()
		end(t, store, "a")
		if took := (<-led).Sub(begin); took > 10*time.Millisecond {
			t.Errorf("that took %v", took)
		}
	})
}

func TestARecordThatWouldBeTooLargeIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one")
		value := []byte(`"` + strings.Repeat("x", coordination.MaxValue-2) + `"`)
		var owners []string
		for i := range 70 {
			owners = append(owners, fmt.Sprint("o", i))
		}
		grant(t, store, owners...)
		for i, owner := range owners {
			_, _, err := n.Elections.Campaign(t.Context(), object, coordination.Candidate{Owner: owner, Value: value}, 0, as(owner))
			if i < 60 && err != nil {
				t.Fatalf("candidate %d: %v", i, err)
			}
			if i == 69 && !errors.Is(err, backend.ErrLimitExceeded) {
				t.Errorf("candidate %d: %v; want ErrLimitExceeded", i, err)
			}
		}
	})
}

// C7: the timeout is on the keeper's clock, afresh after a change of keeper.
func TestAProposalIsAbortedWhenItsTimeHasPassedOnOneKeepersClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		one, other := start(t, store, "one").keep(1), start(t, store, "other")
		grant(t, store, "p", "v1", "v2")
		propose := func() coordination.Proposal {
			t.Helper()
			p, _, err := other.Proposals.Propose(t.Context(), object, coordination.Proposal{
				Proposer: "p", Voters: []string{"v1", "v2"}, Quorum: 2, TimeoutMs: 10_000,
			}, as("p"))
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		state := func(id string) coordination.Decision {
			o, _, err := other.Proposals.Get(t.Context(), object, backend.Read{Consistency: backend.Linearizable})
			if err != nil {
				t.Fatal(err)
			}
			p, ok := o.Record.Find(id)
			if !ok {
				t.Fatalf("proposal %s is not remembered", id)
			}
			return p.State
		}
		p := propose()
		took := eventually(t, "end of the vote", func() bool { return state(p.ID) != coordination.Voting })
		if took < 9900*time.Millisecond || took > 11*time.Second || state(p.ID) != coordination.Aborted {
			t.Errorf("%s after %v; want aborted after 10s", state(p.ID), took)
		}
		p = propose()
		time.Sleep(8 * time.Second)
		one.keep(0)
		other.keep(2)
		time.Sleep(8 * time.Second)
		if got := state(p.ID); got != coordination.Voting {
			t.Errorf("%s 8s after a change of keeper; want voting", got)
		}
		if _, _, err := one.Proposals.Vote(t.Context(), object, p.ID, coordination.Ballot{Owner: "v1", Accept: true}, as("v1")); err != nil {
			t.Fatal(err)
		}
		end(t, store, "v1") // its vote counts
		voted, _, err := one.Proposals.Vote(t.Context(), object, p.ID, coordination.Ballot{Owner: "v2", Accept: true}, as("v2"))
		if err != nil || voted.State != coordination.Committed {
			t.Errorf("the last vote: %+v, %v; want committed", voted, err)
		}
		p = propose2(t, other)
		end(t, store, "v2")
		took = eventually(t, "end of the vote", func() bool { return state(p.ID) != coordination.Voting })
		if took > 10*time.Millisecond || state(p.ID) != coordination.Aborted {
			t.Errorf("%s %v after a voter's end; want aborted at once", state(p.ID), took)
		}
	})
}

func propose2(t *testing.T, n *node) coordination.Proposal {
	t.Helper()
	p, _, err := n.Proposals.Propose(t.Context(), object, coordination.Proposal{
		Proposer: "p", Voters: []string{"v2"}, Quorum: 1, TimeoutMs: 10_000,
	}, as("p"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// C8.
func TestABarrierReleasesAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		nodes := []*node{start(t, store, "one").keep(1), start(t, store, "other")}
		grant(t, store, "a", "b", "c")
		if a, _, err := nodes[0].Barriers.Arrive(t.Context(), object, party("a"), 3, 0, 0, as("a")); !errors.Is(err, backend.ErrTimeout) || a.Generation != 1 {
			t.Fatalf("without waiting: %+v, %v; want ErrTimeout", a, err)
		}
		if _, _, err := nodes[0].Barriers.Arrive(t.Context(), object, party("a"), 3, 0, time.Second, as("a")); !errors.Is(err, backend.ErrTimeout) {
			t.Fatalf("alone: %v; want ErrTimeout", err)
		}
		got := make(chan coordination.Arrival, 3)
		for i, owner := range []string{"a", "b", "c"} {
			go func() {
				arrival, _, err := nodes[i%2].Barriers.Arrive(context.Background(), object, party(owner), 3, 0, time.Hour, as(owner))
				if err != nil {
					t.Errorf("%s: %v", owner, err)
				}
				got <- arrival
			}()
			synctest.Wait()
		}
		for range 3 {
			if diff := cmp.Diff(coordination.Arrival{Generation: 1, Released: true}, <-got); diff != "" {
				t.Errorf("an arrival (-want +got):\n%s", diff)
			}
		}
		late, _, err := nodes[0].Barriers.Arrive(t.Context(), object, party("a"), 3, 1, 0, as("a"))
		if err != nil || !late.Released {
			t.Errorf("a repeat of what is over: %+v, %v", late, err)
		}
		o, _, err := nodes[1].Barriers.Get(t.Context(), object, backend.Read{Consistency: backend.Linearizable})
		if err != nil || o.Record.Done != 1 || len(o.Record.Parties) != 0 {
			t.Errorf("afterwards %+v, %v", o.Record, err)
		}
	})
}
