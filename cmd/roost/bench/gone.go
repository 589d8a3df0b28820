package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// mourner hears of what is gone, one message each.
type mourner struct {
	counts func(*nats.Msg) bool

	mu    sync.Mutex
	heard map[string]time.Time // by subject
	more  chan struct{}        // closed at the next
}

// mourn subscribes to what counts on a subject, over a connection of its own to url.
func (w *World) mourn(url, subject string, counts func(*nats.Msg) bool) (*mourner, error) {
	nc, err := w.connectTo(url)
	if err != nil {
		return nil, err
	}
	w.afterwards(func() error { nc.Close(); return nil })
	d := newMourner(counts)
	if _, err := nc.Subscribe(subject, d.hear); err != nil {
		return nil, err
	}
	return d, nc.Flush()
}

func newMourner(counts func(*nats.Msg) bool) *mourner {
	return &mourner{counts: counts, heard: map[string]time.Time{}, more: make(chan struct{})}
}

// expired reports whether an event is about a registration that has ended with its lease.
func expired(m *nats.Msg) bool { return m.Header.Get(bus.HeaderEvent) == "expired" }

func (d *mourner) hear(m *nats.Msg) {
	at := time.Now()
	if !d.counts(m) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, before := d.heard[m.Subject]; before {
		return // the first counts
	}
	d.heard[m.Subject] = at
	close(d.more)
	d.more = make(chan struct{})
}

// when waits until a subject was heard of, and returns when that was.
func (d *mourner) when(ctx context.Context, subject string) (time.Time, error) {
	for {
		d.mu.Lock()
		at, ok := d.heard[subject]
		more := d.more
		d.mu.Unlock()
		if ok {
			return at, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("nothing was heard of %s: %w", subject, context.Cause(ctx))
		}
	}
}

// beatsHeard is when keepalives of one lease each came.
type beatsHeard struct {
	mu   sync.Mutex
	last map[string]time.Time // by secret
}

func (h *beatsHeard) hear(m *nats.Msg) {
	at := time.Now()
	var q bus.KeepaliveRequest
	if err := json.Unmarshal(m.Data, &q); err != nil || q.Lease == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last == nil {
		h.last = map[string]time.Time{}
	}
	h.last[q.Lease] = at
}

// latest returns when the newest of a lease came; the zero time: none has.
func (h *beatsHeard) latest(secret string) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last[secret]
}
