package clock

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/lease"
)

// pause is between two tries of something that the store or the Door has refused.
const pause = 50 * time.Millisecond

// session is the clock of one tenure. With the tenure all of it is dropped.
type session struct {
	*Clock
	term uint64
	over chan struct{} // closed when the session ends

	shards      [shardCount]shard
	seed        maphash.Seed
	connections connections
	ear         ear

	leases   atomic.Int64 // clocks, those of grants under way included
	suspects atomic.Int64
	held     atomic.Int64

	nudge chan struct{} // something is due earlier than was known
	kick  chan struct{} // there is something to end

	mu      sync.Mutex
	ripe    []*entry // that were due at cutoff, outside the heaps
	cutoff  time.Duration
	revoked []ending // under way
}

// serve serves t until it is over, or ctx is done.
func (c *Clock) serve(ctx context.Context, t *tenure) {
	ctx, cancel := context.WithCancel(ctx)
	s := &session{
		Clock: c, term: t.term, over: make(chan struct{}), seed: maphash.MakeSeed(),
		nudge: make(chan struct{}, 1), kick: make(chan struct{}, 1),
	}
	s.connections.init()
	for i := range s.shards {
		s.shards[i].leases = map[string]*entry{}
	}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	tasks.Go(func() {
		select {
		case <-t.over:
		case <-ctx.Done():
		}
		close(s.over)
		cancel()
	})
	if t.served && !s.certain(ctx) {
		return
	}
	t.served = true
	defer c.table.OnGrant(func(l lease.Lease) { s.learn(l.Owner) })()
	defer c.table.OnEnd(s.forget)()
	for _, owner := range c.table.Owners() {
		s.learn(owner)
	}
	from := c.now()
	if !c.publish(t, s) {
		return
	}
	defer c.withdraw(s)
	if !s.open(ctx) {
		return
	}
	defer c.door.Close()
	s.stood(from, c.now()) // nobody could be heard before
	s.ear.good = c.now()
	c.log.LogAttrs(ctx, slog.LevelInfo, "serving leases", slog.Uint64("term", t.term), slog.Int64("leases", s.leases.Load()))
	tasks.Go(func() { s.listen(ctx) })
	tasks.Go(func() { s.end(ctx) })
	s.pulse(ctx)
}

// open opens the Door, however often it takes. It reports false when ctx is done.
func (s *session) open(ctx context.Context) bool {
	for tries := 0; ; tries++ {
		err := s.door.Open(ctx, s.Clock)
		if err == nil {
			return true
		}
		s.door.Close()
		if ctx.Err() == nil && tries == 0 {
			s.log.LogAttrs(ctx, slog.LevelWarn, "leases cannot be served yet", slog.Uint64("term", s.term), slog.Any("err", err))
		}
		if !rest(ctx) {
			return false
		}
	}
}

// learn starts the clock of a lease that turns up in the table and has none: an earlier
// keeper may have acknowledged what this one has never heard of.
func (s *session) learn(owner string) {
	sh := s.shard(owner)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if _, known := sh.leases[owner]; known {
		return
	}
	// Looked at under the lock, as its end is too: one of them comes second.
	l, ok := s.table.Get(owner)
	if !ok || l.Ended != "" {
		return
	}
	e := &entry{owner: owner, index: -1}
	sh.leases[owner] = e
	s.leases.Add(1)
	s.start(sh, e, &l.Record, s.now(), keeper.Validity)
}

// start starts e's clock, which runs longer than its TTL by extra at first. The caller
// holds the shard's lock.
func (s *session) start(sh *shard, e *entry, r *lease.Record, now, extra time.Duration) {
	e.ttl, e.grace = r.TTL(), r.Grace()
	e.heard, e.due = now, now+e.ttl+extra
	sh.push(e)
}

// forget stops the clock of a lease whose end was seen, unless its end is being decided
// here.
func (s *session) forget(end backend.Ending) {
	sh := s.shard(end.Owner)
	sh.mu.Lock()
	e := sh.leases[end.Owner]
	if e == nil || e.under != nil {
		sh.mu.Unlock()
		return
	}
	s.remove(sh, e)
	sh.mu.Unlock()
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "lease was ended elsewhere", slog.String("owner", end.Owner),
		slog.String("reason", end.Reason), slog.Uint64("revision", uint64(end.Revision)), slog.Uint64("term", s.term))
}

// remove takes e out. The caller holds the shard's lock.
func (s *session) remove(sh *shard, e *entry) {
	delete(sh.leases, e.owner)
	sh.drop(e)
	s.leases.Add(-1)
	s.mark(e, false, false)
	s.bind(e, Connection{})
}

// mark sets whether e is suspect and held. The caller holds the shard's lock.
func (s *session) mark(e *entry, suspect, held bool) {
	if e.suspect != suspect {
		e.suspect = suspect
		s.suspects.Add(sign(suspect))
	}
	if e.held != held {
		e.held = held
		s.held.Add(sign(held))
	}
}

func sign(up bool) int64 {
	if up {
		return 1
	}
	return -1
}

// rest waits for a pause. It reports false when ctx is done.
func rest(ctx context.Context) bool {
	select {
	case <-time.After(pause):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// sync returns when everything acknowledged before the call has been seen, by the table and
// by s.
func (s *session) sync(ctx context.Context) error {
	if err := s.table.Sync(ctx); err != nil {
		return fmt.Errorf("look at the leases: %w", err)
	}
	return nil
}
