package memory

import (
	"context"
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Releaser gives memory back when the process is quiet.
type Releaser struct {
	look    func() usage
	release func()
}

// New returns a Releaser. Run does the work.
func New() *Releaser { return &Releaser{look: look, release: debug.FreeOSMemory} }

// usage is how much memory the process has taken, in bytes.
type usage struct {
	held      uint64 // of the system's
	live      uint64 // of that what was in use when it was last collected
	allocated uint64 // in all, ever
}

const (
	// every is the time between two looks.
	every = 2 * time.Second
	// calm is how much a quiet process allocates between two of them at most.
	calm = 8 << 20
	// worth is how much must be held in vain for a collection and the giving back, and a
	// share of what is held, likewise: it costs a second of CPU for a gigabyte that is in use.
	worth      = 64 << 20
	worthShare = 5
	// rest is how long nothing is given back after something has been.
	rest = 10 * time.Second
)

// Run looks until ctx is done, and gives back what is worth it.
func (r *Releaser) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var before usage
	var left uint64 // what was held when something was given back; 0: nothing was
	var released time.Time
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("give memory back: %w", context.Cause(ctx))
		}
		now := r.look()
		quiet := before.allocated > 0 && now.allocated-before.allocated <= calm
		before = now
		if !quiet || !released.IsZero() && time.Since(released) < rest || !now.worthIt(left) {
			continue
		}
		r.release()
		before = r.look()
		left, released = before.held, time.Now()
	}
}

// worthIt reports whether enough is held in vain, and more than was left the last time.
func (u usage) worthIt(left uint64) bool {
	enough := max(worth, u.held/worthShare)
	return u.held > u.live+enough && u.held > left+enough
}

// look asks the runtime.
func look() usage {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(samples)
	return usage{
		held: samples[0].Value.Uint64() - samples[1].Value.Uint64(),
		live: samples[2].Value.Uint64(), allocated: samples[3].Value.Uint64(),
	}
}
