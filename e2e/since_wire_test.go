package e2e_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/server"
)

// since asks for what changed after a revision and returns the reply as it came.
func (w *wireWorld) since(t *testing.T, subject string, revision any, more string) (*nats.Msg, bus.ListReply) {
	t.Helper()
	var list bus.ListReply
	reply := w.must(t, &list, subject, fmt.Sprintf(`{"since":%v%s}`, revision, more))
	return reply, list
}

// waiting waits until n requests wait.
func (w *wireWorld) waiting(t *testing.T, n int64) {
	t.Helper()
	within(t, fmt.Sprintf("%d requests that wait", n), func() bool { return w.s.Stats().Waiting == n })
}

func TestAListSinceARevisionOverTheWire(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	w.must(t, nil, "registry.register.default.a.kept", "")
	w.must(t, nil, "registry.register.default.a.gone", "")
	at := w.must(t, nil, "registry.register.default.a.weak", `{"weight":100}`).Header.Get("Roost-Revision")
	w.must(t, nil, "registry.register.default.a.new", "")
	w.must(t, nil, "registry.unregister.default.a.gone", `{"reason":"it is \"over\""}`)
	now := w.must(t, nil, "registry.update.default.a.weak", `{"weight":1}`).Header.Get("Roost-Revision")

	reply, list := w.since(t, "registry.list.default.a", at, `,"filter":"weight > 50"`)
	if len(list.Registrations) != 1 || list.Registrations[0].Instance != "new" {
		t.Errorf("registrations %s; want new alone", reply.Data)
	}
	const gone = `"removed":[` +
		`{"namespace":"default","service":"a","instance":"gone","revision":5,"reason":"it is \"over\""},` +
		`{"namespace":"default","service":"a","instance":"weak","revision":6,"reason":"unmatched"}]`
	if !strings.Contains(string(reply.Data), gone) {
		t.Errorf("reply %s; want %s", reply.Data, gone)
	}
	for _, more := range []string{"", `,"wait_ms":1`} {
		if reply, _ := w.since(t, "registry.list", now, more); string(reply.Data) != `{"registrations":[],"removed":[]}` {
			t.Errorf("nothing changed: %s", reply.Data)
		}
	}
	if reply := w.must(t, nil, "registry.list", `{"limit":1}`); strings.Contains(string(reply.Data), "removed") {
		t.Errorf("a list without since has removals: %s", reply.Data)
	}
	w.fail(t, bus.CodeCompacted, "registry.list", `{"since":1}`, "Roost-Epoch", "7")
	w.fail(t, bus.CodeCompacted, "registry.list", `{"since":0,"wait_ms":1000}`, "Roost-Epoch", "7")
	w.fail(t, bus.CodeUnavailable, "registry.list", `{"since":1000}`, "Roost-Timeout-Ms", "50")
	for _, body := range []string{
		`{"wait_ms":1}`, `{"since":1,"wait_ms":-1}`, `{"since":1,"wait_ms":86400001}`,
	} {
		if e := w.fail(t, bus.CodeInvalid, "registry.list", body); e.Field != "wait_ms" {
			t.Errorf("%s: about %q; want wait_ms", body, e.Field)
		}
	}
	if e := w.fail(t, bus.CodeInvalid, "registry.lookup.default.a.kept", `{"wait_ms":86400001}`); e.Field != "wait_ms" {
		t.Errorf("lookup: about %q; want wait_ms", e.Field)
	}
}

func TestEveryPageOfAListSinceFitsMaxPayload(t *testing.T) {
	t.Parallel()
	w := serveWire(t, wireBackend(t, backend.Nobody), smallPayload, nil)
	long := strings.Repeat(`é"`, 20)
	at := w.must(t, nil, "registry.register.default.a.i", "").Header.Get("Roost-Revision")
	const n = 200
	for i := range n {
		key := fmt.Sprintf("%s.s-%d.%s", backend.Token(long), i%7, backend.Token(fmt.Sprint(long, i)))
		w.must(t, nil, "registry.register."+key, fmt.Sprintf(`{"metadata":{"x":%q}}`, strings.Repeat("x", i*5)))
		if i%2 == 0 {
			w.must(t, nil, "registry.unregister."+key, fmt.Sprintf(`{"reason":%q}`, strings.Repeat(`"`, i)))
		}
	}
	for range 300 { // many small ones on one page
		w.must(t, nil, "registry.register.d.s.i", "")
		w.must(t, nil, "registry.unregister.d.s.i", "")
	}
	there, gone, pages, after := map[backend.Key]bool{}, map[backend.Key]bool{}, 0, ""
	for {
		reply, list := w.since(t, "registry.list", at, fmt.Sprintf(`,"limit":10000,"after":%q`, after))
		if reply.Size() > smallPayload+len(reply.Subject)+len(reply.Reply) {
			t.Errorf("a page of %d bytes", reply.Size())
		}
		for _, r := range list.Registrations {
			there[r.Key] = true
		}
		for _, r := range list.Removed {
			gone[r.Key] = true
		}
		pages++
		if after = list.Next; after == "" {
			break
		}
	}
	if len(there) != n/2 || len(gone) != n/2+1 || pages < 10 {
		t.Errorf("%d there, %d gone on %d pages; want %d and %d on many", len(there), len(gone), pages, n/2, n/2+1)
	}
}

