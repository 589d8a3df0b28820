package e2e_test

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/modules/config"
)

const (
	manyPrograms = 500
	manyClients  = 20
)

// streams is JetStream at url.
func streams(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// listenAgain has a server listen where it did before.
func listenAgain(t *testing.T) func(*server.Options) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	return func(o *server.Options) { o.DontListen, o.Host, o.Port = false, "127.0.0.1", port }
}

// TestAnOutageOfNATSEndsNoLease stops NATS for ten times the TTL of many leases, and starts
// it again; in short, for five times that of fewer. L3, R4.
func TestAnOutageOfNATSEndsNoLease(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	programs, outage := manyPrograms, 10*ttl
	if testing.Short() {
		programs, outage = programs/5, outage/2
	}
	srv := natstest.Start(t, listenAgain(t))
	url := srv.URL()
	nodesOn(t, 1, []string{url})
	l := lookOut(t, connect(t, url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond)))
	f := fleetAt(t, url, "many", manyClients, programs, client.LeaseOptions{TTL: ttl})
	dead := fleetAt(t, url, "dead", 1, 1, client.LeaseOptions{TTL: ttl})
	ends, gone := hearRemovals(t, url, "many"), hearRemovals(t, url, "dead")
	f.valid(t)
	before := listed(t, f.clients[0], "many")
	granted, registered := f.sent.grants.Load(), f.sent.registers.Load()

	srv.Stop()
	dead.die()
	noSooner(outage)
	for _, m := range f.members {
		if m.Valid() {
			t.Errorf("the lease of %s is said to be valid %v after NATS was stopped", m.key, outage)
		}
	}
	kept := f.sent.keepalives.Load()
	srv.Restart(t)
	begun := time.Now()
	l.await(t, "a keeper", anyBeacon)
	served := time.Now()
	f.valid(t)
	worked := time.Now()
	t.Logf("a beacon %v after NATS was back, and everybody valid after another %v", served.Sub(begun), worked.Sub(served))
	// Promised is one TTL from when a keeper serves; the rest is for clients that connect
	// again with jitter, and for a busy machine.
	if took := worked.Sub(served); took > ttl+2*time.Second+endSlack {
		t.Errorf("it took %v until all clients could work again", took)
	}
	// A storm would be tries without pauses. Leases of one client share their keepalives.
	beats := f.sent.keepalives.Load() - kept
	t.Logf("%d keepalives of %d clients in %v", beats, manyClients, time.Since(begun))
	if most := int64(manyClients) * (10 + 10*int64(time.Since(begun)/time.Second)); beats > most {
		t.Errorf("%d keepalives were sent after the outage; want at most %d", beats, most)
	}
	f.unharmed(t)
	ends.none(t)
	same(t, f.clients[0], "many", before)
	if n := f.sent.grants.Load() - granted; n != 0 {
		t.Errorf("%d grants were sent; no lease had ended", n)
	}
	// A session looks after its registration once when its connection is another.
	if n := f.sent.registers.Load() - registered; n > 2*int64(programs) {
		t.Errorf("%d registers were sent by %d programs", n, programs)
	}
	f.work(t)
	gone.await(t, "m-0") // who did not outlive it
	f.unharmed(t)
	ends.none(t)
	l.verdict(t)
}

// TestAnOutageOfTheRegistryEndsNoLease kills all nodes, and starts another one when many
// TTLs have passed. NATS stands, and tells whoever asks that nobody answers. L3, R4.
func TestAnOutageOfTheRegistryEndsNoLease(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	srv := natstest.Start(t, natstest.Listen)
	url := srv.URL()
	nodes := nodesOn(t, 2, []string{url})
	f := fleetAt(t, url, "living", 5, 50, client.LeaseOptions{TTL: ttl})
	ends := hearRemovals(t, url, "living")
	f.valid(t)
	before := listed(t, f.clients[0], "living")
	granted := f.sent.grants.Load()

	for _, n := range nodes {
		n.signal(t, syscall.SIGKILL)
	}
	kept := f.sent.keepalives.Load()
	noSooner(3 * ttl)
	// Without anybody to wait for, only pauses keep the clients from asking all the time.
	if beats, most := f.sent.keepalives.Load()-kept, int64(5*6*10); beats > most {
		t.Errorf("5 clients sent %d keepalives in 6s to nobody; want at most %d", beats, most)
	}
	nodesOn(t, 1, []string{url})
	f.valid(t)
	f.work(t)
	noSooner(ttl) // what wrongly was late would come now
	f.unharmed(t)
	ends.none(t)
	if n := f.sent.grants.Load() - granted; n != 0 {
		t.Errorf("%d grants were sent; no lease had ended", n)
	}
	for instance, r := range listed(t, f.clients[0], "living") {
		if was := before[instance]; r.Owner != was.Owner || r.CreatedRevision != was.CreatedRevision {
			t.Errorf("%s is %+v; want it as it was, of another weight: %+v", instance, r, was)
		}
	}
}

