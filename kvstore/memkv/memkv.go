package memkv

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// Store is a kvstore.Store in memory.
type Store struct {
	config

	mu         sync.Mutex
	generation kvstore.Generation
	last       uint64
	keys       map[string]*node
	order      node // the ring of all nodes by revision; order.next is the oldest
	expiries   expiryHeap
	feeds      map[*subscription]struct{}
	closed     bool
	faults     faults
}

// node holds one entry. Entry does not change once the node is in the ring.
type node struct {
	kvstore.Entry
	prev, next *node
	expires    time.Time // of a marker that is forgotten
}

var _ kvstore.Store = (*Store)(nil)

// Option sets up a Store.
type Option interface{ apply(*config) }

type config struct {
	probe    string
	maxValue int
	first    uint64
}

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

// WithNode names the node whose key Barrier writes, probe.<name>. The default is "memory".
func WithNode(name string) Option {
	return optionFunc(func(c *config) { c.probe = kvstore.ProbePrefix + name })
}

// WithMaxValue sets the size from which on a value is kvstore.ErrTooLarge. The default is
// a mebibyte, which is NATS's.
func WithMaxValue(size int) Option { return optionFunc(func(c *config) { c.maxValue = size }) }

// WithFirst sets the revision that the first write makes. The default is 1.
func WithFirst(revision uint64) Option {
	return optionFunc(func(c *config) { c.first = revision })
}

// New returns an empty Store.
func New(opts ...Option) *Store {
	s := &Store{config: config{probe: kvstore.ProbePrefix + "memory", maxValue: 1 << 20, first: 1}, feeds: map[*subscription]struct{}{}}
	for _, o := range opts {
		o.apply(&s.config)
	}
	s.clear()
	return s
}

func (s *Store) clear() {
	s.generation = kvstore.Generation(rand.Text())
	s.last = s.first - 1
	s.keys = map[string]*node{}
	s.order.next, s.order.prev = &s.order, &s.order
	s.expiries = nil
}

// Get returns the newest entry of key.
func (s *Store) Get(ctx context.Context, key string) (kvstore.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.readable(ctx); err != nil {
		return kvstore.Entry{}, fmt.Errorf("get %s: %w", key, err)
	}
	n, ok := s.keys[key]
	if !ok {
		return kvstore.Entry{}, fmt.Errorf("get %s: %w", key, kvstore.ErrNotFound)
	}
	return n.Entry, nil
}

// Write applies w.
func (s *Store) Write(ctx context.Context, w kvstore.Write) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	revisions, err := s.write(ctx, w)
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", w.Key, err)
	}
	return revisions[0], nil
}

// Batch applies writes, all or none.
func (s *Store) Batch(ctx context.Context, writes []kvstore.Write) ([]uint64, error) {
	if err := kvstore.CheckBatch(writes); err != nil || len(writes) == 0 {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	revisions, err := s.write(ctx, writes...)
	if err != nil {
		return nil, fmt.Errorf("batch of %d: %w", len(writes), err)
	}
	return revisions, nil
}

// Barrier writes the node's probe key.
func (s *Store) Barrier(ctx context.Context) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := kvstore.Write{Key: s.probe}
	if n, ok := s.keys[s.probe]; ok {
		w.Expect = n.Revision
	}
	revisions, err := s.write(ctx, w)
	if err != nil {
		return 0, fmt.Errorf("barrier: %w", err)
	}
	return revisions[0], nil
}

// Info describes the store.
func (s *Store) Info(ctx context.Context) (kvstore.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.readable(ctx); err != nil {
		return kvstore.Info{}, fmt.Errorf("info: %w", err)
	}
	return kvstore.Info{Generation: s.generation, Last: s.last, Keys: uint64(len(s.keys))}, nil
}

// Close ends the feeds and forgets everything.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.clear()
	s.wake()
	return nil
}

func (s *Store) readable(ctx context.Context) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := s.faults.read(); err != nil {
		return err
	}
	s.sweep()
	return nil
}

func (s *Store) usable(ctx context.Context) error {
	if s.closed {
		return kvstore.ErrClosed
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", kvstore.ErrUnavailable, context.Cause(ctx))
	}
	return nil
}

func (s *Store) write(ctx context.Context, writes ...kvstore.Write) ([]uint64, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if err := s.faults.write(); err != nil {
		return nil, err
	}
	s.sweep()
	for i := range writes {
		w := &writes[i]
		if err := w.Check(); err != nil {
			return nil, err
		}
		if len(w.Value) > s.maxValue {
			return nil, fmt.Errorf("%s: %w: %d bytes, at most %d are allowed", w.Key, kvstore.ErrTooLarge, len(w.Value), s.maxValue)
		}
		var current kvstore.Entry
		if n, ok := s.keys[w.Key]; ok {
			current = n.Entry
		}
		switch {
		case current.Revision == w.Expect:
		case w.Made(&current):
			return repeated(current.Revision, i, len(writes)), nil
		default:
			return nil, &kvstore.ConflictError{Key: w.Key, Current: current, Known: true}
		}
	}
	revisions := make([]uint64, len(writes))
	for i := range writes {
		revisions[i] = s.put(&writes[i])
	}
	s.wake()
	return revisions, s.faults.acknowledge()
}

// repeated returns the revisions of n writes that have been made before, of which the
// i-th made revision.
func repeated(revision uint64, i, n int) []uint64 {
	revisions := make([]uint64, n)
	for j := range revisions {
		revisions[j] = revision - uint64(i) + uint64(j) //nolint:gosec // indices are small
	}
	return revisions
}

func (s *Store) put(w *kvstore.Write) uint64 {
	if old, ok := s.keys[w.Key]; ok {
		old.unlink()
	}
	s.last++
	now := time.Now()
	n := &node{Entry: kvstore.Entry{
		Key: w.Key, Value: bytes.Clone(w.Value), Revision: s.last, Removed: w.Remove, Labels: w.Labels, Time: now,
	}}
	n.prev, n.next = s.order.prev, &s.order
	n.prev.next, n.next.prev = n, n
	s.keys[w.Key] = n
	if w.Remove && w.Keep > 0 {
		n.expires = now.Add(w.Keep)
		heap.Push(&s.expiries, n)
	}
	return s.last
}

func (n *node) unlink() {
	n.prev.next, n.next.prev = n.next, n.prev
	n.prev, n.next = nil, nil
}

// sweep forgets the markers whose time has come.
func (s *Store) sweep() {
	for len(s.expiries) > 0 && !time.Now().Before(s.expiries[0].expires) {
		n := heap.Pop(&s.expiries).(*node)
		if s.keys[n.Key] == n {
			delete(s.keys, n.Key)
			n.unlink()
		}
	}
}

// expiryHeap orders markers by when they are forgotten. It may hold superseded ones.
type expiryHeap []*node

func (h expiryHeap) Len() int { return len(h) }
func (h expiryHeap) Less(i, j int) bool {
	return cmp.Less(h[i].expires.UnixNano(), h[j].expires.UnixNano())
}
func (h expiryHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *expiryHeap) Push(x any)   { *h = append(*h, x.(*node)) }

func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	n := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return n
}
