package e2e_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/e2e/natstest"
)

func ownersText(t *testing.T, owners ...string) string {
	t.Helper()
	text, err := json.Marshal(owners)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAProposalIsCommittedByTheVoteThatReachesItsQuorum(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1), secretOf(2), secretOf(3), secretOf(4))
	const propose, vote = "proposal.propose.default.p", "proposal.vote.default.p"
	voters := ownersText(t, owner(1), owner(2), owner(3))
	w.fail(t, bus.CodeNotFound, "proposal.get.default.p", "")
	var p bus.ProposalRecord
	w.must(t, &p, propose, as(4)+`,"value":{"shards":16},"voters":`+voters+`}`)
	want := bus.ProposalRecord{
		ID: p.ID, Proposer: owner(4), Value: json.RawMessage(`{"shards":16}`), Voters: []string{owner(1), owner(2), owner(3)},
		Quorum: 2, TimeoutMs: 30_000, State: "voting",
	}
	if diff := cmp.Diff(want, p); diff != "" || p.ID == "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	on := func(i int, more string) string { return as(i) + `,"id":"` + p.ID + `"` + more + `}` }
	w.fail(t, bus.CodeExists, propose, as(4)+`,"voters":`+voters+`}`)
	w.fail(t, bus.CodeNotOwner, vote, on(4, `,"accept":true`))
	w.fail(t, bus.CodeNotFound, vote, as(1)+`,"id":"none","accept":true}`)
	w.fail(t, bus.CodeNotFound, "proposal.get.default.p", `{"id":"none"}`)
	w.must(t, &p, vote, on(1, `,"accept":false,"reason":"not now"`))
	w.fail(t, bus.CodeConflict, vote, on(1, `,"accept":true`))
	w.must(t, &p, vote, on(2, `,"accept":true`))
	if p.State != "voting" {
		t.Errorf("after one of two: %+v", p)
	}
	w.must(t, &p, vote, on(3, `,"accept":true`))
	want.State = "committed"
	want.Votes = []bus.Ballot{{Owner: owner(1), Reason: "not now"}, {Owner: owner(2), Accept: true}, {Owner: owner(3), Accept: true}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("after two of two (-want +got):\n%s", diff)
	}
	w.must(t, nil, propose, as(4)+`,"voters":`+voters+`,"quorum":"all"}`)
	var past bus.ProposalRecord
	w.must(t, &past, "proposal.get.default.p", `{"id":"`+p.ID+`"}`)
	if diff := cmp.Diff(p, past); diff != "" {
		t.Errorf("by its id (-want +got):\n%s", diff)
	}
	if w.must(t, &p, "admin.release.proposal.default.p", ""); p.State != "aborted" || p.Reason != "admin" || p.Quorum != 3 {
		t.Errorf("after an operator's release: %+v; want it aborted", p)
	}
}

func TestAProposalIsAbortedByTheEndsOfItsVotersAndByTime(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1), secretOf(2))
	state := func(name, state, reason string) {
		t.Helper()
		natstest.Await(t, name+" to be "+state, func() bool {
			var p bus.ProposalRecord
			w.must(t, &p, "proposal.get.default."+name, "")
			return p.State == state && p.Reason == reason
		})
	}
	w.must(t, nil, "proposal.propose.default.slow", as(1)+`,"voters":`+ownersText(t, owner(1))+`,"timeout_ms":50}`)
	state("slow", "aborted", "timeout")
	w.must(t, nil, "proposal.propose.default.left", as(1)+`,"voters":`+ownersText(t, owner(1), owner(2))+`,"quorum":2}`)
	w.end(t, secretOf(2))
	state("left", "aborted", "refused")
}