// TestASingleNodeThatIsStoppedForTwiceTheTTLEndsNobodyWhoLives stops a whole node, with
// NATS inside: shorter than it is entitled to be the keeper, and longer. L3, R4.
func TestASingleNodeThatIsStoppedForTwiceTheTTLEndsNobodyWhoLives(t *testing.T) {
	t.Parallel()
	for name, ttl := range map[string]time.Duration{"InOneTerm": time.Second, "AcrossTerms": 5 * time.Second / 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := singleNode(t, 1)
			l := lookOut(t, connect(t, n.url, nats.MaxReconnects(-1)))
			f := fleetAt(t, n.url, "living", 5, 50, client.LeaseOptions{TTL: ttl})
			dead := fleetAt(t, n.url, "dead", 1, 1, client.LeaseOptions{TTL: ttl})
			alive, gone := hearRemovals(t, n.url, "living"), hearRemovals(t, n.url, "dead")
			before := listed(t, f.clients[0], "living")
			first := l.await(t, "a keeper", anyBeacon)

			n.signal(t, syscall.SIGSTOP)
			dead.die()
			noSooner(2 * ttl)
			n.signal(t, syscall.SIGCONT)
			next := l.await(t, "a keeper", anyBeacon)
			t.Logf("term %d before, %d after", first.Keeper.Term, next.Keeper.Term)
			gone.await(t, "m-0")
			f.valid(t)
			noSooner(ttl) // what wrongly was late would come now
			f.unharmed(t)
			alive.none(t)
			same(t, f.clients[0], "living", before)
			f.work(t)
			l.verdict(t)
		})
	}
}

// TestWhoeverLivesIsRegisteredAgainByItselfInABucketMadeAnew deletes the bucket under many
// live programs. R4.
func TestWhoeverLivesIsRegisteredAgainByItselfInABucketMadeAnew(t *testing.T) {
	t.Parallel()
	programs := manyPrograms
	if testing.Short() {
		programs /= 5
	}
	srv := natstest.Start(t, natstest.Listen)
	url := srv.URL()
	nodesOn(t, 2, []string{url})
	l := lookOut(t, connect(t, url))
	f := fleetAt(t, url, "many", manyClients, programs, client.LeaseOptions{TTL: faultTTL})
	before := listed(t, f.clients[0], "many")
	epoch := l.await(t, "a keeper", anyBeacon).Epoch

	if err := streams(t, url).DeleteStream(t.Context(), "KV_"+bucketOf(t, keeperPrefix)); err != nil {
		t.Fatal(err)
	}
	l.await(t, "a higher epoch", func(b bus.Beacon) bool { return b.Epoch > epoch })
	natstest.Await(t, "everybody's next lease, and what belongs to it", func() bool {
		for _, m := range f.members {
			if m.renewed.Load() == 0 || m.Registered() != nil {
				return false
			}
		}
		return true
	})
	after := listed(t, f.clients[0], "many")
	if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(client.Registration{}, "Owner", "Revision", "CreatedRevision", "CreatedAt", "UpdatedAt")); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	for _, m := range f.members {
		if r := after[m.key.Instance]; r.Owner != m.Lease().Owner() || r.Owner == m.owner {
			t.Errorf("%s belongs to %q; want the session's new lease %q, not the old one %q", m.key, r.Owner, m.Lease().Owner(), m.owner)
		}
		if n := m.renewed.Load(); n != 1 {
			t.Errorf("%s had %d more leases; want one", m.key, n)
		}
	}
	f.work(t)
	l.verdict(t)
}

// singleNode starts a node with NATS inside. It holds endings back where more than a share
// of all leases are silent.
func singleNode(t *testing.T, share float64) *serverProcess {
	t.Helper()
	return nodeAt(t, "single", func(c *config.Server) { c.HoldShare = share })
}
