package switching

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/roostbus/roost/kvstore"
)

var errMoving = errors.New("the registry is being switched to another store")

// Feed shows the store to f, and when it has moved, the new one as a snapshot of another
// life. A Store follows one Feed at a time.
func (s *Store) Feed(ctx context.Context, f kvstore.Follower) error {
	for {
		h := s.shown()
		feeding, cancel := context.WithCancel(ctx)
		w := &watcher{store: s, home: h, to: f, cancel: cancel}
		err := h.Store.Feed(feeding, w)
		cancel()
		if w.moved == nil || ctx.Err() != nil {
			return err
		}
		f.Stale(errMoving)
		if err := s.follow(ctx, *w.moved); err != nil {
			return err
		}
	}
}

// shown returns the store that the feed shows.
func (s *Store) shown() *home {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		return s.next
	}
	return s.home
}

// follow opens the store that r has led to, as often as it takes.
func (s *Store) follow(ctx context.Context, r Record) error {
	s.mu.Lock()
	var opened *Home
	if s.own != nil && s.own.id == r.ID && s.own.target != nil {
		opened = s.own.target
		s.own.taken = true
	}
	s.mu.Unlock()
	for pause := 100 * time.Millisecond; opened == nil; pause = min(2*pause, 2*time.Second) {
		h, err := s.opener.Open(ctx, r.To)
		if err == nil {
			opened = &h
			break
		}
		s.log.LogAttrs(ctx, slog.LevelWarn, "the store that the registry has moved to does not open",
			slog.String("bucket", r.To.Bucket), slog.Any("err", err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := s.opener.Remember(r.To); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "the node does not remember where the registry has moved to", slog.Any("err", err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = &home{Home: *opened, place: r.To, first: r.First, id: r.ID}
	return nil
}

// watcher passes one store's feed on and takes out of it what is about moves.
type watcher struct {
	store    *Store
	home     *home
	to       kvstore.Follower
	cancel   context.CancelFunc
	snapshot bool
	moved    *Record // the store is left: nothing more of it is shown
}

func (w *watcher) Begin(g kvstore.Generation) {
	if w.moved != nil {
		return
	}
	w.snapshot = true
	w.store.begin(w.home, g)
	w.to.Begin(g)
}

func (w *watcher) Apply(e kvstore.Entry) {
	if w.moved != nil {
		return
	}
	switch {
	case e.Key == Key:
		if r := w.store.saw(w.home, &e); r.State == Moved {
			w.moved = &r
			w.cancel()
			return
		}
	case strings.HasPrefix(e.Key, kvstore.ProbePrefix):
		w.store.heard(strings.TrimPrefix(e.Key, kvstore.ProbePrefix))
	case strings.HasPrefix(e.Key, answerPrefix):
		w.store.answered(strings.TrimPrefix(e.Key, answerPrefix), &e)
	}
	w.to.Apply(e)
	if !w.snapshot && !e.Torn {
		w.store.advance(w.home, e.Revision)
	}
}

func (w *watcher) Live(revision uint64) {
	if w.moved != nil {
		return
	}
	w.snapshot = false
	w.to.Live(revision)
	w.store.advance(w.home, revision)
	w.store.arrive(w.home)
}

func (w *watcher) Stale(cause error) {
	if w.moved == nil {
		w.to.Stale(cause)
	}
}

// begin notes the life of h before anybody is told of it.
func (s *Store) begin(h *home, g kvstore.Generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h == s.next && s.home.life != "" {
		s.parents[g] = s.home.life
	}
	if h == s.home && h.life != "" && h.life != g { // what was said of moves is lost
		s.record, s.at, h.sealed = Record{}, 0, 0
		s.careful.Store(false)
		s.gate(false)
		s.broadcast()
	}
	h.life = g
}

// saw takes in the record of h's feed.
func (s *Store) saw(h *home, e *kvstore.Entry) Record {
	var r Record
	if err := json.Unmarshal(e.Value, &r); err != nil || e.Removed {
		r = Record{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Revision < s.at && s.home == h {
		return Record{}
	}
	if h == s.next {
		h.record, h.at = r, e.Revision
		return r
	}
	s.take(h, &r, e.Revision)
	return r
}

// take has this node go by r, which is at that revision of h. The caller holds mu.
func (s *Store) take(h *home, r *Record, at uint64) {
	if r.ID != s.record.ID || r.Beats != s.record.Beats || r.State != s.record.State {
		s.seenAt = time.Now()
	}
	s.record, s.at, h.sealed = *r, at, 0
	if r.State == Sealed || r.State == Moved {
		if h.sealed = r.Sealed; r.Sealed == 0 {
			h.sealed = at
		}
	}
	s.careful.Store(r.active() || r.State == Moved)
	s.gate(r.State == Pausing || r.State == Sealed || r.State == Moved)
	s.broadcast()
}

// gate lets writes wait, or not any more. The caller holds mu.
func (s *Store) gate(shut bool) {
	if shut == s.shut {
		return
	}
	if s.shut = shut; shut {
		s.shutAt, s.shutBeat = time.Now(), s.record.Beats
		return
	}
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "writes go on", slog.Duration("took", time.Since(s.shutAt)))
}

// arrive has writes go to h, if it is the store that was moved to.
func (s *Store) arrive(h *home) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h != s.next {
		return
	}
	s.home.leftAt = time.Now()
	s.left = append(s.left, s.home)
	s.home, s.next = h, nil
	s.nodes, s.answers = map[string]time.Time{}, map[string]answer{}
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "the registry is in another store now",
		slog.String("bucket", h.place.Bucket), slog.String("move", h.id))
	s.take(h, &h.record, h.at)
}

// heard notes that a node has written its probe.
func (s *Store) heard(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[node] = time.Now()
}

// answered notes what a node has answered.
func (s *Store) answered(node string, e *kvstore.Entry) {
	var a answer
	if err := json.Unmarshal(e.Value, &a); err != nil || e.Removed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[node] = a
	s.broadcast()
}
