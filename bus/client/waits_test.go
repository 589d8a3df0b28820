package client

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// asked is what a request that waits has in its body.
type asked struct {
	WaitMs      int64  `json:"wait_ms"`
	Since       uint64 `json:"since"`
	MinRevision uint64 `json:"min_revision"`
}

func askedIn(t *testing.T, m *nats.Msg) (a asked) {
	t.Helper()
	if err := json.Unmarshal(m.Data, &a); err != nil {
		t.Fatalf("%s: %v", m.Data, err)
	}
	return a
}

// heldFor is a fate that waits as it is asked to before it answers.
func heldFor(t *testing.T, then func(context.Context, *nats.Msg) (*nats.Msg, error)) func(context.Context, *nats.Msg) (*nats.Msg, error) {
	t.Helper()
	return func(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
		wait := time.Duration(askedIn(t, m).WaitMs) * time.Millisecond
		allowed, err := time.ParseDuration(m.Header.Get(bus.HeaderTimeout) + "ms")
		if err != nil || allowed < wait {
			t.Errorf("held for %v, %v; want at least the wait of %v", allowed, err, wait)
		}
		select {
		case <-time.After(wait):
			return then(ctx, m)
		case <-ctx.Done():
			t.Errorf("gave up a wait of %v", wait)
			return nil, ctx.Err()
		}
	}
}

func TestALongWaitIsMadeOfParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, heldFor(t, failure(bus.CodeTimeout, "3")))
		begun := time.Now()
		const wait = 40*time.Second + 500*time.Microsecond
		_, _, err := c.Lookup(t.Context(), key, Read{Wait: wait})
		wantErr(t, err, ErrTimeout)
		if took := time.Since(begun); took < wait || took > wait+time.Millisecond {
			t.Errorf("took %v; want %v", took, wait)
		}
		var parts []int64
		for _, sent := range s.requests() {
			parts = append(parts, askedIn(t, sent.msg).WaitMs)
		}
		if diff := cmp.Diff([]int64{15_000, 15_000, 10_001}, parts); diff != "" {
			t.Errorf("parts (-want +got):\n%s", diff)
		}
	})
}

func TestAWaitGoesOnWithAnotherNodeWhenOneDies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, silence, heldFor(t, failure(bus.CodeUnavailable, "3")), heldFor(t, failure(bus.CodeTimeout, "3")), reply("7", "3", stored))
		begun := time.Now()
		if _, _, err := c.Lookup(t.Context(), key, Read{Wait: time.Hour}); err != nil {
			t.Fatal(err)
		}
		sent := s.requests()
		if len(sent) != 4 {
			t.Fatalf("sent %d times; want 4", len(sent))
		}
		if noticed := sent[1].at.Sub(begun); noticed > longestWait+firstReadTry {
			t.Errorf("the dead node cost %v", noticed)
		}
	})
}

func TestAWaitOutlastsARegistryThatIsAwayButNotForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, unheard)
		begun := time.Now()
		_, _, err := c.Lookup(t.Context(), key, Read{Wait: time.Minute})
		wantErr(t, err, ErrUnavailable)
		if took := time.Since(begun); took != time.Minute+DefaultReadTimeout {
			t.Errorf("took %v; want the wait and the timeout of a read", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err = c.Lookup(ctx, key, Read{Wait: time.Minute})
		wantErr(t, err, ErrUnavailable)
		wantErr(t, err, context.DeadlineExceeded)
	})
}

