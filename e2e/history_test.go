package e2e_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/e2e/natstest"
)

// The tests of this file are of R1, R2 and R5: what clients are answered is what one
// registration behind each key would have answered them, one request after the other.

func TestTheHistoryOfOneNodeIsLinearizable(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	underLoad(t, startRegistry(t, srv, "").prefix, to(t, srv), func(*trial) {})
}

func TestTheHistoryOfOneNodeIsLinearizableAcrossRestartsOfNATS(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	underLoad(t, startRegistry(t, srv, "").prefix, to(t, srv), func(l *trial) {
		for range rounds(8) {
			l.answered(t, 100)
			srv.Stop()
			srv.Restart(t)
		}
		l.answered(t, 100)
	})
}

func TestTheHistoryOfThreeNodesIsLinearizableAcrossRestartsOfNodesAndNATS(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	first := startRegistry(t, srv, "")
	nodes := []*registry{first, startRegistry(t, srv, first.prefix), startRegistry(t, srv, first.prefix)}
	underLoad(t, first.prefix, to(t, srv), func(l *trial) {
		for n := range rounds(8) {
			l.answered(t, 100)
			i := n % len(nodes)
			nodes[i].stop()
			l.answered(t, 50)
			srv.Stop()
			srv.Restart(t)
			nodes[i] = startRegistry(t, srv, first.prefix)
		}
		l.answered(t, 100)
	})
}

func TestTheHistoryOfACompleteClusterIsLinearizableAcrossLossesOfTheStreamLeader(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("three servers elect leaders for half a minute")
	}
	const prefix = "roost.history"
	subjects, err := bus.NewSubjects(prefix)
	if err != nil {
		t.Fatal(err)
	}
	cluster := natstest.StartCluster(t, 3)
	for range cluster.Nodes {
		startReplicated(t, cluster, prefix)
	}
	underLoad(t, prefix, func() *nats.Conn { return cluster.Connect(t, nil) }, func(l *trial) {
		for range 4 {
			l.answered(t, 200)
			leader := cluster.StreamLeader(t, "KV_"+subjects.Bucket())
			leader.Stop()
			l.answered(t, 100)
			leader.Restart(t)
			cluster.AwaitHealthy(t)
		}
		l.answered(t, 200)
	})
}
