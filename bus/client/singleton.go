package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/roostbus/roost/backend"
)

// ErrHung is what [Client.Singleton] returns when what it ran did not end although its
// context had.
var ErrHung = errors.New("what ran did not end in time")

// errStalled is why the context of a [Shift] ends that gave no sign of life.
var errStalled = errors.New("no sign of life was given in time")

// DefaultStopTime is how long a Singleton's run may take to end.
const DefaultStopTime = 2 * time.Second

// SingletonOptions say how a singleton lives. The zero value will do.
type SingletonOptions struct {
	// Campaign is how this one stands for election.
	Campaign CampaignOptions

	// TTL is that of its lease: how long the role stays with one that was killed and whose
	// connection nobody saw close, or that hangs as a whole. 0 is three times StopTime, or
	// what the registry gives if that is longer.
	TTL time.Duration

	// StopTime is how long run may take to end when its context has, DefaultStopTime unless
	// set: its context ends so long before the role can pass on. So the lease's grace, after
	// which the role passes on from one that was killed, is twice as long and 3 s more: time
	// for a lost connection to come back.
	StopTime time.Duration

	// Stall, if set, has a run that gives no sign of life ([Shift.Alive]) for so long be
	// taken to hang. Without it only the process can: one that is stopped, or cut off.
	Stall time.Duration

	// Tries is how often in a row run may fail on one holder before the role passes on to
	// another, if there is one; 0 is for ever. A run that lasted a minute begins a new row.
	Tries int
}

// Shift is what run is given: the leadership that it runs under.
type Shift struct {
	*Leadership

	mu   sync.Mutex
	seen time.Time // the last sign of life
}

// Alive is a sign of life; see [SingletonOptions].
func (s *Shift) Alive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = time.Now()
}

func (s *Shift) silence() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.seen)
}

// The pauses between runs that failed.
const (
	firstRunPause = time.Second
	lastRunPause  = time.Minute

	// reconnecting is how long a connection may take to come back before run has to end.
	reconnecting = 1500 * time.Millisecond

	// goodRun is how long a run lasts that has not failed at once.
	goodRun = time.Minute
)

// Singleton has exactly one of all who call it for this name run run, of which the one with
// the highest priority, then the first to come, is chosen; the others wait for their turn.
// It has a lease of its own, and goes on whatever becomes of that, of the registry and of
// NATS, until ctx is over or run is done.
//
//   - When run returns nil it is done: the role passes on to another at once, and Singleton
//     returns nil. What must be done once and no more by the whole fleet is to be written
//     down where run looks first.
//   - When run returns an error it is started again on the same holder, after a pause that
//     doubles up to a minute, with a new sign of the same term; after o.Tries failures in a
//     row the role passes on, and this one goes to the end of the queue.
//   - When the role cannot be certain to stay any more, because the registry is not heard or
//     another term has begun, run's context ends, o.StopTime before the role can pass on. run
//     must then return; what it returns does not matter. If the role turns out to have
//     stayed, run is started again; otherwise this one waits for its turn.
//   - When run has not returned o.StopTime after its context ended, or after o.Stall without
//     a sign of life, it hangs: the role is given up and Singleton returns [ErrHung] although
//     run still runs. The process had better end.
//
// Otherwise run has returned when Singleton returns. When ctx ends, run's does, and
// Singleton returns ctx's cause after the role was given up.
//
// "Exactly one" is what the record says, and as good as clocks that run at the same rate and
// a run that returns in time. A run that was stopped (SIGSTOP) and wakes up may act for a
// moment beside the next one: what it acts upon must check the [Shift]'s Token.
func (c *Client) Singleton(
	ctx context.Context, namespace, name string, run func(ctx context.Context, s *Shift) error, o SingletonOptions,
) error {
	if o.StopTime < 0 || o.Stall < 0 || o.Tries < 0 || o.TTL < 0 {
		return backend.Invalid("singleton", "its times and tries must not be negative")
	}
	o.StopTime = cmp.Or(o.StopTime, DefaultStopTime)
	o.TTL = cmp.Or(o.TTL, max(3*o.StopTime, 15*time.Second))
	if o.TTL < 3*o.StopTime {
		return backend.Invalid("ttl", "%v must be three times the time to stop, which is %v, or more", o.TTL, o.StopTime)
	}
	s := &singleton{c: c, election: c.Election(namespace, name), run: run, o: o}
	if err := s.election.name.Validate(); err != nil {
		return err
	}
	under, end, err := c.begin(ctx, 0)
	if err != nil {
		return fmt.Errorf("singleton: %w", err)
	}
	defer end()
	err = s.serve(under)
	switch {
	case err == nil || errors.Is(err, ErrHung):
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case c.isClosed():
		err = backend.ErrClosed
	}
	if err != nil {
		return fmt.Errorf("singleton %s: %w", s.election.name, err)
	}
	return nil
}

// singleton is a Singleton that is under way.
type singleton struct {
	c        *Client
	election *Election
	run      func(ctx context.Context, s *Shift) error
	o        SingletonOptions

	failures int
	pause    schedule
	unleased complaint
}

// serve takes lease after lease, until run is done or ctx is over.
func (s *singleton) serve(ctx context.Context) error {
	var again schedule
	for {
		lease, err := s.c.Grant(ctx, LeaseOptions{TTL: s.o.TTL, Grace: new(2 * (s.o.StopTime + reconnecting)), Name: s.election.name.Name})
		switch {
		case err == nil:
			again, s.unleased = schedule{}, complaint{}
			over, err := s.under(ctx, lease)
			s.giveUp(ctx, lease)
			if over {
				return err
			}
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, backend.ErrInvalid), errors.Is(err, backend.ErrClosed):
			return err
		default:
			s.unleased.about(ctx, s.c.log, "singleton", s.attrs("no lease is granted", err)...)
			again.again()
			sleep(ctx, time.Until(again.at))
		}
	}
}

