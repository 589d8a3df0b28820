package clock

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/roostbus/roost/coordination/keeper"
)

// ear knows for how long nothing could be heard.
type ear struct {
	mu     sync.Mutex
	good   time.Duration // when the newest reach was begun that succeeded
	failed bool          // one has failed since
	still  time.Duration // up to when the clocks were made to stand still
}

// listen reaches for NATS every tick, until ctx is done.
func (s *session) listen(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		begun := s.now()
		s.reached(ctx, begun, s.within(ctx, s.door.Reach))
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// within calls f, which may take as long as the patience lasts.
func (s *session) within(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return f(ctx)
}

// reached takes in what came of reaching for NATS, begun at an instant.
//
// An outage of NATS that is too short to cost the tenure is no silence of clients: nobody
// could be heard. One that the connections have survived has all clocks stand still. Of any
// other the clients come back when they notice, so all clocks start afresh, like those of a
// new keeper.
func (s *session) reached(ctx context.Context, begun time.Duration, err error) {
	s.ear.mu.Lock()
	defer s.ear.mu.Unlock()
	if err != nil {
		s.ear.failed = true
		return
	}
	now := s.now()
	if took := now - s.ear.good; s.ear.failed || took > lateness {
		s.log.LogAttrs(ctx, slog.LevelWarn, "nothing could be heard, and the lease clock stood still",
			slog.Duration("took", took), slog.Bool("afresh", s.ear.failed))
		s.stand(s.ear.good, now)
		if s.ear.failed {
			s.afresh(now)
		}
	}
	s.ear.good, s.ear.failed = max(s.ear.good, begun), false
}

// stood has all clocks stand still from one instant to another.
func (s *session) stood(from, to time.Duration) {
	s.ear.mu.Lock()
	defer s.ear.mu.Unlock()
	s.stand(from, to)
}

// stand is stood, but for what was made up for already: a process that was stopped has also
// heard nothing. The caller holds the ear's lock.
func (s *session) stand(from, to time.Duration) {
	if from = max(from, s.ear.still); from < to {
		s.shift(from, to)
		s.ear.still = to
	}
}

// afresh starts all clocks anew, but for graces: a connection that its client has closed
// before does not come back.
func (s *session) afresh(now time.Duration) {
	s.each(func(e *entry) {
		if e.granted() && !e.closed {
			e.due = max(e.due, now+e.ttl+keeper.Validity)
		}
	})
}
