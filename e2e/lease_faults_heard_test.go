package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// removals hears what is removed.
type removals struct {
	mu   sync.Mutex
	all  map[string]removal // by instance
	news chan struct{}
}

type removal struct {
	at     time.Time
	kind   string
	reason string
}

// hearRemovals listens at url for what is removed of a service.
func hearRemovals(t *testing.T, url, service string) *removals {
	t.Helper()
	r := &removals{all: map[string]removal{}, news: make(chan struct{}, 1)}
	nc := connect(t, url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.IgnoreDiscoveredServers())
	_, err := nc.Subscribe(keeperPrefix+".event.default."+service+".*", func(m *nats.Msg) {
		if m.Header.Get(bus.HeaderKVOperation) == "" {
			return
		}
		at := time.Now()
		var body struct{ Instance string }
		if err := json.Unmarshal(m.Data, &body); err != nil {
			t.Errorf("event %s: %v", m.Data, err)
		}
		r.mu.Lock()
		r.all[body.Instance] = removal{at, m.Header.Get(bus.HeaderEvent), m.Header.Get(bus.HeaderReason)}
		r.mu.Unlock()
		select {
		case r.news <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return r
}

// await waits until an instance has been removed.
func (r *removals) await(t *testing.T, instance string) removal {
	t.Helper()
	late := time.After(patience)
	for {
		r.mu.Lock()
		found, ok := r.all[instance]
		r.mu.Unlock()
		if ok {
			return found
		}
		select {
		case <-r.news:
		case <-late:
			t.Fatalf("%s is not removed after %v", instance, patience)
		}
	}
}

// none fails if anything was removed.
func (r *removals) none(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for instance, one := range r.all {
		t.Errorf("%s was removed: %s, %s", instance, one.kind, one.reason)
	}
}

// sent counts what the clients of a fleet have sent, by subject.
type sent struct {
	grants, keepalives, registers atomic.Int64
}

// tap is a dialer whose connections are counted on.
type tap struct{ sent *sent }

// Dial implements [nats.CustomDialer].
func (d tap) Dial(network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: patience}).DialContext(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	return &tapped{Conn: c, sent: d.sent}, nil
}

type tapped struct {
	net.Conn

	sent *sent
	rest []byte // of what was written before, too short to know
}

const tappedPrefix = "PUB " + keeperPrefix

// Write is called by one goroutine at a time.
func (c *tapped) Write(p []byte) (int, error) {
	all := append(c.rest, p...)
	for _, counted := range []struct {
		subject string
		n       *atomic.Int64
	}{
		{tappedPrefix + ".lease.grant ", &c.sent.grants},
		{tappedPrefix + ".lease.keepalive ", &c.sent.keepalives},
		{tappedPrefix + ".registry.register.", &c.sent.registers},
		{tappedPrefix + ".registry.batch", &c.sent.registers},
	} {
		counted.n.Add(int64(bytes.Count(all, []byte(counted.subject)) - bytes.Count(c.rest, []byte(counted.subject))))
	}
	const longest = len(tappedPrefix) + len(".registry.register.")
	c.rest = bytes.Clone(all[max(0, len(all)-longest):])
	return c.Conn.Write(p)
}
