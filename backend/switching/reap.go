package switching

import (
	"context"
	"time"

	"github.com/roostbus/roost/backend"
)

// patient returns what is left of the time that read waits.
func patient(read *backend.Read) func() time.Duration {
	if read.Wait == 0 {
		return func() time.Duration { return 0 }
	}
	until := time.Now().Add(read.Wait)
	return func() time.Duration { return max(time.Until(until), 1) }
}

// Owned implements [backend.Reaper].
func (s *Backend) Owned(owner string) int { return backend.ReaperOf(s.now.Load().Backend).Owned(owner) }

// Remains implements [backend.Reaper].
func (s *Backend) Remains() []backend.Ending { return backend.ReaperOf(s.now.Load().Backend).Remains() }

// OnVoid implements [backend.Reaper].
func (s *Backend) OnVoid(f func(backend.Ending)) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counter++
	id := s.counter
	s.voids[id] = f
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.voids, id)
	}
}

// Reap implements [backend.Reaper].
func (s *Backend) Reap(ctx context.Context, e backend.Ending) (left int, err error) {
	for {
		h := s.now.Load()
		left, err = backend.ReaperOf(h.Backend).Reap(ctx, e)
		if !s.again(h, err) {
			return left, err
		}
	}
}
