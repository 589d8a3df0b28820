package bench

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

// sample is what one side did in one round.
type sample struct {
	units      int64
	operations int64
	failed     int64
	firstError error
	elapsed    time.Duration
	p50, p99   time.Duration
	mallocs    uint64 // of this process
	cpu        [processes]time.Duration
}

func (s *sample) rate() float64 { return ratio(float64(s.units), s.elapsed.Seconds()) }

// drive keeps inFlight operations of side under way for d.
func drive(ctx context.Context, side Side, inFlight int, d time.Duration) *sample {
	results := make([]sample, inFlight)
	took := make([][]time.Duration, inFlight)
	var workers sync.WaitGroup
	before, begun := mallocs(), time.Now()
	for i := range inFlight {
		workers.Go(func() { took[i] = results[i].work(ctx, side, i, begun.Add(d)) })
	}
	workers.Wait()
	sum := &sample{elapsed: time.Since(begun), mallocs: mallocs() - before}
	for i := range results {
		r := &results[i]
		sum.units += r.units
		sum.operations += r.operations
		sum.failed += r.failed
		if sum.firstError == nil {
			sum.firstError = r.firstError
		}
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	sum.p50, sum.p99 = percentile(all, 0.50), percentile(all, 0.99)
	return sum
}

// work is one worker. It returns how long each operation took that did not fail.
func (s *sample) work(ctx context.Context, side Side, worker int, until time.Time) []time.Duration {
	took := make([]time.Duration, 0, 1<<12)
	for at := time.Now(); at.Before(until) && ctx.Err() == nil; {
		var units int
		var err error
		var seen []time.Duration
		if side.Timed != nil {
			units, seen, err = side.Timed(ctx, worker)
		} else {
			units, err = side.Do(ctx, worker)
		}
		now := time.Now()
		s.operations++
		switch {
		case !s.note(units, err):
		case side.Timed != nil:
			took = append(took, seen...)
		default:
			took = append(took, now.Sub(at))
		}
		at = now
	}
	if side.Finish != nil {
		s.note(side.Finish(ctx, worker))
	}
	return took
}

// note counts what an operation came to and reports whether it succeeded.
func (s *sample) note(units int, err error) bool {
	s.units += int64(units)
	if err == nil {
		return true
	}
	s.failed++
	if s.firstError == nil {
		s.firstError = err
	}
	return false
}

// mallocs is how many allocations this process has made since it began.
func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}
