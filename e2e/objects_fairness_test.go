package e2e_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

const queueLength = 200

// traffic counts what passes a NATS server, by what it is.
type traffic struct {
	mu    sync.Mutex
	count map[string]int
}

// tapWire counts every message of a server from now on. client is the inbox of one whose
// replies are counted.
func tapWire(t *testing.T, srv *natstest.Server, client string) *traffic {
	t.Helper()
	w := &traffic{count: map[string]int{}}
	nc := connect(t, srv.URL())
	sub, err := nc.Subscribe(">", func(m *nats.Msg) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case strings.HasPrefix(m.Subject, client):
			w.count["replies"]++
		case strings.HasPrefix(m.Subject, "$KV.") && strings.Contains(m.Subject, ".lock.") && strings.HasPrefix(m.Reply, nats.InboxPrefix):
			w.count["tries"]++ // to write; what is written is announced
		case strings.HasPrefix(m.Subject, keeperPrefix+".lock."):
			w.count["requests"]++
		case strings.HasPrefix(m.Subject, keeperPrefix+".announce.lock."):
			w.count["announcements"]++
		}
		w.count["all"]++
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
	return w
}

// since returns what has passed since the last call, when as many replies and announcements
// have come.
func (w *traffic) since(t *testing.T, replies, announcements int) map[string]int {
	t.Helper()
	natstest.Await(t, fmt.Sprintf("%d replies and %d announcements on the wire", replies, announcements), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.count["replies"] >= replies && w.count["announcements"] >= announcements
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	count := w.count
	w.count = map[string]int{}
	return count
}

// C5: two hundred wait for one lock at two nodes. Each release serves the one that has come
// first, and costs as much as if nobody else waited.
func TestTwoHundredWaitersAreServedInTheOrderOfTheirComingAndAReleaseWakesOne(t *testing.T) {
	t.Parallel()
	w := twoNodes(t)
	heard := hearRecords[bus.QueueRecord](t, w.url, "lock", "default.l")
	inbox := w.nc.NewInbox()
	replies := make(chan *nats.Msg, 2*queueLength)
	sub, err := w.nc.ChanSubscribe(inbox+".*", replies)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	var leases []*client.Lease
	for range 20 {
		leases = append(leases, w.grant(t))
	}
	as := func(i int) string { return asLease(leases[i%len(leases)]) + fmt.Sprintf(`,"holder":"h%d"`, i) }
	acquire := func(i int) {
		if err := w.nc.PublishRequest(keeperPrefix+".lock.acquire.default.l", fmt.Sprintf("%s.%d", inbox, i), []byte(as(i)+`,"wait_ms":3600000}`)); err != nil {
			t.Fatal(err)
		}
	}
	served := func(want int) {
		t.Helper()
		m := arrives(t, fmt.Sprintf("reply to %d", want), replies)
		if m.Subject != fmt.Sprintf("%s.%d", inbox, want) || !strings.Contains(string(m.Data), `"held"`) {
			t.Fatalf("%s was told %s %v; want %d to be served", m.Subject, m.Data, m.Header, want)
		}
	}

	passed := tapWire(t, w.srv, inbox)
	acquire(0)
	served(0)
	for i := 1; i <= queueLength; i++ {
		acquire(i)
		heard.await(t, fmt.Sprintf("%d waiters", i), func(r bus.QueueRecord) bool { return len(r.Waiters) == i })
	}
	const all = queueLength + 1
	if n := passed.since(t, 1, all); n["requests"] != all || n["announcements"] != all || n["replies"] != 1 {
		t.Errorf("for %d to come, of whom one was served, there passed %v", all, n)
	}

	token := ""
	for i := range queueLength {
		w.ask(t, "lock.release.default.l", as(i)+"}", nil)
		served(i + 1)
		r := heard.await(t, "next holder", func(r bus.QueueRecord) bool {
			return len(r.Holders) == 1 && r.Holders[0].Holder == fmt.Sprint("h", i+1)
		})
		if r.Token <= token {
			t.Errorf("%d was given token %s, after %s", i+1, r.Token, token)
		}
		token = r.Token
	}
	n := passed.since(t, queueLength, queueLength)
	t.Logf("%d releases: %v", queueLength, n)
	if n["requests"] != queueLength || n["announcements"] != queueLength || n["replies"] != queueLength {
		t.Errorf("for %d releases there passed %v; want one request, one write, one announcement and one waiter told for each", queueLength, n)
	}
	if n["tries"] < queueLength || n["tries"] > 2*queueLength { // the node that did not write the last one may be late
		t.Errorf("for %d releases there were %d tries to write", queueLength, n["tries"])
	}
	// And an answer to the release, an acknowledgement of the write, and the write in the
	// feed of each node; the rest is what passes when nothing happens.
	if most := 15 * queueLength; n["all"] > most {
		t.Errorf("for %d releases there passed %d messages; want at most %d", queueLength, n["all"], most)
	}
}
