package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/e2e/natstest"
)

// Section 8 of the protocol, by raw messages.

// use has each name of a kind be used once, by the first lease, and given back.
func (w *objectWire) use(t *testing.T, kind string, names ...string) {
	t.Helper()
	for _, name := range names {
		switch kind {
		case "election":
			w.must(t, nil, "election.campaign."+name, as(1)+"}")
			w.must(t, nil, "election.resign."+name, as(1)+"}")
		case "barrier":
			w.must(t, nil, "barrier.arrive."+name, as(1)+`,"size":1}`)
		case "counter":
			w.must(t, nil, "counter.add."+name, `{"delta":"-41"}`)
		case "proposal":
			var p bus.ProposalRecord
			w.must(t, &p, "proposal.propose."+name, as(1)+`,"voters":["`+owner(1)+`"]}`)
			w.must(t, nil, "proposal.vote."+name, as(1)+`,"id":"`+p.ID+`","accept":true}`)
		default:
			w.must(t, nil, kind+".acquire."+name, as(1)+map[string]string{"lock": "}", "semaphore": `,"limit":2}`}[kind])
			w.must(t, nil, kind+".release."+name, as(1)+"}")
		}
	}
}

func (w *objectWire) marks(t *testing.T, kind string) (marks []bus.Mark) {
	t.Helper()
	for after, pages := "", 0; pages == 0 || after != ""; pages++ {
		var reply bus.MarksReply
		w.must(t, &reply, "admin.marks", fmt.Sprintf(`{"kind":%q,"limit":2,"after":%q}`, kind, after))
		if len(reply.Marks) > 2 || pages > 4 {
			t.Fatalf("%s: page %d has %d marks", kind, pages, len(reply.Marks))
		}
		marks, after = append(marks, reply.Marks...), reply.Next
	}
	return marks
}

func (w *objectWire) restore(t *testing.T, kind, marks, more string) (states []string) {
	t.Helper()
	var reply bus.RestoreReply
	w.must(t, &reply, "admin.restore", `{"kind":"`+kind+`","marks":`+marks+more+`}`)
	for _, r := range reply.Results {
		states = append(states, r.State+string(r.Code))
	}
	return states
}

func kindNames() (all []string) {
	for _, kind := range bus.Kinds() {
		all = append(all, string(kind))
	}
	return all
}

func TestMarksAreWhatIsKeptOfObjectsInTheOrderOfTheirNames(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1), secretOf(2))
	names := []string{"b.1", "a=2Eb.x", "a.x", "b.=C3=BC", "b.2"}
	for _, kind := range kindNames() {
		w.use(t, kind, names...)
		var got []string
		for _, m := range w.marks(t, kind) {
			got = append(got, bus.Object{Namespace: m.Namespace, Name: m.Name}.String())
			var record map[string]json.RawMessage
			if err := json.Unmarshal(m.Record, &record); err != nil {
				t.Fatal(err)
			}
			for _, of := range []string{"candidates", "holders", "waiters", "parties", "limit", "size"} {
				if record[of] != nil {
					t.Errorf("%s: the mark is %s", kind, m.Record)
				}
			}
		}
		if diff := cmp.Diff(slices.Sorted(slices.Values(names)), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
		w.fail(t, bus.CodeInvalid, "admin.marks", `{"kind":"`+kind+`","after":"x"}`)
	}

	// What somebody uses is among them without whoever does; what nobody ever used is not.
	w.must(t, nil, "lock.acquire.z.z", as(1)+"}")
	w.must(t, nil, "lock.release.z.none", as(1)+"}")
	w.must(t, nil, "counter.add.z.z", `{"delta":"5"}`)
	w.must(t, nil, "counter.add.z.z", `{"delta":"-5"}`)
	var p bus.ProposalRecord
	w.must(t, &p, "proposal.propose.z.z", as(1)+`,"voters":["`+owner(2)+`"]}`)
	for kind, want := range map[string]int{"lock": 6, "counter": 5, "proposal": 5} {
		if marks := w.marks(t, kind); len(marks) != want || strings.Contains(fmt.Sprint(marks), "holders") {
			t.Errorf("%s: %d marks; want %d without holders", kind, len(marks), want)
		}
	}
	w.fail(t, bus.CodeInvalid, "admin.marks", "")
	w.fail(t, bus.CodeInvalid, "admin.marks", `{"kind":"locks"}`)
}

