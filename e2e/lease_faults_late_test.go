package e2e_test

import (
	"testing"
	"time"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules/config"
)

// The connections of a node, in the order in which it makes them.
const (
	answeringLine = iota
	writingLine
)

// relayed starts the only node so far, which becomes the keeper, with a link that can be
// held up.
func relayed(t *testing.T, url string) *natstest.Relay {
	t.Helper()
	r := natstest.RelayTo(t, url)
	nodeAt(t, "late", func(c *config.Server) { c.URL, c.HoldShare = r.URL(), 1 })
	return r
}

// TestAVerdictThatArrivesAfterAnotherKeeperTookOverEndsNobody holds up the very message
// with which a keeper ends a lease, until that is kept alive with the next keeper. L3, R4.
func TestAVerdictThatArrivesAfterAnotherKeeperTookOverEndsNobody(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.Listen)
	url := srv.URL()
	late := relayed(t, url)
	l := lookOut(t, connect(t, url))
	first := l.await(t, "a keeper", anyBeacon)
	nodeAt(t, "next", func(c *config.Server) { c.URL, c.HoldShare = url, 1 })
	link := natstest.Through(t, url)
	f := fleetAt(t, link.URL(), "living", 1, 3, client.LeaseOptions{TTL: faultTTL})
	ends := hearRemovals(t, url, "living")
	looker, err := client.Connect(t.Context(), url, client.WithPrefix(keeperPrefix))
	if err != nil {
		t.Fatal(err)
	}
	defer looker.Close()
	before := listed(t, looker, "living")

	verdict := &late.Line(writingLine).Up
	held := verdict.HoldAt(t, "$KV."+bucketOf(t, keeperPrefix)+".lease.")
	link.Cut(t) // whoever is not heard is taken for dead, rightly
	arrives(t, "verdict", held)
	link.Heal(t)
	l.await(t, "another keeper", func(b bus.Beacon) bool { return b.Keeper.Node != first.Keeper.Node })
	f.valid(t)
	answers := hearAnswers(t, url, first.Keeper.Term)
	verdict.Release()
	for range 3 {
		l.await(t, "a keeper", anyBeacon)
	}
	answers()
	f.valid(t)
	f.unharmed(t)
	ends.none(t)
	same(t, looker, "living", before)
	f.work(t)
	l.verdict(t)
}

// TestAKeeperThatHearsNobodyEndsNobody holds up what comes to the connection on which the
// keeper hears of leases. It writes as ever, and stays the keeper. L3, R4.
func TestAKeeperThatHearsNobodyEndsNobody(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	srv := natstest.Start(t, natstest.Listen)
	url := srv.URL()
	deaf := relayed(t, url)
	l := lookOut(t, connect(t, url))
	f := fleetAt(t, url, "living", 2, 10, client.LeaseOptions{TTL: ttl})
	ends := hearRemovals(t, url, "living")
	before := listed(t, f.clients[0], "living")
	deaf.Line(answeringLine).Down.Hold(t)
	for range 5 { // one a second
		l.await(t, "a keeper", anyBeacon)
	}
	ends.none(t)
	deaf.Line(answeringLine).Down.Release()
	f.valid(t)
	f.unharmed(t)
	ends.none(t)
	same(t, f.clients[0], "living", before)
	l.verdict(t)
}
