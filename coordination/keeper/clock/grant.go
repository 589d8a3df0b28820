package clock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
)

// Grant grants the lease that r asks for, for good: the record is written. A second grant
// of a lease that lives is a keepalive, and the first TTL and grace stand. ErrLeaseExpired
// if it has ended and is remembered, ErrInvalid, ErrLimitExceeded, ErrUnavailable,
// ErrUnknownOutcome, ErrNotKeeper: the last two do not hurt, since the client may ask again.
func (c *Clock) Grant(ctx context.Context, r Request) (Beat, error) {
	s, err := c.serving()
	if err != nil {
		return Beat{}, err
	}
	received := c.now()
	record, err := lease.NewRecord(r.Name, r.TTL, r.Grace, time.Now())
	if err != nil {
		return Beat{}, err
	}
	for {
		beat, again, err := s.grant(ctx, &r, &record, received)
		switch {
		case err != nil:
			return Beat{}, fmt.Errorf("grant the lease of %s: %w", r.Owner, err)
		case again:
			continue
		case !c.entitled(s):
			return Beat{}, ErrNotKeeper
		}
		return beat, nil
	}
}

// grant tries once. It reports whether to try again.
func (s *session) grant(ctx context.Context, r *Request, record *lease.Record, received time.Duration) (beat Beat, again bool, err error) {
	sh := s.shard(r.Owner)
	sh.mu.Lock()
	if e := sh.leases[r.Owner]; e != nil {
		if under := e.under; under != nil {
			sh.mu.Unlock()
			if err := s.await(ctx, under); err != nil {
				return Beat{}, false, err
			}
			if under.ended {
				return Beat{}, false, backend.ErrLeaseExpired
			}
			return Beat{}, true, nil
		}
		s.hear(sh, e, received, r.Connection)
		beat = e.beat(s.term)
		sh.mu.Unlock()
		return beat, false, nil
	}
	if l, ok := s.table.Get(r.Owner); ok && l.Ended != "" {
		sh.mu.Unlock()
		return Beat{}, false, backend.ErrLeaseExpired
	}
	if s.leases.Add(1) > int64(s.cfg.MaxLeases) {
		s.leases.Add(-1)
		sh.mu.Unlock()
		return Beat{}, false, &backend.LimitError{Quota: "leases", Limit: int64(s.cfg.MaxLeases)}
	}
	e := &entry{owner: r.Owner, index: -1, under: &undertaking{done: make(chan struct{})}}
	sh.leases[r.Owner] = e
	sh.mu.Unlock()

	revision, err := s.write(ctx, r.Owner, record)
	beat, err = s.granted(sh, e, r, record, received, err)
	beat.Revision = revision
	if !errors.Is(err, kvstore.ErrConflict) {
		return beat, false, translate(err)
	}
	if err := s.sync(ctx); err != nil {
		return Beat{}, false, err
	}
	if !s.table.Lives(r.Owner) {
		return Beat{}, false, backend.ErrLeaseExpired
	}
	s.learn(r.Owner) // granted by somebody else, or by a try whose outcome was not known
	return Beat{}, true, nil
}

// write writes the record of a lease that never was.
func (s *session) write(ctx context.Context, owner string, record *lease.Record) (uint64, error) {
	w, err := (&lease.Lease{Owner: owner}).Write(*record, rand.Text())
	if err != nil {
		return 0, err
	}
	return s.store.Write(ctx, w)
}

// granted starts the clock of e, whose record was written with err.
func (s *session) granted(sh *shard, e *entry, r *Request, record *lease.Record, received time.Duration, err error) (Beat, error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := e.under
	e.under = nil
	defer close(u.done)
	l, seen := s.table.Get(r.Owner)
	switch {
	case seen && l.Ended != "":
		u.ended, u.revision = true, l.Revision
		s.remove(sh, e)
		return Beat{}, backend.ErrLeaseExpired
	case err == nil:
		s.start(sh, e, record, received, 0)
		if s.bind(e, r.Connection) {
			s.suspect(sh, e)
		}
		return e.beat(s.term), nil
	case seen:
		s.start(sh, e, &l.Record, s.now(), keeper.Validity)
		return Beat{}, err
	}
	s.remove(sh, e)
	return Beat{}, err
}

// translate returns err in the words of package backend.
func translate(err error) error {
	for _, t := range [...]struct{ from, to error }{
		{kvstore.ErrUnknownOutcome, backend.ErrUnknownOutcome},
		{kvstore.ErrUnavailable, backend.ErrUnavailable},
		{kvstore.ErrInvalid, backend.ErrInvalid},
		{kvstore.ErrTooLarge, backend.ErrTooLarge},
	} {
		if errors.Is(err, t.from) {
			return fmt.Errorf("%w: %w", t.to, err)
		}
	}
	return err
}
