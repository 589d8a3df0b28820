package client

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

const none = `{"registrations":[]}`

func TestAClientReadsItsOwnWrites(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("7", "3", stored))
	if err := register(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Lookup(t.Context(), key, Read{MinRevision: 5}); err != nil {
		t.Fatal(err)
	}
	m := s.requests()[1].msg
	if got, want := string(m.Data), `{"min_revision":7}`; got != want {
		t.Errorf("asked %s; want %s", got, want)
	}
	if got := m.Header.Get(bus.HeaderEpoch); got != "3" {
		t.Errorf("asked of epoch %q; want 3", got)
	}
}

func TestAClientWithoutReadYourWritesAsksForNothingItself(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("7", "3", stored))
	c.ownReads = false
	if err := register(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Lookup(t.Context(), key, Read{}); err != nil {
		t.Fatal(err)
	}
	if got := s.requests()[1].msg.Data; len(got) != 0 {
		t.Errorf("asked %s; want nothing", got)
	}
}

func TestWhatAReadSawIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("7", "3", stored))
	for range 2 {
		if _, _, err := c.Lookup(t.Context(), key, Read{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.requests()[1].msg.Data; len(got) != 0 {
		t.Errorf("asked %s; want nothing", got)
	}
}

func TestOwnWritesOfAnEarlierEpochAreForgotten(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("700", "3", stored), failure(bus.CodeCompacted, "4"), reply("2", "4", none), reply("3", "4", none))
	if err := register(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, stamp, err := c.List(t.Context(), Query{}); err != nil || stamp.Epoch != 4 {
			t.Fatalf("got stamp %+v, %v; want one of epoch 4", stamp, err)
		}
	}
	sent := s.requests()
	if len(sent) != 4 {
		t.Fatalf("sent %d times; want 4", len(sent))
	}
	for _, again := range sent[2:] {
		if len(again.msg.Data) != 0 {
			t.Errorf("asked %s after the epoch had changed; want nothing", again.msg.Data)
		}
	}
	if got := sent[3].msg.Header.Get(bus.HeaderEpoch); got != "4" {
		t.Errorf("asked of epoch %q; want 4", got)
	}
}

func TestOwnWritesAreNotForgottenBecauseOfANodeThatIsStillInAnEarlierEpoch(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("700", "3", stored), failure(bus.CodeCompacted, "2"), reply("701", "3", none))
	if err := register(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, stamp, err := c.List(t.Context(), Query{}); err != nil || stamp.Epoch != 3 {
		t.Errorf("got stamp %+v, %v; want one of epoch 3", stamp, err)
	}
	sent := s.requests()
	if want := `{"min_revision":700}`; len(sent) != 3 || string(sent[2].msg.Data) != want {
		t.Errorf("asked %d times, at last %s; want 3 times and %s", len(sent), sent[len(sent)-1].msg.Data, want)
	}
}

func TestCompactedOfAnEpochThatNobodyHasToldOfIsTheCallers(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("700", "3", stored), failure(bus.CodeCompacted, "3"))
	if err := register(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	_, _, err := c.List(t.Context(), Query{Read: Read{MinRevision: 1, Epoch: 4}})
	wantErr(t, err, ErrCompacted)
	if n := len(s.requests()); n != 2 {
		t.Errorf("asked %d times; want once: it may never be in that epoch", n-1)
	}
}

func TestCompactedOnTheCallersAccountIsTheCallers(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, failure(bus.CodeCompacted, "4"))
	_, _, err := c.Lookup(t.Context(), key, Read{MinRevision: 9, Epoch: 2})
	wantErr(t, err, ErrCompacted)
	if n := len(s.requests()); n != 1 {
		t.Errorf("sent %d times; want 1", n)
	}
}

func TestAPageLargerThanMaxBytesIsAskedForWithFewerEntries(t *testing.T) {
	t.Parallel()
	entry := func(instance string) string {
		return `{"namespace":"default","service":"s","instance":"` + instance + `","revision":1}`
	}
	list := func(next string, instances ...string) string {
		entries := make([]string, len(instances))
		for i, instance := range instances {
			entries[i] = entry(instance)
		}
		return `{"registrations":[` + strings.Join(entries, ",") + `],"next":"` + next + `","unknown":true}`
	}
	c, s := scripted(t, reply("7", "1", list("", "a", "b", "c")), reply("7", "1", list("behind-b", "a", "b")))
	all, _, err := c.List(t.Context(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	size := len(all.Registrations[0].AppendJSON(nil))

	s.sent = nil
	page, _, err := c.List(t.Context(), Query{MaxBytes: 2*size + 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Registrations) != 2 || page.Next != "behind-b" {
		t.Errorf("got %d entries and next %q; want 2 and the registry's own", len(page.Registrations), page.Next)
	}
	if got := string(s.requests()[1].msg.Data); got != `{"limit":2}` {
		t.Errorf("asked %s; want a limit of 2", got)
	}
}

func TestARequestSaysHowLongItMayBeHeld(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("7", "1", stored))
	if _, _, err := c.Lookup(t.Context(), key, Read{}); err != nil {
		t.Fatal(err)
	}
	ms, err := time.ParseDuration(s.requests()[0].msg.Header.Get(bus.HeaderTimeout) + "ms")
	if wait := firstReadTry; err != nil || ms >= wait || ms < wait*8/10 {
		t.Errorf("held for at most %v, %v; want a little less than %v", ms, err, wait)
	}
}

func TestNamesAndQueriesAreCheckedBeforeTheyBecomeSubjects(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("7", "1", stored))
	_, _, lookup := c.Lookup(t.Context(), Key{}, Read{})
	_, _, list := c.List(t.Context(), Query{Scope: Scope{Service: "s"}})
	_, _, count := c.Count(t.Context(), Query{Status: []Status{9}})
	_, _, services := c.Services(t.Context(), Query{Filter: "true"})
	_, _, wait := c.List(t.Context(), Query{Read: Read{Wait: time.Second}})
	_, _, long := c.Lookup(t.Context(), key, Read{Wait: backend.MaxWait + 1})
	_, _, unregister := c.Unregister(t.Context(), Key{Namespace: "_"}, Write{})
	for _, err := range []error{lookup, list, count, services, wait, long, unregister} {
		wantErr(t, err, ErrInvalid)
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("sent %d requests", n)
	}
}

func TestMetadataTravelsAsItIs(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("7", "1", stored))
	r, _, err := c.Register(t.Context(), Registration{Key: key, Metadata: `{"a":"<&>","n":1.50}`}, Write{})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"metadata":{"a":"<&>","n":1.50},"weight":0,"status":"up"}`; string(s.requests()[0].msg.Data) != want {
		t.Errorf("sent %s; want %s", s.requests()[0].msg.Data, want)
	}
	if diff := cmp.Diff(Metadata(`{"a":"<&>"}`), r.Metadata); diff != "" {
		t.Errorf("metadata of the reply:\n%s", diff)
	}
}
