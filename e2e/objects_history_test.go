package e2e_test

import (
	"testing"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/e2e/natstest"
)

// The tests of this file are of C1 (tokens grow), C2 (one leader a term) and C4 (mutual
// exclusion in the record), of counters, and of R1: what clients were answered is what one
// lock, semaphore, election, counter and registration behind each name would have answered
// them, one request after the other, and of leases that end when they may.

func TestTheHistoryOfObjectsOfOneNodeIsThatOfOneObjectEach(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, listenAgain(t))
	p := stage(t, 1, []string{srv.URL()})
	for range rounds(5) - 1 {
		p.answered(t, 150)
		p.kill(t, p.troupes[0])
		p.stop(t, p.troupes[1])
		p.cut(t, p.troupes[2])
		p.answered(t, 100)
		srv.Stop()
		srv.Restart(t)
		p.answered(t, 100)
		p.restartNode(t, 0)
	}
	p.curtain(t)
}

func TestTheHistoryOfObjectsOfThreeNodesOnAClusterIsThatOfOneObjectEach(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("three servers elect leaders for half a minute; `make e2e` runs it")
	}
	subjects, err := bus.NewSubjects(keeperPrefix)
	if err != nil {
		t.Fatal(err)
	}
	cluster := natstest.StartCluster(t, 3)
	var urls []string
	for _, srv := range cluster.Nodes {
		urls = append(urls, srv.URL())
	}
	p := stage(t, 3, urls)
	for n := range 3 {
		p.answered(t, 150)
		p.kill(t, p.troupes[n%dramaTroupes])
		p.stop(t, p.troupes[(n+1)%dramaTroupes])
		p.cut(t, p.troupes[(n+2)%dramaTroupes])
		p.answered(t, 100)
		leader := cluster.StreamLeader(t, "KV_"+subjects.Bucket())
		leader.Stop()
		p.answered(t, 100)
		leader.Restart(t)
		cluster.AwaitHealthy(t)
		p.restartNode(t, n)
		p.answered(t, 100)
		p.suffers(t, (n+1)%len(p.nodes), keeperFaults()[n%2]) // stopped and woken, or cut off
	}
	p.curtain(t)
}
