package clock

import (
	"context"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/roostbus/roost/backend"
)

// Touch counts a keepalive of owner's lease, sent on connection, and returns its answer. It
// reports false, and counts nothing, if the answer is not known at once; see
// [Clock.Keepalive]. It does not block or allocate.
func (c *Clock) Touch(owner string, connection Connection) (Beat, bool) {
	s := c.session.Load()
	if s == nil {
		return Beat{}, false
	}
	received := c.now()
	if !c.entitled(s) {
		return Beat{}, false
	}
	sh := s.shard(owner)
	sh.mu.Lock()
	e := sh.leases[owner]
	if e == nil || e.under != nil {
		sh.mu.Unlock()
		return Beat{}, false
	}
	s.hear(sh, e, received, connection)
	beat := e.beat(s.term)
	sh.mu.Unlock()
	return beat, true
}

// TouchAll is Touch for all of owners, which came in one message. Those whose answer is
// known at once are counted even where it reports false; beat is that of one of them.
func (c *Clock) TouchAll(owners [][]byte, connection Connection) (beat Beat, all bool) {
	s := c.session.Load()
	if s == nil {
		return Beat{}, false
	}
	received := c.now()
	if !c.entitled(s) {
		return Beat{}, false
	}
	all = true
	for _, owner := range owners {
		sh := &s.shards[maphash.Bytes(s.seed, owner)%shardCount]
		sh.mu.Lock()
		if e := sh.leases[string(owner)]; e != nil && e.under == nil {
			s.hear(sh, e, received, connection)
			beat = e.beat(s.term)
		} else {
			all = false
		}
		sh.mu.Unlock()
	}
	return beat, all
}

func (e *entry) beat(term uint64) Beat { return Beat{TTL: e.ttl, Grace: e.grace, Term: term} }

// hear counts what was received of e. The caller holds the shard's lock.
func (s *session) hear(sh *shard, e *entry, received time.Duration, connection Connection) {
	if received >= e.heard {
		e.heard, e.due, e.closed = received, received+e.ttl, false
		if e.index >= 0 {
			sh.push(e) // a clock that ran longer at first may end earlier now
		}
		s.mark(e, false, false)
	}
	if connection != (Connection{}) && connection != e.connection {
		if s.bind(e, connection) {
			s.suspect(sh, e)
		}
	}
}

// Keepalive counts a keepalive of every lease of owners, sent on connection. It waits for
// grants and endings under way, and makes sure of leases that it does not know. expired
// are the indices of those that have ended or never were; beat is that of the first that
// lives. ErrNotKeeper, ErrUnavailable: the lease may live, and nothing may be said of it.
func (c *Clock) Keepalive(ctx context.Context, owners []string, connection Connection) (beat Beat, expired []int, err error) {
	s, err := c.serving()
	if err != nil {
		return Beat{}, nil, err
	}
	received := c.now()
	beat.Term = s.term
	looked := false
	for i, owner := range owners {
		b, lives, err := s.keepalive(ctx, owner, received, connection, &looked)
		switch {
		case err != nil:
			return Beat{}, nil, fmt.Errorf("keep alive the lease of %s: %w", owner, err)
		case !lives:
			expired = append(expired, i)
		case beat.TTL == 0:
			beat = b
		}
	}
	if !c.entitled(s) {
		return Beat{}, nil, ErrNotKeeper
	}
	return beat, expired, nil
}

// keepalive counts one. looked says whether the table was made sure of since the call began.
func (s *session) keepalive(ctx context.Context, owner string, received time.Duration, connection Connection, looked *bool) (beat Beat, lives bool, err error) {
	for {
		sh := s.shard(owner)
		sh.mu.Lock()
		e := sh.leases[owner]
		switch {
		case e != nil && e.under != nil:
			under := e.under
			sh.mu.Unlock()
			if err := s.await(ctx, under); err != nil {
				return Beat{}, false, err
			}
			if under.ended {
				return Beat{}, false, nil
			}
		case e != nil:
			s.hear(sh, e, received, connection)
			beat = e.beat(s.term)
			sh.mu.Unlock()
			return beat, true, nil
		case *looked:
			sh.mu.Unlock()
			return Beat{}, false, nil
		default:
			sh.mu.Unlock()
			if err := s.sync(ctx); err != nil {
				return Beat{}, false, err
			}
			*looked = true
		}
	}
}

// await waits until u is over. ErrNotKeeper if the session is, ErrUnavailable.
func (s *session) await(ctx context.Context, u *undertaking) error {
	select {
	case <-u.done:
		return nil
	case <-s.over:
		return ErrNotKeeper
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", backend.ErrUnavailable, context.Cause(ctx))
	}
}
