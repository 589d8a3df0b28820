package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// deciding is how many proposals a Voter decides on at once.
const deciding = 16

// Voter votes on every proposal that names the owner of a lease as a voter, for as long as
// that lease lives. Have a goroutine in [Voter.Run].
type Voter struct {
	// Lease is the voter's.
	Lease *Lease

	// Namespace is where it votes; "" is everywhere.
	Namespace string

	// Decide says whether to accept a proposal, and why or why not. It is called in a
	// goroutine of its own, and again, after a pause, when it returns an error or when its
	// vote is not known to have arrived; so it should say the same each time, because the
	// first vote counts. Its context ends when the proposal was decided without it, or the
	// voter is no more: what it says then counts for nothing.
	//
	// To accept promises something: that what was accepted can still be done when it is
	// committed.
	Decide func(ctx context.Context, p Proposal) (accept bool, reason string, err error)
}

// Run votes until ctx is over, and returns nil then. It votes also on what was proposed
// before, and on what it missed while the registry or NATS was away. It returns an error
// when the lease has ended, which says why, or when the client was closed. It returns when
// every Decide has.
func (v Voter) Run(ctx context.Context, c *Client) error {
	if v.Namespace != "" {
		if err := backend.ValidateName("namespace", v.Namespace); err != nil {
			return fmt.Errorf("voter: %w", err)
		}
	}
	under, end, err := c.begin(ctx, 0)
	if err != nil {
		return fmt.Errorf("voter: %w", err)
	}
	defer end()
	living, stop := context.WithCancelCause(under)
	defer stop(nil)
	r := &voting{Voter: v, c: c, turns: make(chan struct{}, deciding), open: make(map[ballot]context.CancelFunc)}
	defer r.work.Wait()
	defer stop(nil)
	r.work.Go(func() {
		select {
		case <-v.Lease.Done():
			stop(v.Lease.Err())
		case <-living.Done():
		}
	})
	err = c.attend(living, &herald{
		kind: bus.KindProposal, subject: c.subjects.Announcements(bus.KindProposal, v.Namespace),
		look: func(ctx context.Context, read Read) (Stamp, taking, error) {
			found, stamp, err := r.look(ctx, read)
			return stamp, func(bool) error {
				for i := range found {
					r.consider(living, &found[i])
				}
				return nil
			}, err
		},
		heard: func(a *announcement) error {
			all, err := a.proposals()
			if err != nil {
				return err
			}
			for i := range all {
				r.consider(living, &all[i])
			}
			return nil
		},
	})
	switch {
	case ctx.Err() != nil:
		return nil
	case c.isClosed():
		err = backend.ErrClosed
	case v.Lease.Err() != nil:
		err = v.Lease.Err()
	}
	return fmt.Errorf("voter: %w", err)
}

// ballot names a proposal.
type ballot struct {
	object bus.Object
	id     string
}

// voting is a Voter that runs.
type voting struct {
	Voter
	c     *Client
	work  sync.WaitGroup
	turns chan struct{} // has an entry for each that is being decided on

	mu   sync.Mutex
	open map[ballot]context.CancelFunc // what is to be voted on
}

// look returns the latest proposal of every name, as new as read says.
func (r *voting) look(ctx context.Context, read Read) (found []Proposal, stamp Stamp, err error) {
	q := ObjectsQuery{Namespace: r.Namespace, Read: read}
	for {
		page, now, err := r.c.ObjectList(ctx, KindProposal, q)
		if err != nil {
			return nil, stamp, err
		}
		if q.After == "" {
			stamp = now
		}
		for _, name := range page.Objects {
			p, _, err := r.c.Proposals(name.Namespace, name.Name).Get(ctx, "",
				Read{MinRevision: stamp.Revision, Epoch: stamp.Epoch})
			if err != nil && !errors.Is(err, backend.ErrNotFound) {
				return nil, stamp, err
			} else if err == nil {
				found = append(found, p)
			}
		}
		if q.After = page.Next; q.After == "" {
			return found, stamp, nil
		}
	}
}

// consider has p voted on, or not any more, as it asks for.
func (r *voting) consider(ctx context.Context, p *Proposal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := ballot{bus.Object{Namespace: p.Namespace, Name: p.Name}, p.ID}
	owner := r.Lease.Owner()
	voted := slices.ContainsFunc(p.Votes, func(v Vote) bool { return v.Owner == owner })
	stop, open := r.open[name]
	switch {
	case open && (voted || p.Decision != Voting):
		stop()
	case !open && !voted && p.Decision == Voting && slices.Contains(p.Voters, owner):
		ctx, stop := context.WithCancel(ctx)
		r.open[name] = stop
		r.work.Go(func() {
			defer r.close(name)
			r.vote(ctx, *p)
		})
	}
}

func (r *voting) close(name ballot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[name]()
	delete(r.open, name)
}

// vote votes on p, until that is known to have arrived or to be in vain.
func (r *voting) vote(ctx context.Context, p Proposal) {
	select {
	case r.turns <- struct{}{}:
		defer func() { <-r.turns }()
	case <-ctx.Done():
		return
	}
	var again schedule
	var trouble complaint
	for ctx.Err() == nil {
		accept, reason, err := r.Decide(ctx, p)
		var over bool
		if err == nil && ctx.Err() == nil {
			_, err = r.c.Proposals(p.Namespace, p.Name).Vote(ctx, r.Lease, p.ID, accept, reason)
			over = err == nil || inVain(err)
		}
		if err != nil && ctx.Err() == nil {
			trouble.about(ctx, r.c.log, "not voted", slog.String("object", p.Namespace+"."+p.Name), slog.String("proposal", p.ID),
				slog.String("owner", r.Lease.Owner()), slog.Any("err", err))
		}
		if over {
			return
		}
		again.again()
		sleep(ctx, time.Until(again.at))
	}
}

// inVain reports whether the registry will not hear of a vote again.
func inVain(err error) bool {
	for _, never := range []error{
		backend.ErrInvalid, backend.ErrNotOwner, backend.ErrNotFound, backend.ErrConflict, backend.ErrLeaseExpired, backend.ErrClosed,
	} {
		if errors.Is(err, never) {
			return true
		}
	}
	return false
}
