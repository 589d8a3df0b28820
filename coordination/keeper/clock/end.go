package clock

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/kvstore"
)

// patience is how long the Door may take to settle or NATS to be reached, and one batch to be written.
const patience = 2 * time.Second

// ending is a lease that is being ended.
type ending struct {
	*entry
	under  *undertaking
	reason string
	name   string // for people; once it is known
}

// begin has keepalives of e wait for its ending. The caller holds the shard's lock.
func (sh *shard) begin(e *entry, reason string) ending {
	sh.drop(e)
	e.under = &undertaking{done: make(chan struct{})}
	return ending{entry: e, under: e.under, reason: reason}
}

// end ends what was revoked and what is ripe, until ctx is done.
func (s *session) end(ctx context.Context) {
	for {
		select {
		case <-s.kick:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		ripe, cutoff, revoked := s.ripe, s.cutoff, s.revoked
		s.ripe, s.revoked = nil, nil
		s.mu.Unlock()
		s.commitAll(ctx, revoked)
		if len(ripe) == 0 {
			continue
		}
		if err := s.settle(ctx); err != nil {
			s.log.LogAttrs(ctx, slog.LevelDebug, "leases cannot be ended yet", slog.Int("leases", len(ripe)), slog.Any("err", err))
			s.decide(ctx, ripe, -never)
			rest(ctx)
			continue
		}
		s.commitAll(ctx, s.decide(ctx, ripe, cutoff))
	}
}

func (s *session) commitAll(ctx context.Context, all []ending) {
	for some := range slices.Chunk(all, kvstore.MaxBatch-1) {
		s.commit(ctx, some)
	}
}

// settle returns when everything that had reached the node before has counted.
func (s *session) settle(ctx context.Context) error {
	begun := s.now()
	err := s.within(ctx, s.door.Settle)
	s.reached(ctx, begun, err)
	return err
}

// decide begins to end those of ripe that are still due at cutoff, and has the others come
// up again. What had reached the node by cutoff must have counted.
func (s *session) decide(ctx context.Context, ripe []*entry, cutoff time.Duration) (all []ending) {
	if s.anyUnheld(ripe, cutoff) {
		s.hold(ctx, cutoff)
	}
	for _, e := range ripe {
		sh := s.shard(e.owner)
		sh.mu.Lock()
		switch {
		case sh.leases[e.owner] != e || e.under != nil:
		case e.due > cutoff:
			sh.push(e)
		case e.closed:
			all = append(all, sh.begin(e, backend.ReasonClosed))
		default:
			all = append(all, sh.begin(e, backend.ReasonExpired))
		}
		sh.mu.Unlock()
	}
	return all
}

// anyUnheld reports whether one of ripe is due that was not held yet.
func (s *session) anyUnheld(ripe []*entry, cutoff time.Duration) bool {
	return slices.ContainsFunc(ripe, func(e *entry) bool {
		sh := s.shard(e.owner)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		return sh.leases[e.owner] == e && e.under == nil && e.due <= cutoff && !e.held
	})
}

// hold holds all that are silent or suspect back, once each, if they are too many.
func (s *session) hold(ctx context.Context, now time.Duration) {
	suspicious := func(e *entry) bool { return e.granted() && (e.suspect || e.silent(now)) }
	all, many, held := 0, 0, 0
	s.each(func(e *entry) {
		if e.granted() {
			all++
		}
		if suspicious(e) {
			many++
		}
	})
	if many < s.cfg.HoldMinimum || float64(many) <= s.cfg.HoldShare*float64(all) {
		return
	}
	s.each(func(e *entry) {
		if suspicious(e) && !e.held && e.under == nil {
			e.due = max(e.due, now) + e.ttl
			s.mark(e, e.suspect, true)
			held++
		}
	})
	s.log.LogAttrs(ctx, slog.LevelWarn, "too many leases would end, holding them back", slog.Uint64("term", s.term),
		slog.Int("leases", all), slog.Int("silent", many), slog.Int("held", held))
}

// each calls f for every lease, under its shard's lock.
func (s *session) each(f func(e *entry)) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for _, e := range sh.leases {
			f(e)
		}
		sh.mu.Unlock()
	}
}
