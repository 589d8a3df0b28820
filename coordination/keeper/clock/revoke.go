package clock

import (
	"context"
	"errors"
	"fmt"

	"github.com/roostbus/roost/backend"
)

// Revoke ends owner's lease for reason, "" being backend.ReasonRevoked, and returns the
// revision of its end when this node has seen it. ErrLeaseExpired if it has ended or never
// was; ErrUnavailable, ErrUnknownOutcome, ErrNotKeeper. It is never held back.
func (c *Clock) Revoke(ctx context.Context, owner, reason string) (revision uint64, err error) {
	if reason == "" {
		reason = backend.ReasonRevoked
	}
	s, err := c.serving()
	if err != nil {
		return 0, err
	}
	u, err := s.revoke(ctx, owner, reason)
	if err != nil {
		return 0, fmt.Errorf("revoke the lease of %s: %w", owner, err)
	}
	err = s.await(ctx, u)
	switch {
	case errors.Is(err, ErrNotKeeper):
		return 0, err
	case err != nil:
		return 0, fmt.Errorf("%w: the lease of %s is being revoked: %w", backend.ErrUnknownOutcome, owner, context.Cause(ctx))
	case !u.ended:
		return 0, fmt.Errorf("%w: revoke the lease of %s: %w", backend.ErrUnavailable, owner, u.err)
	}
	if err := s.table.Wait(ctx, u.revision); err != nil {
		return u.revision, fmt.Errorf("%w: the lease of %s was revoked and its end not seen yet: %v", backend.ErrUnknownOutcome, owner, err) //nolint:errorlint // it is done, not unavailable
	}
	return u.revision, nil
}

// revoke begins to end owner's lease.
func (s *session) revoke(ctx context.Context, owner, reason string) (*undertaking, error) {
	looked := false
	for {
		sh := s.shard(owner)
		sh.mu.Lock()
		e := sh.leases[owner]
		switch {
		case e != nil && e.under != nil:
			under := e.under
			sh.mu.Unlock()
			if err := s.await(ctx, under); err != nil {
				return nil, err
			}
			if under.ended {
				return nil, backend.ErrLeaseExpired
			}
		case e != nil:
			end := sh.begin(e, reason)
			sh.mu.Unlock()
			s.mu.Lock()
			s.revoked = append(s.revoked, end)
			s.mu.Unlock()
			notify(s.kick)
			return end.under, nil
		case looked:
			sh.mu.Unlock()
			return nil, backend.ErrLeaseExpired
		default:
			sh.mu.Unlock()
			if err := s.sync(ctx); err != nil {
				return nil, err
			}
			looked = true
		}
	}
}
