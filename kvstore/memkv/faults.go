package memkv

import (
	"fmt"

	"github.com/roostbus/roost/kvstore"
)

// faults are what a test asked for, guarded by the Store's lock.
type faults struct {
	failReads  int
	failWrites int
	loseAcks   int
	feed       error // the feeds are interrupted, and why
	frozen     bool
}

func (f *faults) read() error {
	if f.failReads == 0 {
		return nil
	}
	f.failReads--
	return fmt.Errorf("%w: injected", kvstore.ErrUnavailable)
}

func (f *faults) write() error {
	if f.failWrites == 0 {
		return nil
	}
	f.failWrites--
	return fmt.Errorf("%w: injected", kvstore.ErrUnavailable)
}

func (f *faults) acknowledge() error {
	if f.loseAcks == 0 {
		return nil
	}
	f.loseAcks--
	return fmt.Errorf("%w: injected", kvstore.ErrUnknownOutcome)
}

// FailReads makes the next n calls of Get, Scan and Info fail as unavailable.
func (s *Store) FailReads(n int) { s.inject(func(f *faults) { f.failReads = n }) }

// FailWrites makes the next n writes, batches and barriers fail as unavailable.
func (s *Store) FailWrites(n int) { s.inject(func(f *faults) { f.failWrites = n }) }

// LoseAcknowledgements makes the next n writes, batches and barriers happen and yet
// return kvstore.ErrUnknownOutcome.
func (s *Store) LoseAcknowledgements(n int) { s.inject(func(f *faults) { f.loseAcks = n }) }

// InterruptFeeds makes every feed stale because of cause, until ResumeFeeds or
// RestartFeeds. Writes go on.
func (s *Store) InterruptFeeds(cause error) { s.inject(func(f *faults) { f.feed = cause }) }

// FreezeFeeds makes every feed stand still without a word, as on a node that is cut off
// from the others, until ResumeFeeds or RestartFeeds.
func (s *Store) FreezeFeeds() { s.inject(func(f *faults) { f.frozen = true }) }

// ResumeFeeds lets the feeds go on where they were.
func (s *Store) ResumeFeeds() {
	s.inject(func(f *faults) { f.feed, f.frozen = nil, false })
}

// RestartFeeds lets the feeds go on with a snapshot: what changed meanwhile is dropped
// and only its result seen.
func (s *Store) RestartFeeds() {
	s.mu.Lock()
	for sub := range s.feeds {
		sub.afresh = true
	}
	s.mu.Unlock()
	s.ResumeFeeds()
}

// Reset deletes everything and makes the store anew: another generation, in which the
// sequence begins at 1.
func (s *Store) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	s.wake()
}

// Purge removes every entry without a trace, as an operator does, and has the feeds
// notice. The sequence goes on.
func (s *Store) Purge() {
	s.mu.Lock()
	generation, last := s.generation, s.last
	s.clear()
	s.generation, s.last = generation, last
	for sub := range s.feeds {
		sub.afresh = true
	}
	s.wake()
	s.mu.Unlock()
}

func (s *Store) inject(set func(*faults)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set(&s.faults)
	s.wake()
}
