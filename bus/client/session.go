package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/roostbus/roost/backend"
)

// SessionOptions say how a [Session] lives.
type SessionOptions struct {
	// Lease is what each of its leases is like. Secret, if given, is that of the first.
	Lease LeaseOptions

	// Once ends the session with its lease, instead of having another one granted and
	// everything registered again.
	Once bool

	// ForgetTaken gives a registration up when another owner has its name when it is to be
	// registered again. Otherwise that is tried again for ever, with pauses of up to half
	// a minute. OnRegistration hears of it in either case.
	ForgetTaken bool

	// OnRenewed is told that a lease has ended and another one was granted, after it has
	// been tried once to register everything again.
	OnRenewed func(Renewal)

	// OnRegistration is told that the registry refuses to have a registration again, and
	// why, once; and with nil when it has it after all.
	OnRegistration func(key Key, err error)
}

// Renewal says that a [Session] has another lease.
type Renewal struct {
	Old, New string // owners
	Cause    error  // why the old lease has ended
	// Err says which registrations could not be made again at the first try; nil if all
	// were. They are tried again.
	Err error
}

// Session keeps this process registered whatever happens to the registry, to NATS and to
// its leases. What is registered through it is remembered, as it was last acknowledged or
// may have been; when its lease has ended another one is granted, and all of it is
// registered again. It is registered again, too, when the connection was replaced or the
// registry's store was lost, which writes nothing where nothing is missing: what an
// operator removes comes back as long as its process says that it should be there.
//
// What a session registers is to be changed through that session: a change by other means
// is undone when it is registered again. Its writes take turns.
//
// It has a goroutine from [Client.NewSession] until it is Done. That goroutine calls the
// hooks, one at a time, and waits for them; a hook must not call [Session.Close].
type Session struct {
	c    *Client
	opts SessionOptions
	stop context.CancelFunc
	done chan struct{}
	turn chan struct{} // has an entry while somebody writes
	look chan struct{} // has an entry when something is due sooner than it was

	mu      sync.Mutex
	lease   *Lease        // which may have ended
	renewed chan struct{} // closed when there is another one
	held    map[Key]*kept
	err     error // why the session is over
}

// NewSession is granted a lease, as [Client.Grant] is, and keeps it and what is registered
// through it until [Session.Close] or [Client.Close].
func (c *Client) NewSession(ctx context.Context, o SessionOptions) (*Session, error) {
	lease, err := c.Grant(ctx, o.Lease)
	if err != nil {
		return nil, err
	}
	o.Lease.Secret = "" // is never used twice
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Session{
		c: c, opts: o, stop: stop, lease: lease,
		done:    make(chan struct{}),
		turn:    make(chan struct{}, 1),
		look:    make(chan struct{}, 1),
		renewed: make(chan struct{}),
		held:    make(map[Key]*kept),
	}
	go func() {
		defer close(s.done)
		defer stop()
		s.run(running)
	}()
	return s, nil
}

// Lease returns the session's lease. Once it is Done the session is granted another one:
// whoever needs one lease for all of something must keep it.
func (s *Session) Lease() *Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lease
}

// Valid reports whether the session's lease is [Lease.Valid].
func (s *Session) Valid() bool { return s.Lease().Valid() }

// Done is closed when the session is over: after Close, when the client or its connection
// was closed, when somebody has revoked its lease with [Lease.Revoke], and with Once when
// its lease has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err returns nil before the session is over, and then why it is: ErrClosed, [ErrRevoked],
// or with Once ErrLeaseExpired.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Registrations yields what the session has remembered, ordered by key, each with the
// reason why it is not registered now, as far as the session knows: what the registry said,
// or ErrUnavailable where it has not been asked again yet.
func (s *Session) Registrations() iter.Seq2[Registration, error] {
	return func(yield func(Registration, error) bool) {
		s.mu.Lock()
		owner := s.lease.Owner()
		if s.err != nil || s.lease.Err() != nil {
			owner = ""
		}
		type state struct {
			r   Registration
			err error
		}
		all := make([]state, 0, len(s.held))
		for _, h := range s.held {
			all = append(all, state{h.want, h.problem(owner)})
		}
		s.mu.Unlock()
		slices.SortFunc(all, func(a, b state) int { return compareKeys(a.r.Key, b.r.Key) })
		for _, one := range all {
			if !yield(one.r, one.err) {
				return
			}
		}
	}
}

// Registered returns nil while the lease is Valid and everything that the session has
// remembered is registered, as far as it knows, and else what is wrong: a health check.
func (s *Session) Registered() error {
	if err := s.Err(); err != nil {
		return err
	}
	var errs []error
	if !s.Valid() {
		errs = append(errs, cmp.Or(s.Lease().Err(), errUncertain))
	}
	for r, err := range s.Registrations() {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.Key, err))
		}
	}
	return errors.Join(errs...)
}

// Close ends the session and revokes its lease: when it returns nil, nothing of it is there
// any more. After an error the lease ends by itself within its TTL, or Close may be called
// again.
func (s *Session) Close(ctx context.Context) error {
	s.stop()
	<-s.done
	return s.Lease().Revoke(ctx)
}

// kept is a registration that the session has remembered.
type kept struct {
	want  Registration // its content
	owner string       // whose it is known to be stored as; "" where that is in doubt
	due   schedule
	err   error // why the registry refuses it
}

// errMissing is why a registration is not there that has not been refused.
var errMissing = fmt.Errorf("%w: not registered again yet", backend.ErrUnavailable)

// problem says why h is not registered by owner.
func (h *kept) problem(owner string) error {
	switch {
	case h.err != nil:
		return h.err
	case h.owner != owner || owner == "":
		return errMissing
	}
	return nil
}

// remember keeps the content of r, which is stored as owner's or, with "", may be.
func (s *Session) remember(r Registration, owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &kept{
		want:  Registration{Key: r.Key, Endpoints: r.Endpoints, Metadata: r.Metadata, Weight: r.Weight, Status: r.Status},
		owner: owner,
	}
	if owner == "" {
		h.due.again()
		s.poke()
	}
	s.held[r.Key] = h
}

// forget does not keep key any more.
func (s *Session) forget(key Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, key)
}

// remembered returns what is remembered of key.
func (s *Session) remembered(key Key) (kept, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h, ok := s.held[key]; ok {
		return *h, true
	}
	return kept{}, false
}

// keys returns the keys that are remembered, ordered. The caller holds the lock.
func (s *Session) keys() []Key { return slices.SortedFunc(maps.Keys(s.held), compareKeys) }

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Instance, b.Instance))
}

func (s *Session) poke() {
	select {
	case s.look <- struct{}{}:
	default:
	}
}
