package keeper_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/kvstore/memkv"
)

// plan is what happens to three contenders of one store.
type plan struct {
	seed   uint64
	faults [3]faults
	events []event
}

// event is something that happens to one node, or to the store, for a while.
type event struct {
	after time.Duration // the event before
	node  int
	kind  string
	lasts time.Duration
}

// kinds are the events.
var kinds = []string{"freeze", "silence", "refuse", "lose", "deaf", "restart", "kill", "resync", "interrupt"}

func planOf(t *rapid.T) plan {
	millis := func(least, most int) *rapid.Generator[time.Duration] {
		return rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(least, most).Draw(t, "ms")) * time.Millisecond
		})
	}
	p := plan{seed: rapid.Uint64().Draw(t, "seed")}
	for i := range p.faults {
		p.faults[i] = faults{
			latency: millis(0, 1200).Draw(t, "latency"), refuse: rapid.IntRange(0, 30).Draw(t, "refuse"),
			lose: rapid.IntRange(0, 30).Draw(t, "lose"), deaf: rapid.IntRange(0, 30).Draw(t, "deaf"),
		}
	}
	p.events = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event {
		return event{
			after: millis(0, 6000).Draw(t, "after"), node: rapid.IntRange(0, 2).Draw(t, "node"),
			kind: rapid.SampledFrom(kinds).Draw(t, "kind"), lasts: millis(1, 12_000).Draw(t, "lasts"),
		}
	}), 0, 12).Draw(t, "events")
	return p
}

// court watches an election and writes down what must not be.
type court struct {
	mu      sync.Mutex
	wrong   []string
	highest uint64
	served  int // looks at which somebody was entitled
}

func (c *court) complain(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wrong) < 5 {
		c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
	}
}

// begun is called whenever any node's tenure begins.
func (c *court) begun(term uint64) {
	c.mu.Lock()
	highest := c.highest
	c.highest = max(highest, term)
	c.mu.Unlock()
	if term <= highest {
		c.complain("term %d begins after term %d", term, highest)
	}
}

// look holds all nodes against each other at one instant.
func (c *court) look(nodes []*node) {
	var entitled []string
	for _, n := range nodes {
		if tenure, ok := n.Tenure(); ok {
			entitled = append(entitled, fmt.Sprintf("%s in term %d until %v", n.name, tenure.Term, tenure.Until))
		}
	}
	c.served += min(len(entitled), 1)
	if len(entitled) > 1 {
		c.complain("%v: entitled at once: %v", time.Now(), entitled)
	}
}

// TestNeverAreTwoNodesEntitledAtOneInstant is L3's ground: whatever is delayed, refused,
// lost, unacknowledged, stopped, cut off, killed and restarted.
func TestNeverAreTwoNodesEntitledAtOneInstant(t *testing.T) {
	served := 0
	rapid.Check(t, func(rt *rapid.T) {
		p := planOf(rt)
		c := &court{}
		synctest.Test(t, func(t *testing.T) { hold(t, c, p) })
		served += c.served
		for _, wrong := range c.wrong {
			rt.Error(wrong)
		}
	})
	if served == 0 {
		t.Error("nobody ever was the keeper")
	}
}

// hold holds an election under p.
func hold(t *testing.T, c *court, p plan) {
	t.Helper()
	store := memkv.New()
	obs := setup{observer: &keeper.Observer{Begun: c.begun}}
	nodes := make([]*node, 3)
	for i := range nodes {
		s := obs
		s.place = fmt.Sprint("place ", i)
		nodes[i] = &node{name: fmt.Sprint("n", i), store: newFaulty(store, p.seed+uint64(i))}
		nodes[i].store.set(p.faults[i])
		nodes[i].run(t, s)
	}
	watch := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); {
			time.Sleep(23 * time.Millisecond)
			c.look(nodes)
		}
	}
	var undo []undone
	for _, e := range p.events {
		watch(e.after)
		undo = append(undo, undone{at: time.Now().Add(e.lasts), do: happen(t, c, store, nodes, e, p)})
		for len(undo) > 0 {
			slices.SortFunc(undo, func(a, b undone) int { return a.at.Compare(b.at) })
			if undo[0].at.After(time.Now().Add(2 * time.Second)) {
				break
			}
			watch(time.Until(undo[0].at))
			undo[0].do()
			undo = undo[1:]
		}
	}
	watch(5 * time.Second)
	for _, u := range undo {
		u.do()
	}
	watch(5 * time.Second)
	for _, n := range nodes {
		n.store.set(faults{})
	}
	watch(15 * time.Second)
	if !slices.ContainsFunc(nodes, func(n *node) bool { return n.Serving() }) {
		c.complain("nobody is the keeper 15s after the last fault")
	}
	for _, n := range nodes {
		n.stop()
	}
}

type undone struct {
	at time.Time
	do func()
}

var errInterrupted = errors.New("interrupted")

// happen makes e happen and returns what undoes it.
func happen(t *testing.T, c *court, store *memkv.Store, nodes []*node, e event, p plan) func() {
	t.Helper()
	n, usual := nodes[e.node], p.faults[e.node]
	again := func() {
		next := &node{name: n.name, store: newFaulty(store, p.seed+uint64(e.lasts))} //nolint:gosec // a seed
		next.store.set(usual)
		nodes[e.node] = next
		next.run(t, setup{place: fmt.Sprint("place ", e.node), observer: &keeper.Observer{Begun: c.begun}})
	}
	switch e.kind {
	case "freeze":
		n.store.freeze()
		return n.store.unfreeze
	case "silence":
		n.store.silence()
		return n.store.unsilence
	case "restart":
		n.stop()
		again()
	case "kill":
		n.kill()
		again()
	case "resync":
		store.RestartFeeds()
	case "interrupt":
		store.InterruptFeeds(errInterrupted)
		return store.ResumeFeeds
	default:
		worse := usual
		switch e.kind {
		case "refuse":
			worse.refuse = 100
		case "lose":
			worse.lose = 100
		case "deaf":
			worse.deaf = 100
		}
		n.store.set(worse)
		return func() { n.store.set(usual) }
	}
	return func() {}
}
