package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// C8: parties at two nodes come again and again, in any order, some more than once, and one
// dies among those who wait. Each generation is released once, when as many have come as
// live, to all of them together.
func TestEachGenerationOfABarrierIsReleasedOnceToAllWhoLive(t *testing.T) {
	t.Parallel()
	generations := 80
	if testing.Short() {
		generations = 12
	}
	const size = 4
	w := twoNodes(t)
	heard := hearRecords[bus.BarrierRecord](t, w.url, "barrier", "default.b")
	var leases [size]*client.Lease
	for i := range leases {
		leases[i] = w.grant(t)
	}
	for g := 1; g <= generations; g++ {
		arrive := func(l *client.Lease) <-chan *nats.Msg {
			return w.send(t, "barrier.arrive.default.b", asLease(l)+fmt.Sprintf(`,"size":%d,"generation":%d,"wait_ms":3600000}`, size, g))
		}
		waiting := func(n int) {
			t.Helper()
			natstest.Await(t, fmt.Sprintf("%d who wait in generation %d", n, g), func() bool {
				var b bus.BarrierRecord
				w.ask(t, "barrier.get.default.b", "", &b)
				return len(b.Parties) == n && b.Done == uint64(g-1)
			})
		}
		replies := make([]<-chan *nats.Msg, size)
		order := rand.Perm(size)
		for _, i := range order[:size-1] {
			replies[i] = arrive(leases[i])
		}
		waiting(size - 1)

		again := arrive(leases[order[0]]) // who waits already
		dead := w.grant(t)
		if g%2 == 0 { // it has come, and is the last but for its end
			w.ask(t, "admin.revoke."+dead.Owner(), "", nil)
			if code, _ := answered(t, arrive(dead), nil); code != bus.CodeLeaseExpired {
				t.Errorf("generation %d: a party that does not live is told %q", g, code)
			}
		} else {
			w.ask(t, "admin.revoke."+leases[order[1]].Owner(), "", nil)
			if code, _ := answered(t, replies[order[1]], nil); code != bus.CodeLeaseExpired {
				t.Errorf("generation %d: a party whose lease has ended is told %q", g, code)
			}
			waiting(size - 2)
			leases[order[1]] = dead // which lives, and comes in its stead
			replies[order[1]] = arrive(dead)
			waiting(size - 1)
		}
		for i, reply := range replies {
			if len(reply) > 0 {
				t.Fatalf("generation %d: party %d is told %s before all have come", g, i, (<-reply).Data)
			}
		}
		last := order[size-1]
		replies[last] = arrive(leases[last])
		for i, reply := range append(replies, again) {
			var got bus.ArriveReply
			code, at := answered(t, reply, &got)
			if want := (bus.ArriveReply{Generation: uint64(g), Released: true}); code != "" || got != want {
				t.Errorf("generation %d: party %d is told %s %+v", g, i, code, got)
			}
			if heard.of(t, at).Done != uint64(g) {
				t.Errorf("generation %d: party %d was told at revision %d, with %+v", g, i, at, heard.of(t, at))
			}
		}
		for range 3 { // to come once more changes nothing
			var got bus.ArriveReply
			if code, _ := answered(t, arrive(leases[rand.N(size)]), &got); code != "" || got.Generation != uint64(g) || !got.Released {
				t.Errorf("generation %d: who comes again is told %s %+v", g, code, got)
			}
		}
		idle(t, w, uint64(g))
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	done := uint64(0)
	for _, r := range heard.records {
		if r.Done != done && (r.Done != done+1 || len(r.Parties) != 0) {
			t.Errorf("after %d generations %+v was announced", done, r)
		}
		done = r.Done
	}
	if done != uint64(generations) {
		t.Errorf("%d generations were announced as released; want %d", done, generations)
	}
}

// idle fails unless nobody waits after so many generations.
func idle(t *testing.T, w *rawObjects, done uint64) {
	t.Helper()
	var b bus.BarrierRecord
	if w.ask(t, "barrier.get.default.b", "", &b); b.Done != done || len(b.Parties) != 0 {
		t.Errorf("after generation %d the record is %+v", done, b)
	}
}
