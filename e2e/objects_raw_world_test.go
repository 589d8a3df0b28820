package e2e_test

import (
	"encoding/json"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// rawObjects is a registry of two nodes, one who keeps leases alive, and one who sends raw
// messages.
type rawObjects struct {
	srv *natstest.Server
	url string
	c   *client.Client
	nc  *nats.Conn
}

func twoNodes(t *testing.T) *rawObjects {
	t.Helper()
	srv := natstest.Start(t, natstest.Listen)
	url := srv.URL()
	nodesOn(t, 2, []string{url})
	return &rawObjects{srv: srv, url: url, c: lookerAt(t, url), nc: connect(t, url)}
}

func (w *rawObjects) grant(t *testing.T) *client.Lease {
	t.Helper()
	l, err := w.c.Grant(t.Context(), client.LeaseOptions{TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// asLease begins the body of a request in the name of a lease's owner.
func asLease(l *client.Lease) string { return `{"lease":"` + l.Secret() + `"` }

// send sends a request and returns where its reply will be.
func (w *rawObjects) send(t *testing.T, subject, body string) <-chan *nats.Msg {
	t.Helper()
	replies := make(chan *nats.Msg, 1)
	inbox := w.nc.NewInbox()
	sub, err := w.nc.Subscribe(inbox, func(m *nats.Msg) { replies <- m })
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.AutoUnsubscribe(1); err != nil {
		t.Fatal(err)
	}
	if err := w.nc.PublishRequest(keeperPrefix+"."+subject, inbox, []byte(body)); err != nil {
		t.Fatal(err)
	}
	return replies
}

// answered waits for a reply and returns its code, "" for success, and its revision. v, if
// not nil, is what a success says.
func answered(t *testing.T, replies <-chan *nats.Msg, v any) (code bus.Code, revision uint64) {
	t.Helper()
	m := arrives(t, "reply", replies)
	revision, _ = strconv.ParseUint(m.Header.Get(bus.HeaderRevision), 10, 64)
	if m.Header.Get("Nats-Service-Error-Code") != "" {
		var e bus.Error
		if err := json.Unmarshal(m.Data, &e); err != nil || e.Code == "" {
			t.Fatalf("reply %s %v: %v", m.Data, m.Header, err)
		}
		return e.Code, revision
	}
	if v != nil {
		if err := json.Unmarshal(m.Data, v); err != nil {
			t.Fatalf("reply %s: %v", m.Data, err)
		}
	}
	return "", revision
}

// ask sends a request that must succeed.
func (w *rawObjects) ask(t *testing.T, subject, body string, v any) (revision uint64) {
	t.Helper()
	code, revision := answered(t, w.send(t, subject, body), v)
	if code != "" {
		t.Fatalf("%s %s: %s", subject, body, code)
	}
	return revision
}

// announced is every record of one object that was announced.
type announced[T any] struct {
	mu      sync.Mutex
	records []T
	at      map[uint64]T
}

func hearRecords[T any](t *testing.T, url, kind, name string) *announced[T] {
	t.Helper()
	a := &announced[T]{at: map[uint64]T{}}
	nc := connect(t, url)
	_, err := nc.Subscribe(keeperPrefix+".announce."+kind+"."+name, func(m *nats.Msg) {
		var r T
		if err := json.Unmarshal(m.Data, &r); err != nil {
			t.Errorf("announcement %s: %v", m.Data, err)
		}
		revision, _ := strconv.ParseUint(m.Header.Get(bus.HeaderSequence), 10, 64)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.records = append(a.records, r)
		a.at[revision] = r
	})
	if err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
	return a
}

// await waits until a record was announced, and returns it.
func (a *announced[T]) await(t *testing.T, what string, is func(T) bool) (found T) {
	t.Helper()
	seen := 0
	natstest.Await(t, what, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		for ; seen < len(a.records); seen++ {
			if is(a.records[seen]) {
				found = a.records[seen]
				return true
			}
		}
		return false
	})
	return found
}

// of returns the record that was announced at a revision.
func (a *announced[T]) of(t *testing.T, revision uint64) (found T) {
	t.Helper()
	natstest.Await(t, "announcement of revision "+strconv.FormatUint(revision, 10), func() (ok bool) {
		a.mu.Lock()
		defer a.mu.Unlock()
		found, ok = a.at[revision]
		return ok
	})
	return found
}
