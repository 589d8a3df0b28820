package faults_test

import (
	"testing"
	"time"

	"github.com/roostbus/roost/e2e/faults"
)

// steps are faults one after the other, some of them two at a time.
func steps(lasts time.Duration, all ...[]string) faults.Plan {
	p := faults.Plan{Seed: 1, Least: 10}
	for i, names := range all {
		s := faults.Step{Faults: names, Lasts: lasts, Quiet: lasts / 2}
		for range names {
			s.Picks = append(s.Picks, uint64(i)) //nolint:gosec // small
		}
		p.Steps = append(p.Steps, s)
	}
	return p
}

// R10, and all that is judged anyway: three nodes on three servers, whose registry moves from
// one bucket with three replicas to another and back while whoever moves it is killed or told
// to stop in each state, and while other things go wrong.
func TestARegistryThatMovesKeepsItsPromisesWhateverGoesWrong(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes")
	}
	var all [][]string
	for _, c := range faults.Moves() {
		if c.Name != "move-away" {
			all = append(all, []string{c.Name})
		}
	}
	for _, other := range []string{
		"stop-node", "cut-node", "kill-node", "kill-leader", "step-down", "stop-leader", "flicker-keeper", "storm", "lose-replies", "slow-links",
	} {
		all = append(all, []string{"move", other}) // who is stopped and the like comes back before the move is waited for
	}
	faults.Run(t, faults.External(t, 3, 3), steps(2*time.Second, all...))
}

// R10: the same of a registry that moves to another NATS, where no client is, and about there.
func TestARegistryOnItsWayToAnotherNATSKeepsItsPromises(t *testing.T) {
	if testing.Short() {
		t.Skip("a minute")
	}
	faults.Run(t, faults.Beside(t, faults.External(t, 3, 3), 3), steps(2*time.Second, []string{"move"}, []string{"move-away"},
		[]string{"kill-node"}, []string{"move"}, []string{"kill-mover-sealed"}, []string{"kill-mover-moved"}, []string{"abort-pausing"}))
}

// R10 in a moment.
func TestARegistryMovesUnderLoad(t *testing.T) {
	t.Parallel()
	p := steps(200*time.Millisecond, []string{"move"}, []string{"kill-mover-pausing"}, []string{"move"})
	p.Least = 2 // a busy machine has its reasons
	faults.Run(t, faults.External(t, 1, 2), p)
}
