package bench

import (
	"context"
	"slices"
	"sync"
	"time"
)

// streak is one request after the other by one client, and when each was answered.
type streak struct {
	mu       sync.Mutex
	answered []time.Time
	took     []time.Duration
	failed   int
	first    error
}

// keep sends requests until ctx is done. Those that it cuts short do not count.
func (s *streak) keep(ctx context.Context, request func(context.Context) error) {
	for ctx.Err() == nil {
		begun := time.Now()
		err := request(ctx)
		now := time.Now()
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		if err == nil {
			s.answered, s.took = append(s.answered, now), append(s.took, now.Sub(begun))
		} else if s.failed++; s.first == nil {
			s.first = err
		}
		s.mu.Unlock()
		if err != nil { // what fails at once is not asked again at once
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
}

// after returns how long after at a request was answered that was sent since then, and
// whether one was.
func (s *streak) after(at time.Time) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.answered {
		if s.answered[i].Add(-s.took[i]).After(at) {
			return s.answered[i].Sub(at), true
		}
	}
	return 0, false
}

// await waits for what after returns.
func (s *streak) await(ctx context.Context, at time.Time) (time.Duration, error) {
	for {
		if took, ok := s.after(at); ok {
			return took, nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// p99 returns the 99th percentile of what was asked from one time on, until another.
func (s *streak) p99(from, until time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var some []time.Duration
	for i, at := range s.answered {
		if begun := at.Add(-s.took[i]); begun.After(from) && begun.Before(until) {
			some = append(some, s.took[i])
		}
	}
	slices.Sort(some)
	return percentile(some, 0.99)
}

// slowest returns how long the slowest took that was asked from a time on.
func (s *streak) slowest(from time.Time) (took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, at := range s.answered {
		if at.Add(-s.took[i]).After(from) {
			took = max(took, s.took[i])
		}
	}
	return took
}

// failures returns how many requests failed, and the first failure.
func (s *streak) failures() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed, s.first
}
