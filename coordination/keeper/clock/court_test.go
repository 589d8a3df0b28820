package clock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/roostbus/roost/coordination/keeper/clock"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// mishap is something that happens to one of two nodes for a while.
type mishap struct {
	after, lasts time.Duration
	node         int
	kind         string
}

func mishaps(t *rapid.T) []mishap {
	millis := func(most int) time.Duration {
		return time.Duration(rapid.IntRange(1, most).Draw(t, "ms")) * time.Millisecond
	}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) mishap {
		return mishap{
			after: millis(4000), lasts: millis(9000), node: rapid.IntRange(0, 1).Draw(t, "node"),
			kind: rapid.SampledFrom([]string{"stop", "cut", "lose", "slow", "rerun", "resync"}).Draw(t, "kind"),
		}
	}), 1, 10).Draw(t, "mishaps")
}

// court knows what was acknowledged, and when what ended.
type court struct {
	mu    sync.Mutex
	acked map[string]time.Time // by owner: the sending of the last
	ended map[string]time.Time // by the store's clock, which is the test's
	wrong []string
}

func (c *court) Begin(kvstore.Generation) {}
func (c *court) Live(uint64)              {}
func (c *court) Stale(error)              {}

func (c *court) Apply(e kvstore.Entry) {
	r, err := kvstore.Decode[lease.Record](e)
	if err != nil || len(e.Key) <= len(lease.Prefix) || e.Key[:len(lease.Prefix)] != lease.Prefix || r.Ended == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended[e.Key[len(lease.Prefix):]] = e.Time
}

func (c *court) ack(owner string, sent time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sent.After(c.acked[owner]) {
		c.acked[owner] = sent
	}
}

// TestWhateverHappensToKeepersNoAcknowledgedLeaseEndsBeforeItsTTL is L1 and L3: nodes are
// stopped, cut off, slow and deaf, and clients talk to both.
func TestWhateverHappensToKeepersNoAcknowledgedLeaseEndsBeforeItsTTL(t *testing.T) {
	acked, ended := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		plan, seed := mishaps(rt), rapid.Uint64().Draw(rt, "seed")
		c := &court{acked: map[string]time.Time{}, ended: map[string]time.Time{}}
		synctest.Test(t, func(t *testing.T) { try(t, c, plan, seed) })
		for owner, at := range c.ended {
			if sent, ok := c.acked[owner]; ok && at.Before(sent.Add(courtTTL)) {
				rt.Errorf("%s ended %v after the sending of an acknowledged keepalive", owner, at.Sub(sent))
			}
		}
		for _, wrong := range c.wrong {
			rt.Error(wrong)
		}
		acked, ended = acked+len(c.acked), ended+len(c.ended)
	})
	if acked < 100 || ended < 100 {
		t.Errorf("%d leases were kept alive, %d ended; want many", acked, ended)
	}
}

const courtTTL = 1500 * time.Millisecond

// try has clients live through plan.
func try(t *testing.T, c *court, plan []mishap, seed uint64) {
	t.Helper()
	store := memkv.New()
	ctx, cancel := context.WithCancel(context.Background())
	var watch, clients, calls sync.WaitGroup
	watch.Go(func() { _ = store.Feed(ctx, c) })
	nodes := []*node{start(t, store, "a", setup{}), start(t, store, "b", setup{})}
	over := make(chan struct{})
	for i := range uint64(4) {
		clients.Go(func() {
			rng := rand.New(rand.NewPCG(seed, i))
			for round := 0; ; round++ {
				select {
				case <-over:
					return
				default:
					c.live(rng, nodes, fmt.Sprintf("c%d-%d", i, round), &calls)
				}
			}
		})
	}
	for _, m := range plan {
		time.Sleep(m.after)
		undo := happen(store, nodes[m.node], m.kind)
		time.Sleep(m.lasts)
		undo()
	}
	time.Sleep(10 * time.Second)
	close(over)
	clients.Wait()
	for _, n := range nodes {
		n.stop()
	}
	calls.Wait()
	cancel()
	watch.Wait()
}

func happen(store *memkv.Store, n *node, kind string) (undo func()) {
	switch kind {
	case "stop":
		n.gates.stop()
		return n.gates.cont
	case "cut":
		n.gates.cut(true)
		return func() { n.gates.cut(false) }
	case "lose":
		n.gates.losing(true)
		return func() { n.gates.losing(false) }
	case "slow":
		n.gates.delay(200 * time.Millisecond)
		return func() { n.gates.delay(0) }
	case "rerun":
		n.mu.Lock()
		n.again()
		n.mu.Unlock()
	case "resync":
		store.RestartFeeds()
	}
	return func() {}
}

// live is the life of one lease: a few keepalives, more or less in time, and then silence.
func (c *court) live(rng *rand.Rand, nodes []*node, owner string, calls *sync.WaitGroup) {
	send := func(do func(ctx context.Context, n *node) error) {
		sent := time.Now()
		for _, n := range nodes {
			delay := time.Duration(rng.IntN(40)) * time.Millisecond
			calls.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				time.Sleep(delay)
				if do(ctx, n) == nil {
					c.ack(owner, sent)
				}
			})
		}
	}
	send(func(ctx context.Context, n *node) error {
		_, err := n.Grant(ctx, clock.Request{Owner: owner, TTL: courtTTL})
		return err
	})
	for range 1 + rng.IntN(8) {
		time.Sleep(time.Duration(rng.IntN(int(courtTTL) * 2 / 3)))
		send(func(ctx context.Context, n *node) error { return c.keepalive(ctx, n, owner) })
	}
}

// keepalive sends one, and holds what is said against what is so.
func (c *court) keepalive(ctx context.Context, n *node, owner string) error {
	if _, ok := n.TouchAll([][]byte{[]byte(owner)}, clock.Connection{}); ok {
		return nil
	}
	c.mu.Lock()
	_, granted := c.acked[owner]
	c.mu.Unlock()
	_, expired, err := n.Keepalive(ctx, []string{owner}, clock.Connection{})
	if err != nil {
		return err
	}
	if len(expired) == 0 {
		return nil
	}
	e, err := n.gates.Store.Get(ctx, lease.Key(owner))
	if r, bad := kvstore.Decode[lease.Record](e); granted && err == nil && bad == nil && r.Ended == "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.wrong = append(c.wrong, fmt.Sprintf("%s was said to be expired, and lives", owner))
	}
	return errExpired
}

var errExpired = errors.New("expired")