func TestTheVotersOfAServiceAreTheOwnersOfItsLiveInstances(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1), secretOf(2), secretOf(3))
	const service = `,"voters":{"namespace":"default","service":"payments"}`
	w.fail(t, bus.CodeNotFound, "proposal.propose.default.p", as(1)+service+"}")
	w.must(t, nil, "registry.register.default.payments.permanent", "")
	w.fail(t, bus.CodeNotFound, "proposal.propose.default.p", as(1)+service+"}")
	for instance, i := range map[string]int{"a": 1, "b": 2, "c": 2, "d": 3} {
		w.must(t, nil, "registry.register.default.payments."+instance, as(i)+`,"status":"draining"}`)
	}
	w.must(t, nil, "registry.register.default.orders.a", as(3)+"}")
	w.end(t, secretOf(3))
	w.fail(t, bus.CodeInvalid, "proposal.propose.default.p", as(1)+service+`,"quorum":3}`)
	var p bus.ProposalRecord
	w.must(t, &p, "proposal.propose.default.p", as(1)+service+`,"quorum":"all"}`)
	want := []string{owner(1), owner(2)}
	slices.Sort(want)
	if diff := cmp.Diff(want, p.Voters); diff != "" || p.Quorum != 2 {
		t.Errorf("quorum %d, voters (-want +got):\n%s", p.Quorum, diff)
	}
}

func TestACounterIsAddedToOnceARequestID(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	const add = "counter.add.default.c"
	var got bus.AddReply
	for _, c := range []struct {
		delta, id string
		want      bus.AddReply
	}{
		{"9223372036854775807", "", bus.AddReply{Value: "9223372036854775807"}},
		{"9223372036854775807", "", bus.AddReply{Value: "18446744073709551614"}},
		{"-3", "one", bus.AddReply{Value: "18446744073709551611"}},
		{"-3", "one", bus.AddReply{Value: "18446744073709551611", Repeated: true}},
		{"-4", "one", bus.AddReply{Value: "18446744073709551607"}}, // another operation
		{"-3", "one", bus.AddReply{Value: "18446744073709551611", Repeated: true}},
	} {
		got = bus.AddReply{}
		var headers []string
		if c.id != "" {
			headers = []string{bus.HeaderRequestID, c.id}
		}
		if w.must(t, &got, add, `{"delta":"`+c.delta+`"}`, headers...); got != c.want {
			t.Errorf("%s as %q: %+v; want %+v", c.delta, c.id, got, c.want)
		}
	}
	var value bus.CounterReply
	for subject, want := range map[string]string{"counter.get.default.c": "18446744073709551607", "counter.get.default.untouched": "0"} {
		if w.must(t, &value, subject, `{"min_revision":1}`); value.Value != want {
			t.Errorf("%s: %s; want %s", subject, value.Value, want)
		}
	}
	for _, body := range []string{"", `{"delta":""}`, `{"delta":"x"}`, `{"delta":"9223372036854775808"}`, `{"delta":1}`} {
		if e := w.fail(t, bus.CodeInvalid, add, body); e.Field != "delta" {
			t.Errorf("%s: the field is %q", body, e.Field)
		}
	}
	w.fail(t, bus.CodeConflict, add, `{"delta":"1"}`, bus.HeaderRepeat, "1", bus.HeaderEpoch, "1")
	w.counters.LoseAcknowledgements(1)
	w.fail(t, bus.CodeUnknownOutcome, add, `{"delta":"1"}`)
}

func TestEveryRequestOfSomebodyNeedsALeaseThatLives(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(2))
	w.end(t, secretOf(2))
	for subject, rest := range map[string]string{
		"election.campaign": "", "election.resign": "", "election.transfer": `,"to":"` + owner(1) + `"`,
		"lock.acquire": "", "lock.release": "", "semaphore.acquire": `,"limit":1`, "semaphore.release": "",
		"barrier.arrive": `,"size":1`, "proposal.propose": `,"voters":["` + owner(1) + `"]`, "proposal.vote": `,"id":"x","accept":true`,
	} {
		subject += ".default.x"
		w.fail(t, bus.CodeLeaseExpired, subject, as(1)+rest+"}") // never granted
		w.fail(t, bus.CodeLeaseExpired, subject, as(2)+rest+"}")
		for _, body := range []string{`{` + strings.TrimPrefix(rest, ",") + `}`, `{"lease":"short"` + rest + `}`} {
			if e := w.fail(t, bus.CodeInvalid, subject, body); e.Field != "lease" {
				t.Errorf("%s %s: the field is %q; want lease", subject, body, e.Field)
			}
		}
	}
}

