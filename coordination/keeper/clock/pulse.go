package clock

import (
	"context"
	"log/slog"
	"time"
)

const (
	// tick is the longest that the pulse rests: it notices by it that it was stopped.
	tick = 100 * time.Millisecond
	// gather is the shortest: what is due within it ends together.
	gather = 5 * time.Millisecond
	// lateness is how long a pulse may take before it counts as a stop of the process.
	lateness = 250 * time.Millisecond
)

// pulse looks for what is due, until ctx is done.
//
// It also notices when the process stood still, though not for long enough to lose the
// tenure. Keepalives that came meanwhile may lie unread in sockets, and what cannot be heard
// is no silence: all clocks then stood still too.
func (s *session) pulse(ctx context.Context) {
	before := s.now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.nudge:
		}
		if !s.entitled(s) {
			timer.Reset(gather) // it is over, or has not quite begun
			before = s.now()
			continue
		}
		now := s.now()
		if now-before > lateness {
			s.log.LogAttrs(ctx, slog.LevelWarn, "the lease clock was stopped, and stood still", slog.Duration("took", now-before))
			s.stood(before, now)
		}
		before = now
		timer.Reset(min(max(s.ripen(now)-now, gather), tick))
	}
}

// ripen hands over what is due at now to be ended, and returns when the next may be.
func (s *session) ripen(now time.Duration) (next time.Duration) {
	var ripe []*entry
	next = never
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		var at time.Duration
		ripe, at = sh.ripen(now, ripe)
		sh.mu.Unlock()
		next = min(next, at)
	}
	if len(ripe) == 0 {
		return next
	}
	s.mu.Lock()
	s.ripe, s.cutoff = append(s.ripe, ripe...), now
	s.mu.Unlock()
	notify(s.kick)
	return next
}

// shift has all clocks stand still from one instant to another.
func (s *session) shift(from, to time.Duration) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for _, e := range sh.leases {
			if !e.granted() {
				continue
			}
			due := e.due + to - from
			if e.heard > from { // by a goroutine that was not stopped yet
				due = max(e.due, min(due, to+e.ttl))
			}
			e.due = due
			e.heard = min(e.heard+to-from, to)
		}
		sh.mu.Unlock()
	}
}
