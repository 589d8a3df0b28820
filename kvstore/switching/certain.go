package switching

import (
	"context"
	"fmt"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// fresh is how long the coming back of an own message shows that no move has begun which
// this node does not know of.
const fresh = 10 * time.Second

// margin is what clocks that run at different rates may differ by meanwhile.
const margin = time.Second

// counts returns when it is sure that a write counts, which was sent at sent and made
// revision: errMoved if it does not, ErrUnknownOutcome when ctx is done before.
func (s *Store) counts(ctx context.Context, h *home, sent time.Duration, revision uint64) error {
	h.wrote(sent, revision)
	if s.certain(h) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch late := h.sealed != 0 && revision > h.sealed; {
		case s.home != h && late:
			return errMoved
		case s.home != h, !late && h.seen.Load() >= revision:
			return nil
		case s.closed:
			return fmt.Errorf("%w: the store was closed", kvstore.ErrUnknownOutcome)
		}
		if err := s.waitFor(ctx, h, revision); err != nil {
			return fmt.Errorf("%w: it is not known whether the store was left before: %v", kvstore.ErrUnknownOutcome, err) //nolint:errorlint // the context's end is no news
		}
	}
}

// waitFor is wait, unless the feed has passed revision meanwhile.
func (s *Store) waitFor(ctx context.Context, h *home, revision uint64) error {
	s.waiters.Add(1)
	defer s.waiters.Add(-1)
	if h.seen.Load() >= revision && (h.sealed == 0 || revision <= h.sealed) {
		return nil
	}
	return s.wait(ctx)
}

// certain reports whether no move is under way that could have left h. First the echo: a
// move that had begun before what came back was seen before it came back.
func (s *Store) certain(h *home) bool {
	echo := time.Duration(h.echo.Load())
	return echo != 0 && time.Since(s.base)-echo < fresh && !s.careful.Load()
}

// wrote notes a write of this process, whose coming back is an echo.
func (h *home) wrote(sent time.Duration, revision uint64) {
	if h.seen.Load() >= revision {
		h.echoed(sent)
		return
	}
	h.mu.Lock()
	if h.expected == 0 {
		h.pending, h.expected = sent, revision
	}
	h.mu.Unlock()
	if h.seen.Load() >= revision {
		h.came(revision)
	}
}

func (h *home) echoed(sent time.Duration) {
	for {
		old := h.echo.Load()
		if int64(sent) <= old || h.echo.CompareAndSwap(old, int64(sent)) {
			return
		}
	}
}

// came notes that the feed has passed revision.
func (h *home) came(revision uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.expected != 0 && h.expected <= revision {
		h.echoed(h.pending)
		h.expected = 0
	}
}

// advance notes that everything up to revision was shown.
func (s *Store) advance(h *home, revision uint64) {
	h.seen.Store(revision)
	h.came(revision)
	if s.waiters.Load() > 0 {
		s.mu.Lock()
		s.broadcast()
		s.mu.Unlock()
	}
}
