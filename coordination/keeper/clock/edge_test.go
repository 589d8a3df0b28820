package clock_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/coordination/keeper/clock"
)

// TestAnAcknowledgedKeepaliveAndAnEndingAtTheEdgeNeverContradictEachOther is L1 and L2 over
// 10,000 rounds: keepalives are sent and arrive within milliseconds of the end of the TTL,
// while the Door settles and the store takes its time.
func TestAnAcknowledgedKeepaliveAndAnEndingAtTheEdgeNeverContradictEachOther(t *testing.T) {
	const clients, rounds, ttl = 100, 100, time.Second
	synctest.Test(t, func(t *testing.T) {
		n := alone(t, setup{cfg: func(c *clock.Config) { c.HoldShare = 1 }})
		n.gates.delay(time.Millisecond)
		n.door.change(func(d *door) { d.settle = func() { time.Sleep(time.Millisecond) } })
		var mu sync.Mutex
		kept, ended := 0, 0
		var tasks sync.WaitGroup
		for c := range clients {
			tasks.Go(func() {
				rng := rand.New(rand.NewPCG(1, uint64(c)))
				r := racer{n: n, ttl: ttl, rng: rng}
				for round := range rounds {
					if !r.lives {
						r.grant(t, fmt.Sprintf("c%d-%d", c, round))
					}
					r.race(t)
				}
				mu.Lock()
				defer mu.Unlock()
				kept, ended = kept+r.kept, ended+r.ended
			})
		}
		tasks.Wait()
		if kept < 1000 || ended < 1000 {
			t.Errorf("%d kept, %d ended; want many of both", kept, ended)
		}
	})
}

// racer is a client whose keepalives arrive at the edge.
type racer struct {
	n     *node
	ttl   time.Duration
	rng   *rand.Rand
	owner string
	lives bool
	sent  time.Time // the last one that was acknowledged

	kept, ended int
}

func (r *racer) jitter(most time.Duration) time.Duration {
	return time.Duration(r.rng.Int64N(int64(most)))
}

func (r *racer) grant(t *testing.T, owner string) {
	t.Helper()
	r.owner, r.sent = owner, time.Now()
	_, err := r.n.Grant(t.Context(), clock.Request{Owner: owner, TTL: r.ttl})
	if err != nil {
		t.Errorf("Grant() = %v", err)
	}
	r.lives = true
}

// race sends one keepalive around the end of the TTL.
func (r *racer) race(t *testing.T) {
	t.Helper()
	time.Sleep(time.Until(r.sent.Add(r.ttl - 10*time.Millisecond + r.jitter(25*time.Millisecond))))
	sent := time.Now()
	time.Sleep(r.jitter(3 * time.Millisecond)) // on its way
	received := time.Now()
	acknowledged := false
	if r.rng.IntN(2) == 0 {
		_, acknowledged = r.n.Touch(r.owner, clock.Connection{})
	}
	if !acknowledged {
		_, expired, err := r.n.Keepalive(t.Context(), []string{r.owner}, clock.Connection{})
		if err != nil {
			t.Errorf("Keepalive() = %v", err)
			return
		}
		acknowledged = len(expired) == 0
	}
	if acknowledged {
		r.kept++
		r.sent = sent
		return
	}
	r.ended++
	r.lives = false
	e, ok := r.n.seen(r.owner)
	switch {
	case !ok:
		t.Errorf("%s is expired and has not ended", r.owner)
	case e.at.Before(r.sent.Add(r.ttl)):
		t.Errorf("%s ended %v after the sending of an acknowledged keepalive; want %v", r.owner, e.at.Sub(r.sent), r.ttl)
	case e.at.After(received.Add(r.ttl + late)):
		t.Errorf("%s ended late", r.owner)
	}
}

// seen is end without waiting.
func (n *node) seen(owner string) (end, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.ended[owner]
	return e, ok
}
