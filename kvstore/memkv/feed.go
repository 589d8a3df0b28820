package memkv

import (
	"context"
	"fmt"
	"slices"

	"github.com/roostbus/roost/kvstore"
)

// subscription is one running feed. Its fields but wake are guarded by the Store's lock.
type subscription struct {
	wake       chan struct{} // something below may have changed
	generation kvstore.Generation
	shown      uint64 // everything up to it has been handed over
	afresh     bool   // the next thing to show is a snapshot
	stale      bool   // the follower has been told
}

// step is what a feed does next, taken under the lock and done outside it.
type step struct {
	begin      bool
	generation kvstore.Generation
	entries    []*node
	live       bool
	revision   uint64
	stale      error
}

// Feed shows every key's newest state and then its changes to f.
func (s *Store) Feed(ctx context.Context, f kvstore.Follower) error {
	sub := &subscription{wake: make(chan struct{}, 1), afresh: true}
	s.mu.Lock()
	s.feeds[sub] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.feeds, sub)
		s.mu.Unlock()
	}()
	for {
		next, err := s.next(ctx, sub)
		if err != nil {
			return err
		}
		next.show(f)
		select {
		case <-sub.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Store) next(ctx context.Context, sub *subscription) (step, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return step{}, ctx.Err()
	}
	if s.closed {
		return step{}, fmt.Errorf("feed: %w", kvstore.ErrClosed)
	}
	if s.faults.feed != nil {
		told := sub.stale
		sub.stale = true
		if told {
			return step{}, nil
		}
		return step{stale: s.faults.feed}, nil
	}
	if s.faults.frozen {
		return step{}, nil
	}
	s.sweep()
	next := step{begin: sub.afresh || sub.generation != s.generation, generation: s.generation}
	if next.begin {
		sub.shown = 0
	}
	next.live = next.begin || sub.stale
	next.entries = s.after(sub.shown)
	next.revision = s.last
	sub.generation, sub.shown, sub.afresh, sub.stale = s.generation, s.last, false, false
	return next, nil
}

// after returns the nodes newer than revision, oldest first.
func (s *Store) after(revision uint64) []*node {
	var newest []*node
	for n := s.order.prev; n != &s.order && n.Revision > revision; n = n.prev {
		newest = append(newest, n)
	}
	slices.Reverse(newest)
	return newest
}

func (s *step) show(f kvstore.Follower) {
	if s.stale != nil {
		f.Stale(s.stale)
		return
	}
	if s.begin {
		f.Begin(s.generation)
	}
	for _, n := range s.entries {
		f.Apply(n.Entry)
	}
	if s.live {
		f.Live(s.revision)
	}
}

// wake makes every feed look again.
func (s *Store) wake() {
	for sub := range s.feeds {
		select {
		case sub.wake <- struct{}{}:
		default:
		}
	}
}
