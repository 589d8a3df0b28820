package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// asker lists everything through one node, again and again.
type asker struct {
	node *wholeNode
	nc   *nats.Conn
	body string
	bare answer // what all answers have in common

	mu      sync.Mutex
	answers []answer
	refused []refusal
}

// refusal is a list that was not answered.
type refusal struct {
	sent, came time.Time
	code       string // of the reply; "" without one
}

// ask asks until ctx is done.
func (a *asker) ask(ctx context.Context, t *testing.T) {
	t.Helper()
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for {
		request := nats.NewMsg(a.node.own + ".registry.list.default.payments")
		request.Data = []byte(a.body)
		request.Header.Set(bus.HeaderTimeout, "700")
		got := a.bare
		got.sent = time.Now()
		reply, err := a.nc.RequestMsg(request, time.Second)
		got.came = time.Now()
		a.note(t, got, reply, err)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

func (a *asker) note(t *testing.T, got answer, reply *nats.Msg, err error) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.refused = append(a.refused, refusal{got.sent, got.came, ""})
		return
	}
	if code := reply.Header.Get(bus.HeaderErrorCode); code != "" {
		a.refused = append(a.refused, refusal{got.sent, got.came, code})
		return
	}
	var body struct{ Registrations []shownEntry }
	revision, err1 := strconv.ParseUint(reply.Header.Get(bus.HeaderRevision), 10, 64)
	age, err2 := strconv.ParseInt(reply.Header.Get(bus.HeaderAge), 10, 64)
	if err := json.Unmarshal(reply.Data, &body); err != nil || err1 != nil || err2 != nil {
		t.Errorf("list of %s: %v %s", a.node.name, reply.Header, reply.Data)
		return
	}
	got.revision, got.age = client.Revision(revision), time.Duration(age)*time.Millisecond
	got.entries = map[string]shownEntry{}
	for _, e := range body.Registrations {
		got.entries[e.Instance] = e
	}
	a.answers = append(a.answers, got)
}

// newest returns the newest answer that was asked for after since.
func (a *asker) newest(since time.Time) (answer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.answers) == 0 {
		return answer{}, false
	}
	last := a.answers[len(a.answers)-1]
	return last, last.sent.After(since)
}

// healPatience is how long servers may take to be a cluster again: whoever was cut off has
// asked for votes in vain meanwhile, so that all elect leaders anew.
const healPatience = 2 * time.Minute

// awaitYoung waits for an answer to a list that was sent after since, and is young.
func (a *asker) awaitYoung(t *testing.T, since time.Time) {
	t.Helper()
	for deadline := time.Now().Add(healPatience); ; time.Sleep(5 * time.Millisecond) {
		if got, some := a.newest(since); some && got.age < maxAge {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has not been asked with success for %v", a.node.name, healPatience)
		}
	}
}

// split is a registry on three servers, each with a node, and those who use it.
type split struct {
	cluster *natstest.Linked
	nodes   []*wholeNode // one on each server
	history *chronicle
}

func startSplit(t *testing.T) *split {
	t.Helper()
	s := &split{cluster: natstest.StartLinked(t, 3), history: &chronicle{changes: map[string][]change{}}}
	for i := range s.cluster.Nodes {
		s.nodes = append(s.nodes, startWhole(t, keeperPrefix, fmt.Sprint("n", i), s.to(t, i)))
	}
	return s
}

// to returns what connects to a server and no other.
func (s *split) to(t *testing.T, i int) func() *nats.Conn {
	t.Helper()
	return func() *nats.Conn { return s.cluster.Connect(t, s.cluster.Nodes[i:i+1]) }
}

// client returns a client of the registry under prefix, on a connection to a server.
func (s *split) client(t *testing.T, i int, prefix string, opts ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(s.to(t, i)(), append([]client.Option{client.WithPrefix(prefix)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// keeper waits for a keeper and returns which node it is.
func (s *split) keeper(t *testing.T, except int) int {
	t.Helper()
	which := -1
	natstest.Await(t, "a keeper", func() bool {
		for i, n := range s.nodes {
			if i != except && n.Serving() {
				which = i
			}
		}
		return which >= 0
	})
	return which
}

// leader waits for a leader of the bucket's stream and returns on which server it is.
func (s *split) leader(t *testing.T) int {
	t.Helper()
	leader := s.cluster.StreamLeader(t, "KV_"+bucketOf(t, keeperPrefix))
	for i, n := range s.cluster.Nodes {
		if n == leader {
			return i
		}
	}
	t.Fatal("the leader is none of the servers")
	return -1
}

// attempt is a write through the node that is cut off.
type attempt struct {
	sent, came time.Time
	key        client.Key
	revision   client.Revision
	err        error
}

// attempts are such writes, each of a name of its own.
type attempts struct {
	mu  sync.Mutex
	all []attempt
}

// write registers one name after the other until ctx is done.
func (a *attempts) write(ctx context.Context, c *client.Client, prefix string) {
	for n := 0; ctx.Err() == nil; n++ {
		one := attempt{sent: time.Now(), key: client.Key{Namespace: "default", Service: "doubtful", Instance: fmt.Sprint(prefix, n)}}
		var r client.Registration
		r, _, one.err = c.Register(context.WithoutCancel(ctx), client.Registration{Key: one.key}, client.Write{})
		one.revision, one.came = r.Revision, time.Now()
		a.mu.Lock()
		a.all = append(a.all, one)
		a.mu.Unlock()
	}
}
