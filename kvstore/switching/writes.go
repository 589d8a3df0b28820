package switching

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// Write applies w. It waits while writes wait.
func (s *Store) Write(ctx context.Context, w kvstore.Write) (uint64, error) {
	h, err := s.enter(ctx)
	if err != nil {
		return 0, s.refused(w.Key, err)
	}
	defer s.leave(h)
	if h.old(&w) {
		return 0, s.refused(w.Key, errMoved)
	}
	sent := time.Since(s.base)
	revision, err := h.Store.Write(ctx, w)
	if err != nil {
		return 0, err
	}
	if err := s.counts(ctx, h, sent, revision); err != nil {
		return 0, s.refused(w.Key, err)
	}
	return revision, nil
}

// Batch applies writes, all or none.
func (s *Store) Batch(ctx context.Context, writes []kvstore.Write) ([]uint64, error) {
	h, err := s.enter(ctx)
	if err != nil {
		return nil, s.refused("", err)
	}
	defer s.leave(h)
	for i := range writes {
		if h.old(&writes[i]) {
			return nil, s.refused(writes[i].Key, errMoved)
		}
	}
	sent := time.Since(s.base)
	revisions, err := h.Store.Batch(ctx, writes)
	if err != nil || len(revisions) == 0 {
		return revisions, err
	}
	if err := s.counts(ctx, h, sent, revisions[len(revisions)-1]); err != nil {
		return nil, s.refused("", err)
	}
	return revisions, nil
}

// WriteEach implements [kvstore.Pipeliner].
func (s *Store) WriteEach(ctx context.Context, writes []kvstore.Write) []kvstore.Written {
	results := make([]kvstore.Written, len(writes))
	h, err := s.enter(ctx)
	if err != nil {
		for i := range results {
			results[i].Err = s.refused(writes[i].Key, err)
		}
		return results
	}
	defer s.leave(h)
	sound, places := make([]kvstore.Write, 0, len(writes)), make([]int, 0, len(writes))
	for i := range writes {
		if h.old(&writes[i]) {
			results[i].Err = s.refused(writes[i].Key, errMoved)
			continue
		}
		sound, places = append(sound, writes[i]), append(places, i)
	}
	sent := time.Since(s.base)
	for n, written := range kvstore.WriteEach(ctx, h.Store, sound) {
		i := places[n]
		if results[i] = written; written.Err != nil {
			continue
		}
		if err := s.counts(ctx, h, sent, written.Revision); err != nil {
			results[i] = kvstore.Written{Err: s.refused(writes[i].Key, err)}
		}
	}
	return results
}

// Barrier writes a key of the store's own. It does not wait while writes do: what is read
// meanwhile is what was written before.
func (s *Store) Barrier(ctx context.Context) (uint64, error) {
	for {
		h := s.current()
		sent := time.Since(s.base)
		revision, err := h.Store.Barrier(ctx)
		if err == nil {
			h.probed.Store(int64(sent))
			err = s.counts(ctx, h, sent, revision)
		}
		switch {
		case err == nil:
			return revision, nil
		case s.current() != h && ctx.Err() == nil:
		case errors.Is(err, errMoved):
			return 0, fmt.Errorf("barrier: %w: %w", kvstore.ErrUnavailable, err)
		default:
			return 0, err
		}
	}
}

// old reports whether w was decided from a store before h.
func (h *home) old(w *kvstore.Write) bool {
	from := max(w.Expect, w.Seen)
	return from != 0 && from < h.first
}

// refused returns err as the error of a write.
func (s *Store) refused(key string, err error) error {
	if errors.Is(err, errMoved) {
		return fmt.Errorf("%w: %w", err, &kvstore.ConflictError{Key: key})
	}
	return err
}
