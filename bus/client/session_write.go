package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
)

// errWaits is why a write ends that waited for its turn, or for the session's next lease.
var errWaits = fmt.Errorf("%w: the session waits for the registry", backend.ErrUnavailable)

// Register is [Client.Register] with the session's lease, whose owner w.Owner need not say.
// It waits for a lease where there is none. What it made is remembered; also what it may
// have made, after ErrUnknownOutcome, which is then registered again until it is there.
func (s *Session) Register(ctx context.Context, r Registration, w Write) (made Registration, stamp Stamp, err error) {
	err = s.do(ctx, &w, func(ctx context.Context) error {
		made, stamp, err = s.c.Register(ctx, r, w)
		switch {
		case err == nil:
			s.remember(made, w.Owner)
		case errors.Is(err, backend.ErrUnknownOutcome):
			s.remember(r.Normalize(), "")
		}
		return err
	})
	return made, stamp, err
}

// Update is [Client.Update] with the session's lease. A registration of the session that
// is not there yet again is registered first.
func (s *Session) Update(ctx context.Context, key Key, change Change, w Write) (made Registration, stamp Stamp, err error) {
	err = s.do(ctx, &w, func(ctx context.Context) error {
		h, known := s.remembered(key)
		if known && h.owner != w.Owner {
			if _, _, err := s.c.Register(ctx, h.want, Write{Owner: w.Owner}); err != nil {
				return err
			}
			s.remember(h.want, w.Owner)
		}
		made, stamp, err = s.c.Update(ctx, key, change, w)
		switch {
		case err == nil && made.Owner == w.Owner:
			s.remember(made, w.Owner)
		case known && errors.Is(err, backend.ErrUnknownOutcome):
			if changed, wrong := change.Apply(h.want); wrong == nil {
				s.remember(changed, "")
			}
		case known && errors.Is(err, backend.ErrNotFound):
			s.remember(h.want, "") // somebody has removed it
		}
		return err
	})
	return made, stamp, err
}

// Unregister is [Client.Unregister] with the session's lease. Unless the registry has
// certainly not done it and may do it later, key is not remembered any more.
func (s *Session) Unregister(ctx context.Context, key Key, w Write) (removal Removal, stamp Stamp, err error) {
	err = s.do(ctx, &w, func(ctx context.Context) error {
		removal, stamp, err = s.c.Unregister(ctx, key, w)
		switch {
		case err == nil, errors.Is(err, backend.ErrUnknownOutcome), errors.Is(err, backend.ErrNotOwner):
			s.forget(key)
		}
		return err
	})
	return removal, stamp, err
}

// do makes a write with the session's lease, and again with the next one where the lease
// has ended. write finds the owner in w.
func (s *Session) do(ctx context.Context, w *Write, write func(ctx context.Context) error) error {
	if w.Owner != "" && w.Owner != s.Lease().Owner() {
		return backend.Invalid("owner", "%q is not the session's", w.Owner)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.writeTimeout, errDeadline)
	defer cancel()
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.leave()
	for {
		lease, err := s.living(ctx)
		if err != nil {
			return err
		}
		w.Owner = lease.Owner()
		if err := write(ctx); !errors.Is(err, backend.ErrLeaseExpired) {
			return err
		}
		// The keeper is asked already. If it says otherwise the registry is asked again.
		pause := time.NewTimer(lastPause)
		select {
		case <-lease.Done():
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// take waits until it is the caller's turn to write.
func (s *Session) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return s.late(ctx)
	case <-s.done:
		return fmt.Errorf("session: %w", s.Err())
	}
}

func (s *Session) leave() { <-s.turn }

// living returns the session's lease, and waits for the next one where it has ended.
func (s *Session) living(ctx context.Context) (*Lease, error) {
	for {
		s.mu.Lock()
		lease, renewed, err := s.lease, s.renewed, s.err
		s.mu.Unlock()
		if err != nil {
			return nil, fmt.Errorf("session: %w", err)
		}
		if ctx.Err() != nil {
			return nil, s.late(ctx)
		}
		select {
		case <-lease.Done():
		default:
			return lease, nil
		}
		select {
		case <-renewed:
		case <-s.done:
		case <-ctx.Done():
		}
	}
}

// late is the error of a write that was not begun in time.
func (s *Session) late(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, errDeadline) {
		return fmt.Errorf("%w: %w", errWaits, cause)
	}
	return errWaits
}
