package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/roostbus/roost/backend"
)

// The pauses between tries to register again what could not be.
const (
	firstRestorePause = 500 * time.Millisecond
	lastRestorePause  = 30 * time.Second

	// restoreSpread is how long a session whose connection was replaced waits at most before
	// it registers again, so that not all that were cut off do at one instant.
	restoreSpread = 2 * time.Second

	// restoreTurn is how long the writes of others wait at most while it registers again.
	restoreTurn = 5 * time.Second
)

// schedule says when something is to be tried.
type schedule struct {
	at    time.Time // zero: not at all
	pause time.Duration
}

// within brings the next try forward to at most d from now.
func (s *schedule) within(d time.Duration) {
	if at := time.Now().Add(d); s.at.IsZero() || at.Before(s.at) {
		s.at = at
	}
}

// again puts the next try off, each time for longer.
func (s *schedule) again() {
	s.pause = min(max(2*s.pause, firstRestorePause), lastRestorePause)
	s.at = time.Now().Add(jittered(s.pause))
}

// run keeps the session until it is over.
func (s *Session) run(ctx context.Context) {
	for {
		lease := s.Lease()
		timer := time.NewTimer(s.idle())
		select {
		case <-ctx.Done():
			s.over(backend.ErrClosed)
		case <-lease.Done():
			s.renew(ctx, lease)
		case <-lease.checks:
			s.restoreWithin(rand.N(min(lease.TTL()/3, restoreSpread)))
		case <-s.look:
		case <-timer.C:
			changes := s.restore(ctx, lease)
			s.tell(changes)
		}
		timer.Stop()
		if s.Err() != nil {
			return
		}
	}
}

func (s *Session) over(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// idle is how long nothing is to be registered again.
func (s *Session) idle() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle := time.Duration(1<<63 - 1)
	for _, h := range s.held {
		if !h.due.at.IsZero() {
			idle = min(idle, time.Until(h.due.at))
		}
	}
	return idle
}

// restoreWithin has everything registered again within d.
func (s *Session) restoreWithin(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.held {
		h.due.within(d)
	}
}

// renew replaces the lease, which has ended, or ends the session.
func (s *Session) renew(ctx context.Context, old *Lease) {
	cause := old.Err()
	if s.opts.Once || !errors.Is(cause, backend.ErrLeaseExpired) {
		s.over(cause)
		return
	}
	s.c.log.LogAttrs(ctx, slog.LevelWarn, "lease has ended", slog.String("owner", old.Owner()), slog.Any("err", cause))
	lease, err := s.grant(ctx)
	if err != nil {
		s.over(backend.ErrClosed)
		return
	}
	s.mu.Lock()
	s.lease = lease
	close(s.renewed)
	s.renewed = make(chan struct{})
	for _, h := range s.held {
		h.owner, h.due = "", schedule{at: time.Now()}
	}
	s.mu.Unlock()
	changes := s.restore(ctx, lease)
	if ctx.Err() != nil {
		return
	}
	missing := s.missing(lease.Owner())
	s.c.log.LogAttrs(ctx, slog.LevelInfo, "lease was renewed",
		slog.String("owner", lease.Owner()), slog.String("before", old.Owner()), slog.Any("err", missing))
	if s.opts.OnRenewed != nil {
		s.opts.OnRenewed(Renewal{Old: old.Owner(), New: lease.Owner(), Cause: cause, Err: missing})
	}
	s.tell(changes)
}

// grant is granted the next lease, however long that takes. ErrClosed.
func (s *Session) grant(ctx context.Context) (*Lease, error) {
	var again schedule
	for {
		lease, err := s.c.Grant(ctx, s.opts.Lease)
		switch {
		case err == nil:
			return lease, nil
		case ctx.Err() != nil || errors.Is(err, backend.ErrClosed):
			return nil, err
		}
		s.c.log.LogAttrs(ctx, slog.LevelWarn, "no lease is granted", slog.Any("err", err))
		again.again()
		sleep(ctx, time.Until(again.at))
	}
}

// missing says what is not registered by owner.
func (s *Session) missing(owner string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, key := range s.keys() {
		if err := s.held[key].problem(owner); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	return errors.Join(errs...)
}

// change is what OnRegistration is told.
type change struct {
	key Key
	err error
}

func (s *Session) tell(changes []change) {
	for _, one := range changes {
		if s.opts.OnRegistration != nil {
			s.opts.OnRegistration(one.key, one.err)
		}
	}
}

// restore registers again, with lease, what is due. It returns what the hook is to be told.
func (s *Session) restore(ctx context.Context, lease *Lease) (changes []change) {
	if s.take(ctx) != nil {
		return nil
	}
	defer s.leave()
	turn, cancel := context.WithTimeoutCause(ctx, restoreTurn, errDeadline)
	defer cancel()
	for operations := range slices.Chunk(s.operations(lease.Owner()), backend.MaxBatch) {
		outcomes := s.registerAll(turn, operations)
		if ctx.Err() != nil {
			return changes
		}
		var waits error
		for i, err := range outcomes {
			key := operations[i].Registration.Key
			if passing(err) {
				s.putOff(key)
				waits = err
			} else if told := s.restored(key, lease.Owner(), err); told != nil {
				changes = append(changes, *told)
			}
		}
		if waits != nil {
			s.c.log.LogAttrs(ctx, slog.LevelWarn, "session waits to register again", slog.Any("err", waits))
		}
	}
	return changes
}

// registerAll makes operations and returns how each fared.
func (s *Session) registerAll(ctx context.Context, operations []Operation) []error {
	results, _, err := s.c.Batch(ctx, operations, false)
	outcomes := make([]error, len(operations))
	for i := range outcomes {
		if outcomes[i] = err; err == nil {
			outcomes[i] = results[i].Err
		}
	}
	return outcomes
}

// passing reports whether err does not say that the registry refuses a registration.
func passing(err error) bool {
	return transient(err) || errors.Is(err, backend.ErrUnknownOutcome) || errors.Is(err, backend.ErrLeaseExpired)
}

// putOff has key registered again later.
func (s *Session) putOff(key Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[key].due.again()
}

// operations returns the registers of what is due.
func (s *Session) operations(owner string) []Operation {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var operations []Operation
	for _, key := range s.keys() {
		if h := s.held[key]; !h.due.at.IsZero() && !h.due.at.After(now) {
			operations = append(operations, Operation{Kind: OpRegister, Registration: h.want, Write: Write{Owner: owner}})
		}
	}
	return operations
}

// restored takes in the outcome of registering key again, and returns what there is to be
// told of it, if anything.
func (s *Session) restored(key Key, owner string, err error) *change {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held[key]
	before := h.err
	if err == nil {
		h.owner, h.due, h.err = owner, schedule{}, nil
		if before != nil {
			return &change{key, nil}
		}
		return nil
	}
	h.owner, h.err = "", err
	h.due.again()
	if errors.Is(err, backend.ErrExists) && s.opts.ForgetTaken {
		delete(s.held, key)
	} else if before != nil {
		return nil
	}
	s.c.log.Warn("not registered again", slog.String("key", key.String()), slog.Any("err", err))
	return &change{key, err}
}
