package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination"
	"github.com/roostbus/roost/e2e/natstest"
)

// as is the beginning of a body of one who acts with the i-th secret.
func as(i int) string { return `{"lease":"` + secretOf(i) + `"` }

func owner(i int) string { return bus.Owner(secretOf(i)) }

// send sends a request and does not wait for its reply.
func (w *objectWire) send(t *testing.T, subject, body string) <-chan *nats.Msg {
	t.Helper()
	replies := make(chan *nats.Msg, 1)
	inbox := w.nc.NewInbox()
	sub, err := w.nc.ChanSubscribe(inbox, replies)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	if err := w.nc.PublishRequest(bus.DefaultPrefix+"."+subject, inbox, []byte(body)); err != nil {
		t.Fatal(err)
	}
	return replies
}

// replyOf waits for a reply to send.
func replyOf(t *testing.T, replies <-chan *nats.Msg) *nats.Msg {
	t.Helper()
	select {
	case m := <-replies:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("no reply")
		return nil
	}
}

// queued waits until n wait for a lock.
func (w *objectWire) queued(t *testing.T, name string, n int) {
	t.Helper()
	natstest.Await(t, fmt.Sprintf("%d to wait for %s", n, name), func() bool {
		var l bus.QueueRecord
		w.must(t, &l, "lock.get.default."+name, "")
		return len(l.Waiters) == n
	})
}

func TestOneCandidateLeadsAndTheNextFollowsInItsOrder(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1), secretOf(2), secretOf(3))
	campaign := func(i int, more string) (r bus.CampaignReply) {
		t.Helper()
		w.must(t, &r, "election.campaign.default.e", as(i)+more+"}")
		return r
	}
	first := campaign(1, `,"value":{ "url" : 1.50 }`)
	leader := &bus.ObjectLeader{Owner: owner(1), Value: json.RawMessage(`{"url":1.50}`)}
	token, err := coordination.ParseToken(first.Token)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(bus.CampaignReply{State: "leader", Token: token.String(), Term: 1, Leader: leader}, first); diff != "" {
		t.Errorf("the first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(bus.CampaignReply{State: "candidate", Term: 1, Leader: leader, Position: 1}, campaign(2, "")); diff != "" {
		t.Errorf("the second (-want +got):\n%s", diff)
	}
	if got := campaign(3, `,"priority":5`); got.State != "candidate" || got.Position != 1 {
		t.Errorf("one of a higher priority: %+v; want the first of the candidates", got)
	}

	w.fail(t, bus.CodeNotOwner, "election.transfer.default.e", as(2)+`,"to":"`+owner(3)+`"}`)
	w.fail(t, bus.CodeNotFound, "election.transfer.default.e", as(1)+`,"to":"`+owner(9)+`"}`)
	var record bus.ElectionRecord
	w.must(t, &record, "election.transfer.default.e", as(1)+`,"to":"`+owner(2)+`"}`)
	if record.Leader == nil || record.Leader.Owner != owner(2) || record.Term != 2 || record.Token <= first.Token {
		t.Errorf("after the transfer: %+v; want %s to lead in term 2 with a greater token", record, owner(2))
	}

	// The one of the higher priority follows a leader whose lease ends.
	awaits := w.send(t, "election.campaign.default.e", as(3)+`,"priority":5,"wait_ms":30000}`)
	w.end(t, secretOf(2))
	var third bus.CampaignReply
	if err := json.Unmarshal(replyOf(t, awaits).Data, &third); err != nil || third.State != "leader" || third.Term != 3 {
		t.Errorf("the waiting candidate: %+v, %v; want the leader of term 3", third, err)
	}
	w.fail(t, bus.CodeLeaseExpired, "election.campaign.default.e", as(2)+"}")

	w.must(t, nil, "election.resign.default.e", as(3)+"}")
	w.must(t, nil, "election.resign.default.e", as(3)+"}")
	w.must(t, &record, "election.get.default.e", "")
	if record.Leader == nil || record.Leader.Owner != owner(1) || record.Term != 4 || len(record.Recent) != 4 {
		t.Errorf("after the resignation: %+v; want %s to lead in term 4", record, owner(1))
	}
	record = bus.ElectionRecord{}
	w.must(t, &record, "admin.release.election.default.e", `{"reason":"stuck"}`)
	if record.Leader != nil || record.Term != 4 {
		t.Errorf("after an operator's release: %+v; want nobody to lead", record)
	}
}

