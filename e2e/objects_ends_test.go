package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// role is what one of several can have, lock or leadership.
type role struct {
	kind, take, give string
	// holder returns the owner who has it by an announced record, and the token.
	holder func(revision uint64) (owner, token string)
	// waiting returns how many wait for it.
	waiting func() int
}

func lockRole(t *testing.T, w *rawObjects) *role {
	heard := hearRecords[bus.QueueRecord](t, w.url, "lock", "default.x")
	return &role{
		kind: "lock", take: "acquire", give: "release",
		holder: func(revision uint64) (owner, token string) {
			for _, h := range heard.of(t, revision).Holders {
				owner, token = h.Owner, h.Token
			}
			return owner, token
		},
		waiting: func() int {
			var q bus.QueueRecord
			w.ask(t, "lock.get.default.x", "", &q)
			return len(q.Waiters)
		},
	}
}

func electionRole(t *testing.T, w *rawObjects) *role {
	heard := hearRecords[bus.ElectionRecord](t, w.url, "election", "default.x")
	return &role{
		kind: "election", take: "campaign", give: "resign",
		holder: func(revision uint64) (owner, token string) {
			e := heard.of(t, revision)
			if e.Leader != nil {
				owner = e.Leader.Owner
			}
			return owner, e.Token
		},
		waiting: func() int {
			var e bus.ElectionRecord
			w.ask(t, "election.get.default.x", "", &e)
			return len(e.Candidates)
		},
	}
}

func (r *role) queued(t *testing.T, n int) {
	t.Helper()
	natstest.Await(t, fmt.Sprintf("%d who wait", n), func() bool { return r.waiting() == n })
}

func (r *role) takes(t *testing.T, w *rawObjects, l *client.Lease) <-chan *nats.Msg {
	t.Helper()
	return w.send(t, r.kind+"."+r.take+".default.x", asLease(l)+`,"wait_ms":3600000}`)
}

// taken is a reply to who takes a role.
type taken struct {
	State string
	Token string
}

// race has the lease of one who is next end while it becomes its turn, and returns whether
// it was told that it has the role. Whoever comes after it has it then.
func (r *role) race(t *testing.T, w *rawObjects, has, after *client.Lease) (told bool) {
	t.Helper()
	next := w.grant(t)
	first := r.takes(t, w, next)
	r.queued(t, 1)
	second := r.takes(t, w, after)
	r.queued(t, 2)

	give := func() <-chan *nats.Msg { return w.send(t, r.kind+"."+r.give+".default.x", asLease(has)+"}") }
	end := func() <-chan *nats.Msg { return w.send(t, "admin.revoke."+next.Owner(), `{"reason":"ended"}`) }
	var given, ended <-chan *nats.Msg
	if rand.N(2) == 0 {
		given = give()
		<-time.After(rand.N(3 * time.Millisecond))
		ended = end()
	} else {
		ended = end()
		<-time.After(rand.N(3 * time.Millisecond))
		given = give()
	}
	if code, _ := answered(t, given, nil); code != "" {
		t.Fatalf("%s: %s", r.give, code)
	}
	code, endedAt := answered(t, ended, nil)
	if code != "" {
		t.Fatalf("end of a lease: %s", code)
	}

	var got, then taken
	code, at := answered(t, first, &got)
	switch told = code == ""; {
	case told && (at >= endedAt || got.Token == ""):
		t.Errorf("%s: told %+v at revision %d; its lease had ended at %d", r.kind, got, at, endedAt)
	case told:
		if owner, token := r.holder(at); owner != next.Owner() || token != got.Token {
			t.Errorf("%s: told %+v at revision %d, where %s has it with %s", r.kind, got, at, owner, token)
		}
	case code != bus.CodeLeaseExpired:
		t.Errorf("%s: told %s; want %s", r.kind, code, bus.CodeLeaseExpired)
	}
	if code, _ = answered(t, second, &then); code != "" || then.Token <= got.Token {
		t.Errorf("%s: who came after it was told %s %+v; want a token after %q", r.kind, code, then, got.Token)
	}
	return told
}

func raceRounds() int {
	if testing.Short() {
		return 40
	}
	return 300
}

// C6: a lease ends, by the keeper at one node, as it is granted a lock, by either node.
func TestNobodyIsToldToHoldALockOrToLeadWhoseLeaseHasEndedBefore(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"lock", "election"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := twoNodes(t)
			r := lockRole(t, w)
			if kind == "election" {
				r = electionRole(t, w)
			}
			has, after := w.grant(t), w.grant(t)
			if code, _ := answered(t, r.takes(t, w, has), nil); code != "" {
				t.Fatal(code)
			}
			told := 0
			for range raceRounds() {
				if r.race(t, w, has, after) {
					told++
				}
				has, after = after, has
			}
			t.Logf("%d of %d were told before their leases ended", told, raceRounds())
		})
	}
}