func TestARepeatedChangeOfAnObjectIsRecognisedBeforeItsLeaseIsLookedAt(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1), secretOf(2))
	for _, c := range []struct{ subject, body string }{
		{"lock.acquire.default.l", as(1) + "}"},
		{"election.campaign.default.e", as(1) + "}"},
		{"proposal.propose.default.p", as(1) + `,"voters":["` + owner(2) + `"]}`},
	} {
		first := w.must(t, nil, c.subject, c.body, bus.HeaderRequestID, "one")
		again := w.must(t, nil, c.subject, c.body, bus.HeaderRequestID, "one")
		if string(first.Data) != string(again.Data) || first.Header.Get(bus.HeaderRevision) != again.Header.Get(bus.HeaderRevision) {
			t.Errorf("%s: first %s at %s, again %s at %s", c.subject, first.Data, first.Header.Get(bus.HeaderRevision), again.Data, again.Header.Get(bus.HeaderRevision))
		}
	}
	release := func() *nats.Msg {
		return w.must(t, nil, "lock.release.default.l", as(1)+"}", bus.HeaderRequestID, "two")
	}
	first := release()
	w.end(t, secretOf(1))
	if again := release(); string(again.Data) != string(first.Data) {
		t.Errorf("the repeat of a release: %s; want %s", again.Data, first.Data)
	}
}

func TestWhatIsAnnouncedIsTheRecord(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1), secretOf(2))
	sub, err := w.nc.SubscribeSync(bus.DefaultPrefix + ".announce.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind, verb, more string
		into             func() any
	}{
		{"election", "campaign", `,"value":[1,"<&>"],"priority":-3`, func() any { return new(bus.ElectionRecord) }},
		{"lock", "acquire", `,"mode":"shared","holder":"h"`, func() any { return new(bus.QueueRecord) }},
		{"semaphore", "acquire", `,"limit":5,"permits":2`, func() any { return new(bus.QueueRecord) }},
		{"barrier", "arrive", `,"size":1`, func() any { return new(bus.BarrierRecord) }},
		{"proposal", "propose", `,"voters":["` + owner(2) + `"]`, func() any { return new(bus.ProposalsRecord) }},
	} {
		w.must(t, nil, c.kind+"."+c.verb+".default.a=2Eb", as(1)+c.more+"}")
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatalf("%s: %v", c.kind, err)
		}
		if want := "roost.v1.announce." + c.kind + ".default.a=2Eb"; m.Subject != want || m.Header.Get(bus.HeaderSequence) == "" {
			t.Errorf("announced on %s with %v; want %s", m.Subject, m.Header, want)
		}
		announced := c.into()
		strictly(t, m.Data, announced)
		reply := w.must(t, nil, c.kind+".get.default.a=2Eb", "")
		if c.kind == "proposal" {
			var latest bus.ProposalRecord
			strictly(t, reply.Data, &latest)
			if diff := cmp.Diff(*announced.(*bus.ProposalsRecord).Latest, latest); diff != "" {
				t.Errorf("the announced proposal and get (-announced +got):\n%s", diff)
			}
			continue
		}
		got := c.into()
		strictly(t, reply.Data, got)
		if diff := cmp.Diff(announced, got, equalJSON); diff != "" {
			t.Errorf("%s (-announced +got):\n%s", c.kind, diff)
		}
	}
}