func TestACandidateWhoseWaitIsOverIsOneStill(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1), secretOf(2))
	w.must(t, nil, "election.campaign.default.e", as(1)+"}")
	var r bus.CampaignReply
	begun := time.Now()
	w.must(t, &r, "election.campaign.default.e", as(2)+`,"wait_ms":50}`)
	if r.State != "candidate" || r.Token != "" || time.Since(begun) < 50*time.Millisecond {
		t.Errorf("%+v after %v; want a candidate after 50ms", r, time.Since(begun))
	}
	w.must(t, nil, "election.resign.default.e", as(1)+"}")
	if w.must(t, &r, "election.campaign.default.e", as(2)+"}"); r.State != "leader" {
		t.Errorf("when the leader has resigned: %+v; want the leader", r)
	}
}

func TestALockIsHeldByOneOrSharedAndByWhoeverHasTheLease(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1), secretOf(2))
	const acquire, release = "lock.acquire.default.l", "lock.release.default.l"
	var held, again bus.HeldReply
	w.must(t, &held, acquire, as(1)+"}")
	w.must(t, &again, acquire, as(1)+`,"mode":"exclusive"}`)
	if held.State != "held" || held.Token == "" || again != held {
		t.Errorf("held as %+v and again as %+v; want the same", held, again)
	}
	w.fail(t, bus.CodeConflict, acquire, as(1)+`,"mode":"shared"}`)
	w.fail(t, bus.CodeTimeout, acquire, as(2)+"}")
	w.fail(t, bus.CodeTimeout, acquire, as(1)+`,"holder":"another"}`)

	var record bus.QueueRecord
	w.must(t, &record, release, as(2)+"}") // holds nothing
	want := bus.QueueRecord{Token: held.Token, Holders: []bus.ObjectParty{{Owner: owner(1), Mode: "exclusive", Token: held.Token}}}
	if diff := cmp.Diff(want, record); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.must(t, nil, release, as(1)+"}")
	for _, holder := range []string{"a", "b"} {
		w.must(t, &again, acquire, as(2)+`,"mode":"shared","holder":"`+holder+`"}`)
		if again.Token <= held.Token {
			t.Errorf("the token %s after %s", again.Token, held.Token)
		}
	}
	w.fail(t, bus.CodeTimeout, acquire, as(1)+"}")
	record = bus.QueueRecord{}
	if w.must(t, &record, "admin.release.lock.default.l", ""); len(record.Holders) != 0 {
		t.Errorf("after an operator's release: %+v", record)
	}
	w.must(t, nil, acquire, as(1)+"}")
}

func TestAWaiterIsServedByTheReleaseAndLeavesWhenItsWaitIsOver(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1), secretOf(2), secretOf(3))
	const acquire = "lock.acquire.default.l"
	w.must(t, nil, acquire, as(1)+"}")
	next := w.send(t, acquire, as(2)+`,"wait_ms":30000}`)
	w.queued(t, "l", 1)
	if n := w.s.Stats().Waiting; n != 1 {
		t.Errorf("%d requests wait; want 1", n)
	}
	begun := time.Now()
	w.fail(t, bus.CodeTimeout, acquire, as(3)+`,"wait_ms":50}`)
	if took := time.Since(begun); took < 50*time.Millisecond {
		t.Errorf("the wait of 50ms was over after %v", took)
	}
	w.queued(t, "l", 1)
	w.must(t, nil, "lock.release.default.l", as(1)+"}")
	reply := replyOf(t, next)
	if !strings.Contains(string(reply.Data), `"held"`) {
		t.Errorf("the waiter was told %s", reply.Data)
	}
	natstest.Await(t, "nobody to wait", func() bool { return w.s.Stats().Waiting == 0 })
}

func TestAWaiterWhoseLeaseEndsIsToldAndNeverServed(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1), secretOf(2))
	w.must(t, nil, "lock.acquire.default.l", as(1)+"}")
	waits := w.send(t, "lock.acquire.default.l", as(2)+`,"wait_ms":30000}`)
	w.queued(t, "l", 1)
	w.end(t, secretOf(2))
	wantFailure(t, bus.CodeLeaseExpired, replyOf(t, waits))
	w.must(t, nil, "lock.release.default.l", as(1)+"}")
	var record bus.QueueRecord
	if w.must(t, &record, "lock.get.default.l", ""); len(record.Holders)+len(record.Waiters) != 0 {
		t.Errorf("%+v; want nobody", record)
	}
}

