package child

import "time"

// Restarts decides whether a child that has failed is started again: at most Max times
// within Within, ever later.
type Restarts struct {
	Max    int
	Within time.Duration

	failures []time.Time // those within Within, the oldest first
}

// The pauses before a restart.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 5 * time.Second
)

// Again takes in a failure at now, and returns after what pause to start the child again, or
// false: it has failed too often.
func (r *Restarts) Again(now time.Time) (pause time.Duration, ok bool) {
	for len(r.failures) > 0 && now.Sub(r.failures[0]) >= r.Within {
		r.failures = r.failures[1:]
	}
	if len(r.failures) >= r.Max {
		return 0, false
	}
	pause = min(firstPause<<min(len(r.failures), 10), longPause)
	r.failures = append(r.failures, now)
	return pause, true
}
