package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/e2e/natstest"
)

// faultTTL is that of the leases in these tests: long enough for a busy machine to keep
// them alive, much shorter than the faults.
const faultTTL = 3 * time.Second

// endSlack is what a test allows a busy machine beyond the promised end of a lease.
const endSlack = 10 * time.Second

// keeperFault is something that happens to the node that is the keeper, and its end.
type keeperFault struct {
	name         string
	happen, mend func(t *testing.T, n *serverProcess)
}

// keeperFaults are those that make another node the keeper; the first two are the ones
// after which it comes back and knows nothing.
func keeperFaults() []keeperFault {
	return []keeperFault{
		{
			"StoppedAndWakes",
			func(t *testing.T, n *serverProcess) { n.signal(t, syscall.SIGSTOP) },
			func(t *testing.T, n *serverProcess) { n.signal(t, syscall.SIGCONT) },
		},
		cutOff(),
		{
			"Killed",
			func(t *testing.T, n *serverProcess) { n.signal(t, syscall.SIGKILL) },
			func(*testing.T, *serverProcess) {},
		},
		{"Deafened", onLinks((*natstest.Proxy).Deafen), onLinks((*natstest.Proxy).Heal)},
		{
			"Disconnected",
			onLinks(func(l *natstest.Proxy, _ testing.TB) { l.Break() }),
			onLinks((*natstest.Proxy).Mend),
		},
	}
}

func cutOff() keeperFault {
	return keeperFault{"CutOff", onLinks((*natstest.Proxy).Cut), onLinks((*natstest.Proxy).Heal)}
}

// onLinks does something to every link of a node.
func onLinks(do func(l *natstest.Proxy, tb testing.TB)) func(*testing.T, *serverProcess) {
	return func(t *testing.T, n *serverProcess) {
		for _, l := range n.links {
			do(l, t)
		}
	}
}

// TestNoLiveLeaseEndsWhateverHappensToTheKeeper has something happen to the keeper of three
// nodes on one NATS server, and to a client at the same time. L1, L3, R3, R4.
func TestNoLiveLeaseEndsWhateverHappensToTheKeeper(t *testing.T) {
	t.Parallel()
	faults := keeperFaults()
	if testing.Short() {
		faults = faults[:2]
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t, natstest.Listen)
			url := srv.URL()
			passesOn(t, nodesOn(t, 3, []string{url}), url, f)
		})
	}
}

// TestNoLiveLeaseEndsWhateverHappensToTheKeeperOfACluster is the same where three NATS
// servers keep the bucket.
func TestNoLiveLeaseEndsWhateverHappensToTheKeeperOfACluster(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute; `make e2e` runs it")
	}
	for _, f := range keeperFaults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			var urls []string
			for _, srv := range natstest.StartCluster(t, 3).Nodes {
				urls = append(urls, srv.URL())
			}
			passesOn(t, nodesOn(t, 3, urls), strings.Join(urls, ","), f)
		})
	}
}

// passesOn has f happen to the keeper among nodes on the NATS at url, and makes sure that its work passes
// on: the dead end, the living do not.
func passesOn(t *testing.T, nodes []*serverProcess, url string, f keeperFault) {
	t.Helper()
	l := lookOut(t, connect(t, url, nats.MaxReconnects(-1)))
	living := fleetAt(t, url, "living", 4, 20, client.LeaseOptions{TTL: faultTTL})
	dead := fleetAt(t, url, "dead", 1, 1, client.LeaseOptions{TTL: faultTTL})
	alive, gone := hearRemovals(t, url, "living"), hearRemovals(t, url, "dead")
	before := listed(t, living.clients[0], "living")
	first := l.await(t, "a keeper", anyBeacon)
	stricken := nodes[slices.IndexFunc(nodes, func(n *serverProcess) bool { return n.name == first.Keeper.Node })]

	f.happen(t, stricken)
	died, until := dead.die()
	l.await(t, "another keeper", func(b bus.Beacon) bool { return b.Keeper.Node != stricken.name })
	end := gone.await(t, "m-0")
	if end.at.Before(until) {
		t.Errorf("the dead one's lease ended %v before it might", until.Sub(end.at))
	}
	// The next keeper serves within twice Validity, and its clocks run longer by one.
	if took := end.at.Sub(died); took > faultTTL+3*keeper.Validity+endSlack {
		t.Errorf("the dead one's lease ended after %v", took)
	}
	for range 10 { // any node answers
		if all := listed(t, living.clients[0], "dead"); len(all) != 0 {
			t.Errorf("after the end of its lease %v is still listed", all)
		}
	}
	late := hearAnswers(t, url, first.Keeper.Term)
	f.mend(t, stricken)
	for range 4 { // one a second, and none of an earlier term: see the verdict on them
		l.await(t, "a keeper", anyBeacon)
	}
	late()
	living.valid(t)
	living.unharmed(t)
	alive.none(t)
	same(t, living.clients[0], "living", before)
	l.verdict(t)
}

// hearAnswers listens for what the keeper of a term answers to anybody about leases. The
// returned function complains of it.
func hearAnswers(t *testing.T, url string, term uint64) (complain func()) {
	t.Helper()
	nc := connect(t, url)
	var mu sync.Mutex
	var answers []string
	_, err := nc.Subscribe("_INBOX.>", func(m *nats.Msg) {
		var reply struct{ Term uint64 }
		if json.Unmarshal(m.Data, &reply) == nil && reply.Term == term {
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, fmt.Sprintf("%s to %s", m.Data, m.Subject))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if len(answers) > 0 {
			t.Errorf("the keeper of term %d, which was over, answered %d times, with %s", term, len(answers), answers[0])
		}
	}
}

// TestNoLiveLeaseEndsWhenTheKeeperIsCutOffAsTheStreamLeaderDies kills the NATS server that
// leads the bucket's stream, while the keeper is cut off from all of them. L3, R4.
func TestNoLiveLeaseEndsWhenTheKeeperIsCutOffAsTheStreamLeaderDies(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs three NATS servers in processes of their own; `make e2e` runs it")
	}
	servers := natstest.StartProcesses(t, 3)
	url := servers.Steady.URL()
	js := streams(t, url)
	natstest.Await(t, "JetStream", func() bool {
		_, err := js.AccountInfo(t.Context())
		return err == nil
	})
	nodes := nodesOn(t, 3, []string{url, url, url}) // as many links as the bucket has replicas
	cut := cutOff()
	var leader *natstest.Process
	passesOn(t, nodes, url, keeperFault{
		happen: func(t *testing.T, n *serverProcess) {
			leader = servers.Leader(t, js, "KV_"+bucketOf(t, keeperPrefix))
			cut.happen(t, n)
			leader.Kill()
		},
		mend: func(t *testing.T, n *serverProcess) {
			cut.mend(t, n)
			leader.Start(t)
		},
	})
}