func TestANodeThatStopsEndsWaitsAndTakesThemOutOfTheQueue(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1), secretOf(2), secretOf(3))
	w.must(t, nil, "lock.acquire.default.l", as(1)+"}")
	w.must(t, nil, "barrier.get.default.b", "")
	waits := w.send(t, "lock.acquire.default.l", as(2)+`,"wait_ms":30000}`)
	arrives := w.send(t, "barrier.arrive.default.b", as(3)+`,"size":2,"wait_ms":30000}`)
	w.must(t, nil, "election.campaign.default.e", as(1)+"}")
	campaigns := w.send(t, "election.campaign.default.e", as(2)+`,"wait_ms":30000}`)
	w.queued(t, "l", 1)
	natstest.Await(t, "all to wait", func() bool { return w.s.Stats().Waiting == 3 })
	begun := time.Now()
	if err := w.stop(t); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("stopping took %v", took)
	}
	wantFailure(t, bus.CodeUnavailable, replyOf(t, waits))
	wantFailure(t, bus.CodeUnavailable, replyOf(t, arrives))
	wantFailure(t, bus.CodeUnknownOutcome, replyOf(t, campaigns)) // it is a candidate still
	for _, key := range []string{"announce.lock.default.l", "announce.barrier.default.b"} {
		e, err := w.store.Get(t.Context(), key)
		if err != nil || strings.Contains(string(e.Value), "waiters") || strings.Contains(string(e.Value), "parties") {
			t.Errorf("%s is left as %s, %v; want nobody to wait", key, e.Value, err)
		}
	}
}

func TestRequestsThatWaitForObjectsHaveABound(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, func(c *server.Config) { c.MaxWaiting = 1 })
	w.grant(t, secretOf(1), secretOf(2), secretOf(3))
	w.must(t, nil, "lock.acquire.default.l", as(1)+"}")
	w.send(t, "lock.acquire.default.l", as(2)+`,"wait_ms":30000}`)
	w.queued(t, "l", 1)
	for subject, body := range map[string]string{
		"lock.acquire.default.l":      as(3) + `,"wait_ms":30000}`,
		"semaphore.acquire.default.s": as(3) + `,"limit":1,"wait_ms":30000}`,
		"barrier.arrive.default.b":    as(3) + `,"size":2,"wait_ms":30000}`,
		"election.campaign.default.e": as(3) + `,"wait_ms":30000}`,
	} {
		if e := w.fail(t, bus.CodeLimitExceeded, subject, body); e.Limit == nil || e.Limit.Quota != "waiting requests" {
			t.Errorf("%s: the limit is %+v", subject, e.Limit)
		}
	}
	w.fail(t, bus.CodeTimeout, "lock.acquire.default.l", as(3)+"}")
}

func TestASemaphoreHasPermitsUpToItsLimit(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1), secretOf(2))
	const acquire = "semaphore.acquire.default.s"
	w.must(t, nil, acquire, as(1)+`,"limit":3,"permits":2}`)
	w.must(t, nil, acquire, as(2)+`,"limit":3}`)
	w.fail(t, bus.CodeTimeout, acquire, as(2)+`,"limit":3,"holder":"b"}`)
	w.fail(t, bus.CodeConflict, acquire, as(2)+`,"limit":4,"holder":"b"}`)
	w.fail(t, bus.CodeConflict, acquire, as(2)+`,"limit":3,"permits":2}`)
	for body, field := range map[string]string{
		`,"limit":0}`: "limit", `}`: "limit", `,"limit":1073741825}`: "limit", `,"limit":3,"permits":4}`: "permits",
		`,"limit":3,"permits":0}`: "permits", `,"limit":3,"permits":-1}`: "permits",
	} {
		if e := w.fail(t, bus.CodeInvalid, acquire, as(2)+body); e.Field != field {
			t.Errorf("%s: the field is %q; want %q", body, e.Field, field)
		}
	}
	var record bus.QueueRecord
	w.must(t, &record, "semaphore.release.default.s", as(1)+"}")
	want := bus.QueueRecord{Token: record.Token, Limit: 3, Holders: []bus.ObjectParty{{Owner: owner(2), Permits: 1, Token: record.Token}}}
	if diff := cmp.Diff(want, record); diff != "" || record.Token == "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestABarrierReleasesAGenerationTogetherAndARepeatOnlyOnce(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1), secretOf(2))
	const arrive = "barrier.arrive.default.b"
	w.fail(t, bus.CodeTimeout, arrive, as(1)+`,"size":2}`)
	first := w.send(t, arrive, as(1)+`,"size":2,"wait_ms":30000}`)
	natstest.Await(t, "one to have come", func() bool {
		var b bus.BarrierRecord
		w.must(t, &b, "barrier.get.default.b", "")
		return len(b.Parties) == 1 && b.Size == 2 && b.Done == 0
	})
	w.fail(t, bus.CodeConflict, arrive, as(2)+`,"size":3}`)
	w.fail(t, bus.CodeConflict, arrive, as(2)+`,"size":2,"generation":2}`)
	want := bus.ArriveReply{Generation: 1, Released: true}
	for _, body := range []string{`,"size":2}`, `,"size":2,"generation":1}`} {
		var got bus.ArriveReply
		if w.must(t, &got, arrive, as(2)+body); got != want {
			t.Errorf("%s: %+v; want %+v", body, got, want)
		}
	}
	var got bus.ArriveReply
	if err := json.Unmarshal(replyOf(t, first).Data, &got); err != nil || got != want {
		t.Errorf("the first: %+v, %v; want %+v", got, err, want)
	}
	var record bus.BarrierRecord
	w.must(t, &record, "barrier.get.default.b", "")
	if diff := cmp.Diff(bus.BarrierRecord{Done: 1}, record); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for body, field := range map[string]string{`}`: "size", `,"size":1001}`: "size", `,"size":-1}`: "size"} {
		if e := w.fail(t, bus.CodeInvalid, arrive, as(1)+body); e.Field != field {
			t.Errorf("%s: the field is %q; want %q", body, e.Field, field)
		}
	}
}

