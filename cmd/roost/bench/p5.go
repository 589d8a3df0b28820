package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
)

// copies is the world of the cells that need a crowd.
const copies = "copies"

// runLength is how many reads are timed as one: a clock is slower than a read.
const runLength = 1000

// copyCell is P5.
func copyCell() Cell {
	return Cell{
		ID: "P5", Unit: "reads", Shares: copies,
		About: fmt.Sprintf("look-up in a Replica of the registry, keys at random, and pick of a held service of %d; "+
			"by so many readers at once; latencies are means of %d reads", serviceSize, runLength),
		Baseline: "a read of a plain Go map of the same keys; for a pick, an index in turn into a plain slice",
		Prepare:  prepareCopy,
	}
}

func prepareCopy(ctx context.Context, w *World) ([]Case, error) {
	c, err := w.crowd(ctx)
	if err != nil {
		return nil, err
	}
	registry, err := w.registry(0)
	if err != nil {
		return nil, err
	}
	r, err := replicate(ctx, registry, client.Scope{})
	if err != nil {
		return nil, err
	}
	w.afterwards(r.stop)
	if err := errors.Join(w.readyWithin(ctx, r), c.holds(r)); err != nil {
		return nil, err
	}
	w.check(func(context.Context) error { return c.holds(r) })
	key := w.key(0)
	service := r.Service(key.Namespace, key.Service) //nolint:contextcheck // what is in memory does not wait
	if n := len(service.Instances()); n != serviceSize {
		return nil, fmt.Errorf("the replica has %d instances of %s; want %d", n, key.Service, serviceSize)
	}
	lookUp, mapped := c.lookUps(r), c.mapReads(r) //nolint:contextcheck // as above
	pick, indexed := picks(service), indexes(service.Instances())
	readers := max(2, runtime.GOMAXPROCS(0))
	return []Case{
		{What: "look-up", InFlight: 1, Roost: lookUp, Bare: mapped, Budget: Budget{P50: 2, NoAllocations: true}},
		{What: "look-up", InFlight: readers, Roost: lookUp, Bare: mapped, Budget: Budget{P50: 2, NoAllocations: true}},
		{What: "pick in turn", InFlight: 1, Roost: pick, Bare: indexed, Budget: Budget{P50Us: 0.015, NoAllocations: true}},
	}, nil
}

// timed is a side that reads n times in a row, counting those that were wrong.
func timed(read func() (n, wrong int)) Side {
	return Side{Timed: func(context.Context, int) (int, []time.Duration, error) {
		begun := time.Now()
		n, wrong := read()
		each := (time.Since(begun) + time.Duration(n/2)) / time.Duration(n)
		if wrong > 0 {
			return n - wrong, nil, fmt.Errorf("%d of %d reads: %w", wrong, n, errWrongAnswer)
		}
		return n, []time.Duration{each}, nil
	}}
}

// some returns some of the crowd, at random.
func (c *crowd) some() []member {
	n := min(runLength, len(c.members))
	from := rand.IntN(len(c.members) - n + 1) //nolint:gosec // nothing to guess
	return c.members[from : from+n]
}

func (c *crowd) lookUps(r *replica) Side {
	return timed(func() (n, wrong int) {
		run := c.some()
		for i := range run {
			if found, ok := r.Lookup(run[i].key); !ok || found.Revision != run[i].revision {
				wrong++
			}
		}
		return len(run), wrong
	})
}

// mapReads reads a map of the very registrations that r holds.
func (c *crowd) mapReads(r *replica) Side {
	plain := make(map[backend.Key]*backend.Registration, r.Len())
	for _, found := range r.All() {
		plain[found.Key] = found
	}
	return timed(func() (n, wrong int) {
		run := c.some()
		for i := range run {
			if found, ok := plain[run[i].key]; !ok || found.Revision != run[i].revision {
				wrong++
			}
		}
		return len(run), wrong
	})
}

// picks is a side that picks from s. That an instance is one of s shows in its revision.
func picks(s *client.Service) Side {
	low, high := revisionsOf(s.Instances())
	return timed(func() (n, wrong int) {
		for range runLength {
			if found, ok := s.Pick(); !ok || found.Revision < low || found.Revision > high {
				wrong++
			}
		}
		return runLength, wrong
	})
}

func indexes(all []*backend.Registration) Side {
	low, high := revisionsOf(all)
	var turn atomic.Uint64
	return timed(func() (n, wrong int) {
		for range runLength {
			if found := all[turn.Add(1)%uint64(len(all))]; found.Revision < low || found.Revision > high {
				wrong++
			}
		}
		return runLength, wrong
	})
}

// revisionsOf returns the least and the greatest revision.
func revisionsOf(all []*backend.Registration) (low, high backend.Revision) {
	low, high = all[0].Revision, all[0].Revision
	for _, r := range all {
		low, high = min(low, r.Revision), max(high, r.Revision)
	}
	return low, high
}
