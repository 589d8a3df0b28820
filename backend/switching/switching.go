package switching

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/roostbus/roost/backend"
)

// Backend passes every call on to the Backend that it holds. Use New.
type Backend struct {
	now    atomic.Pointer[held]
	closed atomic.Bool

	mu      sync.Mutex
	voids   map[int]func(backend.Ending)
	counter int
}

// held is the Backend that is used, and what it has been told.
type held struct {
	backend.Backend
	cancel func() // of OnVoid

	// writes are those under way, which Exchange waits for: a batch that is closed in its
	// middle would be done in part.
	writes sync.RWMutex
}

var (
	_ backend.Backend    = (*Backend)(nil)
	_ backend.Batcher    = (*Backend)(nil)
	_ backend.Counter    = (*Backend)(nil)
	_ backend.Cataloguer = (*Backend)(nil)
	_ backend.Prompter   = (*Backend)(nil)
	_ backend.Reaper     = (*Backend)(nil)
)

// New returns a Backend that begins with b, which it closes.
func New(b backend.Backend) *Backend {
	s := &Backend{voids: map[int]func(backend.Ending){}}
	s.now.Store(s.hold(b))
	return s
}

// hold has b tell of what is void.
func (s *Backend) hold(b backend.Backend) *held {
	return &held{Backend: b, cancel: backend.ReaperOf(b).OnVoid(s.void)}
}

// void tells all who asked.
func (s *Backend) void(e backend.Ending) {
	s.mu.Lock()
	all := make([]func(backend.Ending), 0, len(s.voids))
	for _, f := range s.voids {
		all = append(all, f)
	}
	s.mu.Unlock()
	for _, f := range all {
		f(e)
	}
}

// Exchange uses next from now on, which answers already, and closes the one before when its
// writes have ended.
func (s *Backend) Exchange(next backend.Backend) error {
	before := s.now.Swap(s.hold(next))
	before.writes.Lock()
	defer before.writes.Unlock()
	before.cancel()
	err := before.Close()
	if s.closed.Load() {
		err = errors.Join(err, s.now.Load().Close())
	}
	return err
}

// again reports whether a call that h has answered with err is to be made of another.
func (s *Backend) again(h *held, err error) bool {
	return errors.Is(err, backend.ErrClosed) && !s.closed.Load() && s.now.Load() != h
}

// Register implements [backend.Backend].
func (s *Backend) Register(ctx context.Context, r backend.Registration, w backend.Write) (backend.Registration, backend.Stamp, error) {
	for {
		h := s.now.Load()
		h.writes.RLock()
		stored, stamp, err := h.Register(ctx, r, w)
		h.writes.RUnlock()
		if !s.again(h, err) {
			return stored, stamp, err
		}
	}
}

// Lookup implements [backend.Backend].
func (s *Backend) Lookup(ctx context.Context, key backend.Key, read backend.Read) (backend.Registration, backend.Stamp, error) {
	wait := patient(&read)
	for {
		h := s.now.Load()
		r, stamp, err := h.Lookup(ctx, key, read)
		if !s.again(h, err) {
			return r, stamp, err
		}
		read.Wait = wait()
	}
}

// Prompt implements [backend.Prompter].
func (s *Backend) Prompt(read backend.Read) bool { return backend.Prompt(s.now.Load().Backend, read) }

// Update implements [backend.Backend].
func (s *Backend) Update(ctx context.Context, key backend.Key, c backend.Change, w backend.Write) (backend.Registration, backend.Stamp, error) {
	for {
		h := s.now.Load()
		h.writes.RLock()
		r, stamp, err := h.Update(ctx, key, c, w)
		h.writes.RUnlock()
		if !s.again(h, err) {
			return r, stamp, err
		}
	}
}

// Unregister implements [backend.Backend].
func (s *Backend) Unregister(ctx context.Context, key backend.Key, w backend.Write) (backend.Removal, backend.Stamp, error) {
	for {
		h := s.now.Load()
		h.writes.RLock()
		removal, stamp, err := h.Unregister(ctx, key, w)
		h.writes.RUnlock()
		if !s.again(h, err) {
			return removal, stamp, err
		}
	}
}

// Batch implements [backend.Batcher].
func (s *Backend) Batch(ctx context.Context, operations []backend.Operation, atomic bool) ([]backend.Result, backend.Stamp, error) {
	for {
		h := s.now.Load()
		h.writes.RLock()
		results, stamp, err := backend.Batch(ctx, h.Backend, operations, atomic)
		h.writes.RUnlock()
		if !s.again(h, err) {
			return results, stamp, err
		}
	}
}

// List implements [backend.Backend].
func (s *Backend) List(ctx context.Context, q backend.Query) (*backend.Page, backend.Stamp, error) {
	wait := patient(&q.Read)
	for {
		h := s.now.Load()
		page, stamp, err := h.List(ctx, q)
		if !s.again(h, err) {
			return page, stamp, err
		}
		q.Wait = wait()
	}
}

// Count implements [backend.Counter].
func (s *Backend) Count(ctx context.Context, q backend.Query) (int, backend.Stamp, error) {
	for {
		h := s.now.Load()
		n, stamp, err := backend.Count(ctx, h.Backend, q)
		if !s.again(h, err) {
			return n, stamp, err
		}
	}
}

// Services implements [backend.Cataloguer].
func (s *Backend) Services(ctx context.Context, q backend.Query) (*backend.ServicesPage, backend.Stamp, error) {
	for {
		h := s.now.Load()
		page, stamp, err := backend.Services(ctx, h.Backend, q)
		if !s.again(h, err) {
			return page, stamp, err
		}
	}
}

// Watch implements [backend.Backend].
func (s *Backend) Watch(ctx context.Context, q backend.Query, since backend.Revision) iter.Seq2[backend.Event, error] {
	h, changes, next := s.watch(ctx, q, since) // from now on, and not from when the range begins
	return func(yield func(backend.Event, error) bool) {
		h, changes, since, next := h, changes, since, next
		for {
			moved, gap := false, false
			for e, err := range changes {
				if moved = s.again(h, err); moved {
					break
				}
				if gap = gap || e.Kind == backend.Gap; err == nil && !gap && e.Revision <= since {
					continue // the one before was shown it first, and has told it
				}
				if err == nil {
					next = max(next, e.Revision)
				}
				if !yield(e, err) {
					return
				}
			}
			if !moved {
				return
			}
			since = next
			h, changes, next = s.watch(ctx, q, since)
		}
	}
}

// watch begins a watch of the Backend that is used. next is where it goes on at another that
// is exchanged for it before anything has come.
func (s *Backend) watch(ctx context.Context, q backend.Query, since backend.Revision) (h *held, changes iter.Seq2[backend.Event, error], next backend.Revision) {
	for {
		h := s.now.Load()
		if since != 0 {
			return h, h.Watch(ctx, q, since), since
		}
		// Of a key that nobody has, for what its answer reflects.
		_, stamp, err := h.Lookup(ctx, backend.Key{Namespace: "-", Service: "-"}, backend.Read{})
		if !s.again(h, err) {
			return h, h.Watch(ctx, q, 0), stamp.Revision
		}
	}
}

// Health implements [backend.Backend].
func (s *Backend) Health(ctx context.Context) (backend.Health, error) {
	return s.now.Load().Health(ctx)
}

// Close implements [backend.Backend].
func (s *Backend) Close() error {
	s.closed.Store(true)
	return s.now.Load().Close()
}
