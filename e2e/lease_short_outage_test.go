package e2e_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// TestAnOutageOfNATSThatDoesNotCostTheTenureEndsNoLease restarts NATS faster than the
// keeper's tenure lapses, though not than leases do. L3, R4.
func TestAnOutageOfNATSThatDoesNotCostTheTenureEndsNoLease(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]time.Duration{"Brief": 1500 * time.Millisecond, "Longer": 2500 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t, listenAgain(t))
			url := srv.URL()
			nodesOn(t, 1, []string{url})
			l := lookOut(t, connect(t, url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond)))
			f := fleetAt(t, url, "few", 5, 5, client.LeaseOptions{TTL: time.Second})
			ends := hearRemovals(t, url, "few")
			f.valid(t)
			before := listed(t, f.clients[0], "few")

			srv.Stop()
			noSooner(outage)
			srv.Restart(t)
			l.await(t, "a keeper", anyBeacon)
			f.valid(t)
			noSooner(time.Second) // what wrongly was late would come now
			f.unharmed(t)
			ends.none(t)
			same(t, f.clients[0], "few", before)
			l.verdict(t)
		})
	}
}
