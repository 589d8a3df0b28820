package memkv

import (
	"context"
	"fmt"

	"github.com/roostbus/roost/kvstore"
)

// Scan returns the entries that match patterns, once the store has come to atLeast.
func (s *Store) Scan(ctx context.Context, patterns []string, atLeast uint64) (kvstore.Scanned, error) {
	if err := kvstore.CheckPatterns(patterns); err != nil {
		return kvstore.Scanned{}, fmt.Errorf("scan: %w", err)
	}
	// It waits as a feed does, which wake finds.
	change := &subscription{wake: make(chan struct{}, 1)}
	for registered := false; ; {
		s.mu.Lock()
		if err := s.readable(ctx); err != nil {
			delete(s.feeds, change)
			s.mu.Unlock()
			return kvstore.Scanned{}, fmt.Errorf("scan: %w", err)
		}
		if s.last >= atLeast {
			scanned := s.scan(patterns)
			delete(s.feeds, change)
			s.mu.Unlock()
			return scanned, nil
		}
		if !registered {
			s.feeds[change], registered = struct{}{}, true
		}
		s.mu.Unlock()
		select {
		case <-change.wake:
		case <-ctx.Done():
		}
	}
}

func (s *Store) scan(patterns []string) kvstore.Scanned {
	scanned := kvstore.Scanned{Revision: s.last}
	for key, n := range s.keys {
		if kvstore.MatchesAny(patterns, key) {
			scanned.Entries = append(scanned.Entries, n.Entry)
		}
	}
	return scanned
}