func TestMarksAreRestoredOnceAndOnlyWhereNobodyUsesTheObject(t *testing.T) {
	t.Parallel()
	from, to := serveObjects(t, nil), serveObjects(t, nil)
	from.grant(t, secretOf(1))
	to.grant(t, secretOf(1))
	from.raise(t, 3_000_000_000)
	for _, kind := range kindNames() {
		from.use(t, kind, "a.free", "a.used")
	}
	to.must(t, nil, "election.campaign.a.used", as(1)+"}")
	to.must(t, nil, "lock.acquire.a.used", as(1)+"}")
	to.must(t, nil, "semaphore.acquire.a.used", as(1)+`,"limit":2}`)
	to.must(t, nil, "counter.add.a.used", `{"delta":"7"}`)
	to.use(t, "proposal", "a.used")
	waits := to.send(t, "barrier.arrive.a.used", as(1)+`,"size":2,"wait_ms":60000}`)
	natstest.Await(t, "one to wait at the barrier", func() bool {
		var b bus.BarrierRecord
		to.must(t, &b, "barrier.get.a.used", "")
		return len(b.Parties) == 1
	})
	to.raise(t, 4_000_000_000)
	for _, kind := range kindNames() {
		kept, err := json.Marshal(from.marks(t, kind))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			what string
			at   *objectWire
			more string
			want []string
		}{
			{"where they come from", from, "", []string{"unchanged", "unchanged"}},
			{"a dry run", to, `,"dry_run":true`, []string{"restored", "in_use"}},
			{"another", to, `,"dry_run":true`, []string{"restored", "in_use"}},
			{"once", to, "", []string{"restored", "in_use"}},
			{"again", to, "", []string{"unchanged", "in_use"}},
		} {
			if diff := cmp.Diff(c.want, c.at.restore(t, kind, string(kept), c.more)); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", kind, c.what, diff)
			}
		}
	}
	if len(waits) > 0 {
		t.Errorf("who waited is told %s", (<-waits).Data)
	}
}

// raise begins an epoch above another, and asks for it again.
func (w *objectWire) raise(t *testing.T, above uint32) {
	t.Helper()
	var first, again bus.EpochReply
	body := fmt.Sprintf(`{"above":%d}`, above)
	w.must(t, &first, "admin.epoch", body)
	reply := w.must(t, &again, "admin.epoch", body)
	if uint32(first.Epoch) <= above || again != first || reply.Header.Get(bus.HeaderEpoch) != fmt.Sprint(first.Epoch) {
		t.Errorf("epoch %d and then %d, in a reply of %s; want one above %d", first.Epoch, again.Epoch, reply.Header.Get(bus.HeaderEpoch), above)
	}
	w.fail(t, bus.CodeCompacted, "lock.get.default.x", `{"min_revision":1}`, bus.HeaderEpoch, "1")
}

func TestAMarkThatCannotBeRestoredIsSaidSoBesideTheOthers(t *testing.T) {
	t.Parallel()
	w := serveObjects(t, nil)
	w.grant(t, secretOf(1))
	w.use(t, "lock", "a.x")
	mark := func(name, record string) string {
		return `{"namespace":"a","name":"` + name + `","record":` + record + `}`
	}
	present := string(w.marks(t, "lock")[0].Record)
	for kind, c := range map[string]struct{ records, want []string }{
		"lock": {
			[]string{present, `{}`, `null`, `[]`, `{"value":"3"}`, `{"token":"x"}`, `{"token":7}`, `{"token":"00000001-0000000000000007"}`},
			[]string{"conflict", "unchanged", "invalid", "invalid", "invalid", "invalid", "invalid", "restored"},
		},
		"election": {
			[]string{`{"term":18446744073709551615}`, `{"term":-1}`, `{"leader":null,"term":7}`}, []string{"invalid", "invalid", "restored"},
		},
		"barrier": {[]string{`{"done":9007199254740992}`, `{"done":7}`}, []string{"invalid", "restored"}},
		"counter": {
			[]string{`{"value":3}`, `{"value":"+3"}`, `{"value":""}`, `null`, `{"value":"3","x":1}`, `{"value":"3"}`},
			[]string{"invalid", "invalid", "invalid", "invalid", "invalid", "restored"},
		},
		"proposal": {[]string{`{"latest":{"id":"","state":"committed"}}`, `{"latest":{"id":"1","state":"voting"}}`, `{"latest":null}`}, []string{"invalid", "unchanged", "unchanged"}},
	} {
		var marks []string
		for i, record := range c.records {
			marks = append(marks, mark(fmt.Sprint("y", i), record))
		}
		if diff := cmp.Diff(c.want, w.restore(t, kind, "["+strings.Join(marks, ",")+"]", "")); diff != "" {
			t.Errorf("%s %v (-want +got):\n%s", kind, c.records, diff)
		}
	}
	good := mark("y", `{}`)
	for body, field := range map[string]string{
		`{"marks":[]}`:                              "kind",
		`{"kind":"x","marks":[]}`:                   "kind",
		`{"kind":"lock","marks":[{}]}`:              "marks.0",
		`{"kind":"lock","marks":[` + good + `,{}]}`: "marks.1",
		`{"kind":"lock","marks":[{"namespace":"a","name":"_x","record":{}}]}`:     "marks.0",
		`{"kind":"lock","marks":[` + strings.Repeat(good+",", 1000) + good + `]}`: "marks",
	} {
		if e := w.fail(t, bus.CodeInvalid, "admin.restore", body); e.Field != field {
			t.Errorf("%.80s: about %q (%s); want %q", body, e.Field, e.Message, field)
		}
	}
	for _, above := range []string{"4294967295", "4294967294"} {
		if e := w.fail(t, bus.CodeInvalid, "admin.epoch", `{"above":`+above+`}`); e.Field != "above" {
			t.Errorf("%s: about %q; want above", above, e.Field)
		}
	}
}