func TestTheRevisionOfAListThatWaitsGrowsWithItsParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const nothing = `{"registrations":[],"removed":[]}`
		const gone = `{"registrations":[],"removed":[{"namespace":"n","service":"s","instance":"i","revision":33,"reason":"moved"}]}`
		c, s := scripted(t, heldFor(t, reply("20", "3", nothing)), heldFor(t, reply("30", "3", nothing)), reply("33", "3", gone))
		since := Revision(9)
		page, stamp, err := c.List(t.Context(), Query{Since: &since, Read: Read{Wait: time.Hour, Epoch: 3}})
		if err != nil || stamp.Revision != 33 {
			t.Fatalf("got %+v, %v; want an answer at 33", stamp, err)
		}
		want := []Removed{{Key: Key{Namespace: "n", Service: "s", Instance: "i"}, Revision: 33, Reason: "moved"}}
		if diff := cmp.Diff(want, page.Removed); diff != "" {
			t.Errorf("removed (-want +got):\n%s", diff)
		}
		var asked []uint64
		for _, sent := range s.requests() {
			asked = append(asked, askedIn(t, sent.msg).Since)
			if got := sent.msg.Header.Get(bus.HeaderEpoch); got != "3" {
				t.Errorf("asked of epoch %q; want 3", got)
			}
		}
		if diff := cmp.Diff([]uint64{9, 20, 30}, asked); diff != "" || since != 9 {
			t.Errorf("the caller's revision is %d; asked since (-want +got):\n%s", since, diff)
		}
	})
}

func TestALaterPageDoesNotWait(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("7", "3", `{"registrations":[],"removed":[]}`))
	since := Revision(5)
	if _, _, err := c.List(t.Context(), Query{Since: &since, After: "MyA3IG4ucy5p", Read: Read{Wait: time.Hour}}); err != nil {
		t.Fatal(err)
	}
	sent := s.requests()
	if a := askedIn(t, sent[0].msg); len(sent) != 1 || a.WaitMs != 0 {
		t.Errorf("sent %d times, %s; want once and no wait", len(sent), sent[0].msg.Data)
	}
}

func TestASinceOfAnEarlierEpochIsNotAskedForInAnother(t *testing.T) {
	t.Parallel()
	c, s := scripted(t, reply("700", "3", stored), failure(bus.CodeCompacted, "4"))
	if err := register(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	since := Revision(600)
	_, _, err := c.List(t.Context(), Query{Since: &since})
	wantErr(t, err, ErrCompacted)
	sent := s.requests()
	if len(sent) != 2 || sent[1].msg.Header.Get(bus.HeaderEpoch) != "3" {
		t.Errorf("sent %d times, last of epoch %q; want twice, of 3", len(sent), sent[len(sent)-1].msg.Header.Get(bus.HeaderEpoch))
	}
}

func TestAPageOfChangesLargerThanMaxBytesIsAskedForWithFewerEntries(t *testing.T) {
	t.Parallel()
	list := func(next string, there, gone []string) string {
		body := map[string][]map[string]any{"registrations": {}, "removed": {}}
		for _, name := range there {
			body["registrations"] = append(body["registrations"], map[string]any{"namespace": "n", "service": "s", "instance": name})
		}
		for _, name := range gone {
			body["removed"] = append(body["removed"], map[string]any{"namespace": "n", "service": "s", "instance": name})
		}
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`%s,"next":%q}`, text[:len(text)-1], next)
	}
	c, s := scripted(t, reply("7", "1", list("", []string{"b"}, []string{"a", "c"})), reply("7", "1", list("behind-b", []string{"b"}, []string{"a"})))
	since := Revision(5)
	b := Registration{Key: Key{Namespace: "n", Service: "s", Instance: "b"}, Weight: 100}
	a := Removed{Key: Key{Namespace: "n", Service: "s", Instance: "a"}}
	page, _, err := c.List(t.Context(), Query{Since: &since, MaxBytes: len(b.AppendJSON(nil)) + len(a.AppendJSON(nil))})
	if err != nil || len(page.Registrations) != 1 || len(page.Removed) != 1 || page.Next != "behind-b" {
		t.Fatalf("got %+v, %v; want a removed, b, and the registry's next", page, err)
	}
	if got := string(s.requests()[1].msg.Data); got != `{"limit":2,"since":5}` {
		t.Errorf("asked %s; want a limit of 2", got)
	}
}
