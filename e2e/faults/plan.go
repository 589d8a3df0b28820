package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Step is something that goes wrong for a while.
type Step struct {
	Faults []string // at the same time
	Lasts  time.Duration
	Quiet  time.Duration // afterwards, when all have recovered
	Picks  []uint64      // of each fault: whom it meets, where several are as good

	// Probes says that leases fall silent in the quiet, which lasts as long as that takes.
	Probes bool
}

func (s Step) String() string {
	return fmt.Sprintf("%s for %v, then quiet for %v", strings.Join(s.Faults, " and "), s.Lasts, s.Quiet)
}

// Plan is what goes wrong in a run, in order.
type Plan struct {
	Seed  uint64
	Steps []Step
	Lasts time.Duration // the run ends with the first step that ends after it; 0: with the last one
	Least int           // how many requests must be answered in every second for the run to count
}

// Make returns the plan of a seed for a run of so long: each of the classes once, in an order of
// the seed's, and then one at random, or two of different targets, again and again.
func Make(seed uint64, lasts time.Duration, classes []Class) Plan {
	random := rand.New(rand.NewPCG(seed, 0))
	p := Plan{Seed: seed, Lasts: lasts, Least: 20}
	for _, i := range random.Perm(len(classes)) {
		p.Steps = append(p.Steps, step(random, classes[i]))
	}
	for took := time.Duration(0); took < lasts; {
		s := step(random, classes[random.IntN(len(classes))])
		if other := classes[random.IntN(len(classes))]; random.IntN(3) == 0 && goTogether(s.Faults[0], other, classes) {
			s.Faults, s.Picks = append(s.Faults, other.Name), append(s.Picks, random.Uint64())
		}
		p.Steps = append(p.Steps, s)
		took += s.Lasts + s.Quiet // without what recovery takes: rather too many steps than too few
	}
	for i := range p.Steps {
		p.Steps[i].Probes = i%probeEvery == probeEvery-1
	}
	return p
}

// probeEvery is after how many steps leases fall silent.
const probeEvery = 4

func step(random *rand.Rand, c Class) Step {
	return Step{
		Faults: []string{c.Name}, Picks: []uint64{random.Uint64()},
		Lasts: between(random, c.Shortest, c.Longest), Quiet: between(random, 500*time.Millisecond, 2*time.Second),
	}
}

func between(random *rand.Rand, from, to time.Duration) time.Duration {
	return (from + time.Duration(random.Int64N(int64(to-from)+1))).Round(time.Millisecond)
}

// goTogether reports whether two faults leave a registry that can recover, and meet
// different things.
func goTogether(name string, other Class, classes []Class) bool {
	for _, c := range classes {
		if c.Name == name {
			return c.Target != other.Target && c.Target != OfStore && other.Target != OfStore
		}
	}
	return false
}