func TestTheNamesOfObjectsComeInOrderAndByPages(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1))
	var want []bus.ObjectName
	for _, o := range []bus.Object{{Namespace: "a", Name: "x"}, {Namespace: "a.b", Name: "x"}, {Namespace: "b", Name: "1"}, {Namespace: "b", Name: "ü"}, {Namespace: "b", Name: "2"}} {
		for kind, c := range map[bus.Kind]struct {
			verb bus.Verb
			body string
		}{
			bus.KindElection: {bus.VerbCampaign, as(1) + "}"}, bus.KindLock: {bus.VerbAcquire, as(1) + "}"},
			bus.KindSemaphore: {bus.VerbAcquire, as(1) + `,"limit":1}`}, bus.KindBarrier: {bus.VerbArrive, as(1) + `,"size":1}`},
			bus.KindProposal: {bus.VerbPropose, as(1) + `,"voters":["` + owner(1) + `"]}`}, bus.KindCounter: {bus.VerbAdd, `{"delta":"1"}`},
		} {
			w.must(t, nil, strings.TrimPrefix(w.subject(t).OfObject(kind, c.verb, o), bus.DefaultPrefix+"."), c.body)
		}
		want = append(want, bus.ObjectName(o))
	}
	slices.SortFunc(want, func(a, b bus.ObjectName) int { return strings.Compare(bus.Object(a).String(), bus.Object(b).String()) })
	for _, kind := range kindNames() {
		var all []bus.ObjectName
		for after, pages := "", 0; pages == 0 || after != ""; pages++ {
			var page bus.ObjectsReply
			w.must(t, &page, kind+".list", fmt.Sprintf(`{"limit":2,"after":%q}`, after))
			if len(page.Names) > 2 || pages > 3 {
				t.Fatalf("%s: page %d has %d names", kind, pages, len(page.Names))
			}
			all, after = append(all, page.Names...), page.Next
		}
		if diff := cmp.Diff(want, all); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
		var some bus.ObjectsReply
		w.must(t, &some, kind+".list.b", "")
		if diff := cmp.Diff(bus.ObjectsReply{Names: want[slices.IndexFunc(want, func(o bus.ObjectName) bool { return o.Namespace == "b" }):]}, some); diff != "" {
			t.Errorf("%s in b (-want +got):\n%s", kind, diff)
		}
		w.must(t, &some, kind+".list.none", "")
		if some.Names == nil || len(some.Names) != 0 {
			t.Errorf("%s in a namespace that is not there: %+v; want []", kind, some.Names)
		}
		w.fail(t, bus.CodeInvalid, kind+".list", `{"limit":0}`)
		w.fail(t, bus.CodeInvalid, kind+".list", `{"after":"x"}`)
	}
}

func (w *objectWire) subject(t *testing.T) bus.Subjects { return subjects(t) }
