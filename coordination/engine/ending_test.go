package engine_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/coordination/engine"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

func TestAllThatAnEndedOwnerHoldsIsPassedOnAtOnceAndAFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 500
		store := memkv.New()
		n := start(t, store, "one").keep(1)
		grant(t, store, "a")
		for i := range many {
			name := engine.Name{Namespace: "default", Name: fmt.Sprint("x", i)}
			if _, _, err := n.Locks.Acquire(t.Context(), name, party("a"), coordination.Exclusive, 0, as("a")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second) // until the keeper knows that it is
		n.store.delay.Store(int64(5 * time.Millisecond))
		wrote := n.store.wrote.Load()
		end(t, store, "a")
		took := eventually(t, "record that names the ended owner", func() bool { return n.Owned("a") == 0 })
		// 500 writes of 10 ms each, 32 at a time
		if took < 150*time.Millisecond || took > 250*time.Millisecond {
			t.Errorf("that took %v; want about 160ms", took)
		}
		if got := n.store.wrote.Load() - wrote; got != many {
			t.Errorf("%d writes; want %d", got, many)
		}
	})
}

// What a node that lags behind has written for an owner whose lease has ended is void, and is
// taken out.
func TestWhatIsWrittenUnderAnEndedLeaseIsTakenOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one").keep(1)
		grant(t, store, "a")
		time.Sleep(time.Second)
		end(t, store, "a")
		void, err := coordination.Lock{}.Acquire(
			&coordination.Turn{Epoch: 1, Floor: 9, Ended: func(string) bool { return false }},
			party("a"), coordination.Exclusive, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kvstore.CellAt[coordination.Lock](store, "announce.lock.default.x").Set(t.Context(), void, 0, kvstore.Labels{}); err != nil {
			t.Fatal(err)
		}
		if o, _, err := n.Locks.Get(t.Context(), object, backend.Read{Consistency: backend.Linearizable}); err != nil || len(o.Record.Holders) != 0 {
			t.Errorf("shown: %+v, %v; want nobody to hold it", o.Record, err)
		}
		eventually(t, "record without an ended owner", func() bool { l := stored(t, store); return l.Idle() })
	})
}

func TestWhatIsNoRecordIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one").keep(1)
		grant(t, store, "a")
		at, err := store.Write(t.Context(), kvstore.Write{Key: "announce.lock.default.x", Value: []byte("{")})
		if err != nil {
			t.Fatal(err)
		}
		token, err := n.try("a")
		if err != nil || token.Counter <= at {
			t.Errorf("%v, %v; want a token above the revision %d", token, err, at)
		}
	})
}

func TestAnEngineRunsOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, memkv.New(), "one")
		if err := n.Run(t.Context()); err == nil {
			t.Error("it runs twice")
		}
	})
}

// C7: a voter whose lease a node has not heard of yet has not refused; one without a lease has.
func TestAVoterHasRefusedOnlyIfItCertainlyHasNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		behind := start(t, store, "behind")
		grant(t, store, "p")
		behind.store.lag.Store(int64(100 * time.Millisecond))
		grant(t, store, "v")
		for voter, want := range map[string]coordination.Decision{"v": coordination.Voting, "nobody": coordination.Aborted} {
			name := engine.Name{Namespace: "default", Name: voter}
			p, _, err := behind.Proposals.Propose(t.Context(), name, coordination.Proposal{
				Proposer: "p", Voters: []string{voter}, Quorum: 1, TimeoutMs: 1000,
			}, as("p"))
			if err != nil || p.State != want {
				t.Errorf("a proposal to %s: %s, %v; want %s", voter, p.State, err, want)
			}
		}
	})
}
