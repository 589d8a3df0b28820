package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/e2e/natstest"
)

// The tests of this file are of R5, R2 and L3: a server loses its links to the others
// while the clients of its node stay connected to it.

// TestANodeThatIsCutOffSaysNothingWrong cuts off a node that is neither the keeper nor on
// the server that leads the stream, so that nothing has to be elected.
func TestANodeThatIsCutOffSaysNothingWrong(t *testing.T) {
	t.Parallel()
	s := startSplit(t)
	who, leader := s.keeper(t, -1), s.leader(t)
	for i := range s.nodes {
		if i != who && i != leader {
			s.cutOff(t, i, 2*time.Second)
			return
		}
	}
}

// TestWhoeverIsCutOffSaysNothingWrong cuts off the keeper, and the node on the server that
// leads the stream, for longer than servers take to give up leading. Each has a cluster of
// its own: a server that led it alone takes its time to be of use to the others again, and
// without it another must not be cut off.
func TestWhoeverIsCutOffSaysNothingWrong(t *testing.T) {
	if testing.Short() {
		t.Skip("short: servers are cut off for a quarter of a minute and elect leaders for another")
	}
	for name, choose := range map[string]func(*testing.T, *split) int{
		"TheKeeper":       func(t *testing.T, s *split) int { return s.keeper(t, -1) },
		"TheStreamLeader": func(t *testing.T, s *split) int { return s.leader(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s := startSplit(t)
			s.cutOff(t, choose(t, s), 15*time.Second)
		})
	}
}

// maxAge is what askers ask for who want nothing old.
const maxAge = 500 * time.Millisecond

// cutOff cuts a node off at least for so long, while all are asked and written to, and
// judges what they answered.
func (s *split) cutOff(t *testing.T, cut int, least time.Duration) {
	t.Helper()
	var left []int // the others
	for i := range s.nodes {
		if i != cut {
			left = append(left, i)
		}
	}
	wasKeeper := s.keeper(t, -1) == cut
	t.Logf("cut off %s; keeper: %t, leads the stream: %t", s.nodes[cut].name, wasKeeper, s.leader(t) == cut)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer stop()

	h := s.history
	for n, i := range left {
		name := func(k int) string { return fmt.Sprintf("i-%d-%d", n, k) }
		c := s.client(t, i, keeperPrefix, client.WithWriteTimeout(patience))
		tasks.Go(func() { h.write(ctx, t, c, name(0), name(1), name(2), name(3)) })
	}
	ask := func(i int, body string, linearizable bool) *asker {
		a := &asker{node: s.nodes[i], nc: s.to(t, i)(), body: body, bare: answer{node: s.nodes[i].name, linearizable: linearizable}}
		tasks.Go(func() { a.ask(ctx, t) })
		return a
	}
	local := ask(cut, `{"consistency":"local"}`, false)
	fresh := ask(cut, fmt.Sprintf(`{"max_age_ms":%d}`, maxAge.Milliseconds()), false)
	linear := ask(cut, `{"consistency":"linearizable"}`, true)
	others := []*asker{ask(left[0], `{}`, false), ask(left[1], `{"consistency":"linearizable"}`, true)}
	doubtful := &attempts{}
	for n := range 4 {
		c := s.client(t, cut, s.nodes[cut].own, client.WithWriteTimeout(1500*time.Millisecond))
		tasks.Go(func() { doubtful.write(ctx, c, fmt.Sprintf("i-%d-", n)) })
	}
	replica := startReplica(t, s.client(t, cut, keeperPrefix), client.Query{})
	beacons := lookOut(t, s.to(t, cut)())
	natstest.Await(t, "answers and changes", func() bool {
		all := h.count() > 200
		for _, a := range append(others, local, fresh, linear) {
			_, some := a.newest(time.Time{})
			all = all && some
		}
		return all
	})

	s.cluster.CutOff(t, s.cluster.Nodes[cut])
	cutAt, before := time.Now(), h.count()
	if wasKeeper {
		s.keeper(t, cut)
		t.Logf("another keeper after %v", time.Since(cutAt).Round(time.Millisecond))
	}
	natstest.Await(t, "changes where most of the servers are", func() bool { return h.count() > before+20 })
	t.Logf("changes again after %v", time.Since(cutAt).Round(time.Millisecond))
	<-time.After(time.Until(cutAt.Add(least)))
	healing := time.Now()
	s.cluster.Rejoin(t, s.cluster.Nodes[cut])
	for _, a := range []*asker{local, fresh, linear} {
		a.awaitYoung(t, healing)
	}
	t.Logf("young again after %v", time.Since(healing).Round(time.Millisecond))
	natstest.Await(t, "a write through the node that was cut off", func() bool { return doubtful.doneSince(healing) })
	stop()
	tasks.Wait()

	s.judgeCut(t, h, cutAt, healing, local, fresh, linear, others)
	doubtful.judge(t, cutAt, healing, s.everywhere(t))
	s.judgeKeeper(t, s.nodes[cut], beacons, cutAt, healing)
	replica.exact(t, s.client(t, left[0], keeperPrefix), client.Query{})
	replica.stop()
}