func TestRequestsThatWaitAreAnsweredByWhatTheyWaitFor(t *testing.T) {
	t.Parallel()
	w := serveMemory(t)
	at := w.must(t, nil, "registry.register.default.a.i", "").Header.Get("Roost-Revision")
	list := w.later(t, "registry.list.default.a", `{"since":`+at+`,"wait_ms":600000}`)
	lookup := w.later(t, "registry.lookup.default.a.j", `{"wait_ms":600000}`)
	w.waiting(t, 2)
	w.must(t, nil, "registry.register.default.b.j", "")
	w.must(t, nil, "registry.register.default.a.j", "")
	if m := receive(t, "the list", list); !strings.Contains(string(m.Data), `"instance":"j"`) {
		t.Errorf("the list is %s; want j in it", m.Data)
	}
	if m := receive(t, "the look-up", lookup); !strings.Contains(string(m.Data), `"instance":"j"`) {
		t.Errorf("the look-up is %s; want j", m.Data)
	}
	w.waiting(t, 0)
	begun := time.Now()
	w.fail(t, bus.CodeTimeout, "registry.lookup.default.a.k", `{"wait_ms":60}`, "Roost-Timeout-Ms", "10") // too short: the wait counts
	if took := time.Since(begun); took < 60*time.Millisecond {
		t.Errorf("waited for %v; want 60ms", took)
	}
}

func TestRequestsThatWaitKeepNoOthersOut(t *testing.T) {
	t.Parallel()
	const most = 50
	w := serveWire(t, wireBackend(t, backend.Nobody), 0, func(c *server.Config) { c.MaxInFlight, c.MaxWaiting = 2, most })
	at := w.must(t, nil, "registry.register.default.a.i", "").Header.Get("Roost-Revision")
	var replies []<-chan *nats.Msg
	for i := range most {
		replies = append(replies, w.later(t, fmt.Sprintf("registry.list.default.s-%d", i), `{"since":`+at+`,"wait_ms":600000}`))
		w.waiting(t, int64(i)+1)
	}
	e := w.fail(t, bus.CodeLimitExceeded, "registry.lookup.default.a.k", `{"wait_ms":600000}`)
	if e.Limit == nil || e.Limit.Quota != "waiting requests" || e.Max != most {
		t.Errorf("limit %+v of %d; want waiting requests, %d", e.Limit, e.Max, most)
	}
	w.must(t, nil, "registry.list", "")
	var health bus.HealthReply
	if w.must(t, &health, "registry.health", ""); health.Requests.Waiting != most || health.Requests.WaitingLimit != most || health.Requests.InFlight > 2 {
		t.Errorf("health says %+v; want %d waiting of %d", health.Requests, most, most)
	}
	w.must(t, nil, "registry.register.default.s-7.i", "")
	receive(t, "the list of s-7", replies[7])
	w.waiting(t, most-1)
	w.later(t, "registry.lookup.default.a.k", `{"wait_ms":600000}`)
	w.waiting(t, most)
}

func TestAStopEndsRequestsThatWaitAtOnce(t *testing.T) {
	t.Parallel()
	w := serveWire(t, wireBackend(t, backend.Nobody), 0, func(c *server.Config) { c.DrainTimeout = time.Minute })
	at := w.must(t, nil, "registry.register.default.a.i", "").Header.Get("Roost-Revision")
	list := w.later(t, "registry.list.default.a", `{"since":`+at+`,"wait_ms":600000}`)
	lookup := w.later(t, "registry.lookup.default.a.j", `{"wait_ms":600000}`)
	w.waiting(t, 2)
	begun := time.Now()
	if err := w.stop(t); err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the stop took %v", took)
	}
	for _, reply := range []<-chan *nats.Msg{list, lookup} {
		wantFailure(t, bus.CodeUnavailable, receive(t, "the end of a wait", reply))
	}
}

// What a request that waits costs: far below what a connection does.
func TestTenThousandWaitingRequestsAreCheap(t *testing.T) {
	const n = 10_000
	b := wireBackend(t, backend.Nobody)
	w := serveWire(t, b, 0, nil)
	r, stamp, err := b.Register(t.Context(), backend.Registration{Key: backend.Key{Namespace: "default", Service: "a", Instance: "i"}}, backend.Write{})
	if err != nil {
		t.Fatal(err)
	}
	before := memoryInUse()
	inbox := w.nc.NewInbox()
	replies := make(chan *nats.Msg, n)
	if _, err := w.nc.ChanSubscribe(inbox, replies); err != nil {
		t.Fatal(err)
	}
	body := fmt.Appendf(nil, `{"since":%d,"wait_ms":600000}`, stamp.Revision)
	for i := 0; i < n; i += 500 { // MaxInFlight is less than all of them
		for j := range 500 {
			if err := w.nc.PublishRequest(fmt.Sprintf("roost.v1.registry.list.default.s-%d", i+j), inbox, body); err != nil {
				t.Fatal(err)
			}
		}
		w.waiting(t, int64(i)+500)
	}
	each := (memoryInUse() - before) / n
	t.Logf("%d bytes for each of %d that wait", each, n)
	if each > 32<<10 {
		t.Errorf("each takes %d bytes", each)
	}
	begun := time.Now()
	if _, _, err := b.Unregister(t.Context(), r.Key, backend.Write{}); err != nil { // wakes nobody
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("a write beside them took %v", took)
	}
	if err := w.stop(t); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i := range n {
		select {
		case m := <-replies:
			if got := m.Header.Get("Nats-Service-Error-Code"); got != "503" {
				t.Fatalf("reply %d: %q %s; want 503", i, got, m.Data)
			}
		case <-ctx.Done():
			t.Fatalf("%d of %d replies came", i, n)
		}
	}
}

// memoryInUse is what the heap and the stacks take after a collection.
func memoryInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