// giveUp revokes the lease, and with it what it leads. What cannot be revoked now is not
// kept alive any more and ends by itself.
func (s *singleton) giveUp(ctx context.Context, lease *Lease) {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), releaseTime, errDeadline)
	defer cancel()
	if err := lease.Revoke(ctx); err != nil {
		s.log(ctx, "the lease was not revoked, and ends by itself", err, slog.String("owner", lease.Owner()))
	}
}

// under leads and runs with lease, until that has ended, or all is over because of err.
func (s *singleton) under(ctx context.Context, lease *Lease) (over bool, err error) {
	for {
		led, err := s.election.Campaign(ctx, lease, s.o.Campaign)
		switch {
		case err == nil:
		case ctx.Err() != nil, errors.Is(err, backend.ErrClosed), errors.Is(err, backend.ErrInvalid), errors.Is(err, backend.ErrTooLarge):
			return true, err
		default:
			s.log(ctx, "no candidate any more", err, slog.String("owner", lease.Owner()))
			if !lease.ended() && !sleep(ctx, jittered(lastPause)) {
				return true, context.Cause(ctx)
			}
			return false, nil
		}
		s.c.log.LogAttrs(ctx, slog.LevelInfo, "leads", slog.String("name", s.election.name.String()),
			slog.Uint64("term", led.Term()), slog.String("owner", led.Owner()))
		if over, err := s.lead(ctx, led); over {
			return true, err
		}
		if lease.ended() {
			return false, nil
		}
	}
}

// lead has run run while led goes on, again and again.
func (s *singleton) lead(ctx context.Context, led *Leadership) (over bool, err error) {
	for s.rest(ctx, led) {
		began := time.Now()
		ended, err := s.once(ctx, led)
		switch {
		case errors.Is(err, ErrHung):
			return true, err
		case ctx.Err() != nil:
			return true, context.Cause(ctx)
		case err == nil && !ended:
			return true, nil
		case !ended:
			s.failed(ctx, led, err, time.Since(began))
			if s.o.Tries > 0 && s.failures >= s.o.Tries {
				s.failures = 0
				if err := led.Resign(ctx); err != nil {
					s.log(ctx, "not resigned", err, of(led)...)
				}
				return false, nil
			}
		}
	}
	return false, nil
}

// failed takes note that a run has failed.
func (s *singleton) failed(ctx context.Context, led *Leadership, err error, lasted time.Duration) {
	s.log(ctx, "run has failed", err, of(led)...)
	if lasted >= goodRun {
		s.failures, s.pause = 0, schedule{}
	}
	s.failures++
	s.pause.pause = min(max(2*s.pause.pause, firstRunPause), lastRunPause)
	s.pause.at = time.Now().Add(jittered(s.pause.pause))
}

// rest waits until there may be another run under led, and reports whether there may.
func (s *singleton) rest(ctx context.Context, led *Leadership) bool {
	for ctx.Err() == nil && led.Err() == nil {
		left := time.Until(s.pause.at)
		if left <= 0 && time.Until(led.lease.Deadline()) > s.o.StopTime {
			return true
		}
		timer := time.NewTimer(max(left, 4*firstPause))
		select {
		case <-timer.C:
		case <-led.Done():
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return false
}

// once runs run once. ended says that its context was ended before it returned.
func (s *singleton) once(ctx context.Context, led *Leadership) (ended bool, err error) {
	working, cancel := led.ContextBefore(ctx, s.o.StopTime)
	defer cancel()
	working, stall := context.WithCancelCause(working)
	defer stall(nil)
	shift := &Shift{Leadership: led, seen: time.Now()}
	done := make(chan error, 1)
	go func() { // ends when run returns, or, where that hangs, never
		done <- s.run(working, shift)
	}()
	var look <-chan time.Time
	if s.o.Stall > 0 {
		ticker := time.NewTicker(max(s.o.Stall/4, time.Millisecond))
		defer ticker.Stop()
		look = ticker.C
	}
	for {
		select {
		case err := <-done:
			return working.Err() != nil, err
		case <-look:
			if shift.silence() > s.o.Stall {
				stall(errStalled)
			}
			continue
		case <-working.Done():
		}
		break
	}
	timer := time.NewTimer(s.o.StopTime)
	defer timer.Stop()
	select {
	case err := <-done:
		if errors.Is(context.Cause(working), errStalled) {
			return false, errStalled
		}
		return true, err
	case <-timer.C:
		return true, fmt.Errorf("%w: %w", ErrHung, context.Cause(working))
	}
}

// log logs what has happened to s, and of which lease or leadership.
func (s *singleton) log(ctx context.Context, message string, err error, of ...slog.Attr) {
	s.c.log.LogAttrs(ctx, slog.LevelWarn, "singleton", s.attrs(message, err, of...)...)
}

func (s *singleton) attrs(message string, err error, of ...slog.Attr) []slog.Attr {
	return append([]slog.Attr{slog.String("name", s.election.name.String()), slog.String("state", message), slog.Any("err", err)}, of...)
}

func of(led *Leadership) []slog.Attr {
	return []slog.Attr{slog.String("owner", led.Owner()), slog.Uint64("term", led.Term())}
}
