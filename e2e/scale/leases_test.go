//go:build scale

package scale

import (
	"sync"
	"testing"
	"time"

	"github.com/roostbus/roost/bus/client"
)

// TestAHundredThousandLeases are on a hundred connections and beat every ten seconds, for
// five minutes in which a hundredth of them ends and begins anew each minute.
func TestAHundredThousandLeases(t *testing.T) {
	const connections, each, minutes = 100, 1000, 5
	n := serve(t, t.TempDir())
	holders := make([]*holder, connections)
	var granting sync.WaitGroup
	begun := time.Now()
	slots := make(chan struct{}, 16)
	for i := range holders {
		holders[i] = &holder{c: n.connect(t)}
		granting.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			holders[i].grant(t, each)
		})
	}
	granting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	took := time.Since(begun)
	figure(t, "100k leases: granted", "%v, %.0f/s", took.Round(time.Millisecond), connections*each/took.Seconds())

	cpu, begun := n.cpu(t), time.Now()
	first := n.resident(t)
	for minute := range minutes {
		for i, h := range holders { // one hundredth of each holder's
			h.churn(t, each/100)
			time.Sleep(time.Until(begun.Add(time.Duration(minute)*time.Minute + time.Duration(i+1)*time.Minute/connections)))
		}
		figure(t, "100k leases: memory of the node", "%s after %d min (%s at first)", mb(n.resident(t)), minute+1, mb(first))
	}
	figure(t, "100k leases: CPU of the node", "%.3f cores", (n.cpu(t)-cpu).Seconds()/time.Since(begun).Seconds())
	for _, h := range holders {
		h.wantAlive(t)
	}
	alive := 0
	for _, err := range holders[0].c.Leases(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		alive++
	}
	if alive != connections*each {
		t.Errorf("%d leases live, want %d", alive, connections*each)
	}
	figure(t, "100k leases: ended by mistake", "%d", connections*each-alive)
}

// holder holds leases over one connection.
type holder struct {
	c      *client.Client
	leases []*client.Lease
}

func (h *holder) grant(t *testing.T, n int) {
	t.Helper()
	for range n {
		l, err := h.c.Grant(t.Context(), client.LeaseOptions{TTL: 30 * time.Second}) // a beat every ten
		if err != nil {
			t.Error("grant:", err)
			return
		}
		h.leases = append(h.leases, l)
	}
}

// churn ends the n oldest and has as many granted.
func (h *holder) churn(t *testing.T, n int) {
	t.Helper()
	h.wantAlive(t)
	for _, l := range h.leases[:n] {
		if err := l.Revoke(t.Context()); err != nil {
			t.Error("revoke:", err)
		}
	}
	h.leases = h.leases[n:]
	h.grant(t, n)
}

func (h *holder) wantAlive(t *testing.T) {
	t.Helper()
	for _, l := range h.leases {
		select {
		case <-l.Done():
			t.Error("a lease that lived was ended:", l.Err())
		default:
		}
	}
}
