package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
)

// keeperSlack is what a busy machine may add to a bound.
const keeperSlack = 2 * time.Second

// three runs three candidates on a NATS server, and awaits the first keeper.
func three(t *testing.T, srv *natstest.Server) (watchers, *candidate) {
	t.Helper()
	var all watchers
	for i := range 3 {
		all = append(all, stand(t, srv.Connect(t), fmt.Sprint("n", i), fmt.Sprint("place ", i), 1))
	}
	first, _ := all.await(t)
	for _, c := range all {
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return all, first
}

func TestAnotherNodeTakesOverFromAKilledKeeper(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	l := lookOut(t, srv.Connect(t))
	all, first := three(t, srv)
	l.await(t, "anything", anyBeacon)
	first.kill()
	next, took := all.without(first).await(t)
	if took > keeper.Validity+keeperSlack {
		t.Errorf("the take-over took %v; want at most %v", took, keeper.Validity)
	}
	t.Logf("take-over after a kill: %v", took)
	l.await(t, "the next keeper", func(b bus.Beacon) bool { return b.Keeper.Node == next.name })
	all.verdict(t)
	l.verdict(t)
}

func TestAKeeperThatStopsInOrderHandsOverWithinAMoment(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	l := lookOut(t, srv.Connect(t))
	all, first := three(t, srv)
	begin := time.Now()
	first.end()
	all.without(first).await(t)
	took := time.Since(begin)
	if took > keeperSlack {
		t.Errorf("the hand-over took %v; want a moment", took)
	}
	t.Logf("hand-over: %v", took)
	all.verdict(t)
	l.verdict(t)
}

func TestASingleNodeThatIsKilledIsTheKeeperAgainAtOnce(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	first := stand(t, srv.Connect(t), "single", "its directory", 1)
	watchers{first}.await(t)
	first.kill()
	begin := time.Now()
	second := stand(t, srv.Connect(t), "single", "its directory", 1)
	watchers{second}.await(t)
	took := time.Since(begin)
	if took > keeperSlack {
		t.Errorf("the restart took %v; want a moment", took)
	}
	if tenure, _ := second.Tenure(); tenure.Term != 2 {
		t.Errorf("term = %d; want 2", tenure.Term)
	}
	t.Logf("keeper after a restart: %v", took)
}

// TestARestartOfNATSNeverMakesTwoKeepers: the same keeper goes on, or a new term begins.
func TestARestartOfNATSNeverMakesTwoKeepers(t *testing.T) {
	for name, outage := range map[string]time.Duration{"Short": 0, "LongerThanATenure": keeper.Validity + time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			l := lookOut(t, srv.Connect(t))
			all, _ := three(t, srv)
			before := l.await(t, "anything", anyBeacon)
			srv.Stop()
			<-time.After(outage)
			if outage > keeper.Validity {
				for _, c := range all {
					if c.Serving() {
						t.Errorf("%s is entitled after an outage of %v", c.name, outage)
					}
				}
			}
			srv.Restart(t)
			begin := time.Now()
			_, took := all.await(t)
			t.Logf("keeper after NATS was back: %v (looked %v)", took, time.Since(begin))
			after := l.await(t, "another feed", func(b bus.Beacon) bool { return b.Feed != before.Feed })
			if outage > keeper.Validity && after.Keeper.Term == before.Keeper.Term {
				t.Errorf("term %d went on after an outage of %v", after.Keeper.Term, outage)
			}
			all.verdict(t)
			l.verdict(t)
		})
	}
}

func TestAKeeperThatIsCutFromNATSIsReplacedAndDoesNotComeBackByItself(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.Listen)
	l := lookOut(t, srv.Connect(t))
	link := natstest.Through(t, srv.URL())
	nc, err := nats.Connect(link.URL(), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(50*time.Millisecond), nats.PingInterval(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	first := stand(t, nc, "cut", "", 1)
	watchers{first}.await(t)
	all := watchers{first}
	for i := range 2 {
		all = append(all, stand(t, srv.Connect(t), fmt.Sprint("n", i), "", 1))
	}
	for _, c := range all[1:] {
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	link.Cut(t)
	next, took := all[1:].await(t)
	if took > keeper.Validity+keeperSlack {
		t.Errorf("the take-over took %v; want at most %v", took, keeper.Validity)
	}
	t.Logf("take-over after a cut: %v", took)
	if _, known := first.Current(); known {
		t.Error("the one that was cut off claims to know a keeper")
	}
	link.Heal(t)
	natstest.Await(t, "the one that was cut off to know its successor", func() bool {
		who, ok := first.Current()
		return ok && who.Node == next.name
	})
	all.verdict(t)
	l.verdict(t)
}

// TestAFenceHoldsOnNATS: a batch behind the fence of a keeper that was replaced does
// nothing at all.
func TestAFenceHoldsOnNATS(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	all, first := three(t, srv)
	store := openStore(t, srv.Connect(t), keeperBucket("test", 1))
	revision, err := store.Write(t.Context(), kvstore.Write{Key: "lease.x", Value: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	var late []kvstore.Write
	err = first.Fenced(t.Context(), func(ctx context.Context, fence kvstore.Write, _ uint64) (uint64, error) {
		late = []kvstore.Write{fence, {Key: "lease.x", Expect: revision + 1, Value: []byte("late")}}
		revisions, err := store.Batch(ctx, []kvstore.Write{fence, {Key: "lease.x", Expect: revision, Value: []byte("1")}})
		if err != nil {
			return 0, err
		}
		late[1].Expect = revisions[1]
		return revisions[0], nil
	})
	if err != nil {
		t.Fatalf("Fenced() = %v", err)
	}
	if !first.Serving() {
		t.Error("the keeper lost its tenure by a fenced batch")
	}
	first.kill()
	all.without(first).await(t)
	if _, err := store.Batch(t.Context(), late); !errors.Is(err, kvstore.ErrConflict) {
		t.Errorf("the batch of the keeper that was replaced = %v; want ErrConflict", err)
	}
	if e, err := store.Get(t.Context(), "lease.x"); err != nil || string(e.Value) != "1" {
		t.Errorf("the lease = %q, %v; want it untouched", e.Value, err)
	}
}

func TestTheKeeperOfAReplicatedBucketSurvivesItsStreamLeader(t *testing.T) {
	if testing.Short() {
		t.Skip("short: three nodes")
	}
	t.Parallel()
	cluster := natstest.StartCluster(t, 3)
	l := lookOut(t, cluster.Connect(t, nil))
	var all watchers
	for i := range 3 {
		all = append(all, stand(t, cluster.Connect(t, nil), fmt.Sprint("n", i), "", 3))
	}
	first, _ := all.await(t)
	for range 2 {
		before := l.await(t, "anything", anyBeacon)
		leader := cluster.StreamLeader(t, "KV_e2e_v1")
		leader.Stop()
		begin := time.Now()
		l.await(t, "another feed", func(b bus.Beacon) bool { return b.Feed != before.Feed })
		t.Logf("another feed %v after the stream leader's stop", time.Since(begin))
		leader.Restart(t)
		cluster.AwaitHealthy(t)
	}
	first.kill()
	_, took := all.without(first).await(t)
	t.Logf("take-over on three nodes: %v", took)
	all.verdict(t)
	l.verdict(t)
}