// judgeCut judges the answers of the time around a cut.
func (s *split) judgeCut(t *testing.T, h *chronicle, cutAt, healing time.Time, local, fresh, linear *asker, others []*asker) {
	t.Helper()
	for _, a := range append(others, local, fresh, linear) {
		h.judge(t, a.answers)
	}
	during := between(local.answers, cutAt, healing)
	h.states(t, during)
	for _, a := range during {
		if a.age < a.sent.Sub(cutAt) {
			t.Errorf("%s was asked for %v after the cut", a, a.sent.Sub(cutAt))
		}
	}
	if len(during) == 0 {
		t.Error("no local list was answered after the cut")
	}
	for _, r := range local.refused {
		if r.sent.Before(healing) && r.code != "" { // without one nobody had the time to answer, not even before the cut
			t.Errorf("a local list was refused with %q %v after the cut", r.code, r.sent.Sub(cutAt))
		}
	}
	for _, a := range between(fresh.answers, cutAt.Add(maxAge), healing) {
		t.Errorf("%s was asked for %v after the cut with a maximum of %v", a, a.sent.Sub(cutAt), maxAge)
	}
	for _, a := range fresh.answers {
		if a.age > maxAge {
			t.Errorf("%s was asked for with a maximum of %v", a, maxAge)
		}
	}
	for _, a := range between(linear.answers, cutAt, healing) {
		t.Errorf("%s was asked for %v after the cut", a, a.sent.Sub(cutAt))
	}
	counts := map[string]int{}
	for _, a := range []*asker{fresh, linear} {
		for _, r := range a.refused {
			counts[r.code]++
			if r.code != "503" && r.code != "504" && r.code != "" {
				t.Errorf("a list was refused with %q", r.code)
			}
		}
	}
	t.Logf("%d changes; of the node that was cut off %d local answers meanwhile, %d in all; refused: %v",
		h.count(), len(during), len(local.answers), counts)
}

// everywhere returns what every node has, which must be the same.
func (s *split) everywhere(t *testing.T) map[client.Key]client.Revision {
	t.Helper()
	var all []map[client.Key]client.Revision
	for i := range s.nodes {
		all = append(all, selected(t, s.client(t, i, s.nodes[i].own), client.Query{}))
	}
	for i := range all {
		if diff := cmp.Diff(all[0], all[i]); diff != "" {
			t.Errorf("%s and %s differ:\n%s", s.nodes[0].name, s.nodes[i].name, diff)
		}
	}
	return all[0]
}

func (a *attempts) doneSince(since time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.all) > 0 && a.all[len(a.all)-1].err == nil && a.all[len(a.all)-1].sent.After(since)
}

// judge holds what the writers were told against what there is.
func (a *attempts) judge(t *testing.T, cutAt, healing time.Time, there map[client.Key]client.Revision) {
	t.Helper()
	counts := map[string]int{}
	for _, one := range a.all {
		revision, is := there[one.key]
		switch {
		case one.err == nil && one.sent.After(cutAt) && one.came.Before(healing):
			t.Errorf("%s was acknowledged by a node that is cut off", one.key)
		case one.err == nil && revision != one.revision:
			t.Errorf("%s was acknowledged at %d, and is there at %d", one.key, one.revision, revision)
		case errors.Is(one.err, client.ErrUnknownOutcome):
			counts["unknown"]++
		case errors.Is(one.err, client.ErrUnavailable):
			counts["unavailable"]++
			if is {
				t.Errorf("%s is there at %d, though the answer was %v", one.key, revision, one.err)
			}
		case one.err != nil:
			t.Errorf("register %s: %v", one.key, one.err)
		default:
			counts["done"]++
		}
	}
	t.Logf("writes through the node that was cut off: %v", counts)
	if counts["unknown"]+counts["unavailable"] == 0 {
		t.Error("none of them failed")
	}
}

// judgeKeeper complains if a node that was cut off was the keeper for longer than it may.
func (s *split) judgeKeeper(t *testing.T, cut *wholeNode, beacons *lookout, cutAt, healing time.Time) {
	t.Helper()
	over := cutAt.Add(keeper.Validity)
	var all watchers
	for _, n := range s.nodes {
		all = append(all, n.candidate)
	}
	all.verdict(t)
	cut.mu.Lock()
	for _, s := range cut.spans {
		if s.begin.Before(healing) && s.end.After(over) {
			t.Errorf("%s was entitled from %v to %v after it was cut off", s.node, s.begin.Sub(cutAt), s.end.Sub(cutAt))
		}
	}
	cut.mu.Unlock()
	beacons.verdict(t)
	beacons.mu.Lock()
	defer beacons.mu.Unlock()
	for i, at := range beacons.at {
		if at.After(over) && at.Before(healing) {
			t.Errorf("beacon %+v was heard %v after the cut", beacons.beacons[i], at.Sub(cutAt))
		}
	}
}
