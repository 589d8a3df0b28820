package e2e_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/e2e/natstest"
)

// maxKills is how many leaders may be killed before one of them has to have lost events.
const maxKills = 15

// R7: the server that leads the stream of the bucket is killed under load, again and
// again, until changes were committed that nobody was told of. Followers on a server that
// lives, whose connections stay, are exact again at the next feed, and by nothing else:
// every key changes once while they follow, so that no later event shows a gap, and their
// five minutes are never over.
func TestFollowersAreExactAtTheNextFeedAfterAKilledStreamLeaderLostEvents(t *testing.T) {
	if testing.Short() {
		t.Skip("short: leaders of three processes are killed until one loses events")
	}
	t.Parallel()
	servers := natstest.StartProcesses(t, 3)
	nc := servers.Steady.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "JetStream", func() bool {
		_, err := js.AccountInfo(t.Context())
		return err == nil
	})
	for _, name := range []string{"n0", "n1"} {
		startWhole(t, keeperPrefix, name, to(t, servers.Steady))
	}
	stream := "KV_" + bucketOf(t, keeperPrefix)
	registrations, removals := 0, 0
	for kill := 1; registrations == 0 || removals == 0; kill++ {
		if kill > maxKills {
			t.Fatalf("%d registrations and %d removals were lost by %d kills; want some of both", registrations, removals, maxKills)
		}
		a := follows(t, servers.Steady, kill)
		leader := servers.Leader(t, js, stream) // its replicas are current, those before it killed too
		byFeed := false                         // what was lost is made up for
		a.load(t, func() {
			killed := time.Now()
			leader.Kill()
			byFeed = a.newFeed(t)
			t.Logf("kill %d: another feed %v after it", kill, time.Since(killed).Round(time.Millisecond))
			leader.Start(t)
		})
		a.exact(t)
		registered, removed := a.lost(t)
		if byFeed {
			registrations, removals = registrations+registered, removals+removed
		}
		a.stop()
	}
	t.Logf("lost and made up for: %d registrations, %d removals", registrations, removals)
}