// equalJSON compares what differs in its escapes alone.
var equalJSON = cmp.Comparer(func(a, b json.RawMessage) bool {
	var x, y any
	return bytes.Equal(a, b) || json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && cmp.Equal(x, y)
})

// strictly decodes a record, of which clients need to know everything but what is for nodes.
func strictly(t *testing.T, text []byte, into any) {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	strip(all)
	rest, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(rest))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Errorf("%s: %v", text, err)
	}
}

// strip leaves out what is for nodes.
func strip(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range []string{"ticket", "came", "arrivals"} {
			delete(v, name)
		}
		for _, inner := range v {
			strip(inner)
		}
	case []any:
		for _, inner := range v {
			strip(inner)
		}
	}
}

func TestAnObjectThatNobodyUsesIsEmptyAndNotAbsent(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1))
	for kind, want := range map[string]string{"election": `{"leader":null,"term":0}`, "lock": `{}`, "semaphore": `{}`, "barrier": `{}`} {
		if got := w.must(t, nil, kind+".get.default.x", `{"consistency":"local"}`); string(got.Data) != want {
			t.Errorf("%s: %s; want %s", kind, got.Data, want)
		}
		w.must(t, nil, "admin.release."+kind+".default.x", "")
	}
	w.must(t, nil, "lock.release.default.x", as(1)+"}")
	w.must(t, nil, "election.resign.default.x", as(1)+"}")
	w.fail(t, bus.CodeNotFound, "admin.release.proposal.default.x", "")
	for _, key := range []string{"announce.lock.default.x", "announce.election.default.x"} {
		if e, err := w.store.Get(t.Context(), key); err == nil {
			t.Errorf("%s was made: %+v; want nothing written", key, e)
		}
	}
}

func TestAValueHasABoundOfItsCompactText(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1))
	voters := `,"voters":["` + owner(1) + `"]`
	for subject, more := range map[string]string{"election.campaign.default.v": "", "proposal.propose.default.v": voters} {
		long := `"` + strings.Repeat("x", bus.MaxObjectValue-2) + `"`
		e := w.fail(t, bus.CodeTooLarge, subject, as(1)+more+`,"value":[`+long+`]}`)
		if e.Field != "value" || e.Limit == nil || e.Limit.Bytes != bus.MaxObjectValue {
			t.Errorf("%s: %+v; want value, %d", subject, e, bus.MaxObjectValue)
		}
		w.must(t, nil, subject, as(1)+more+`,"value":`+strings.Repeat(" ", 100)+long+`}`)
	}
}

func TestObjectsHaveEndpointsOfTheService(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	reply, err := w.nc.Request("$SRV.INFO.roost", nil, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Endpoints []struct {
			Subject    string `json:"subject"`
			QueueGroup string `json:"queue_group"`
		} `json:"endpoints"`
	}
	if err := json.Unmarshal(reply.Data, &info); err != nil {
		t.Fatal(err)
	}
	there := map[string]string{}
	for _, e := range info.Endpoints {
		there[e.Subject] = e.QueueGroup
	}
	for subject := range there {
		if strings.HasPrefix(subject, "roost.v1.admin.release.counter.") {
			t.Errorf("%s is served; nobody holds a counter", subject)
		}
	}
	verbs := map[string]string{
		"election": "campaign resign transfer get", "lock": "acquire release get", "semaphore": "acquire release get",
		"barrier": "arrive get", "counter": "add get", "proposal": "propose vote get",
	}
	for kind, verbs := range verbs {
		want := []string{kind + ".list", kind + ".list.*"}
		for verb := range strings.FieldsSeq(verbs) {
			want = append(want, kind+"."+verb+".*.*")
		}
		if kind != "counter" {
			want = append(want, "admin.release."+kind+".*.*")
		}
		for _, subject := range want {
			if there["roost.v1."+subject] != bus.QueueGroup {
				t.Errorf("%s is not served in the queue group", subject)
			}
		}
	}
}
