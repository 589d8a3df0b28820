package engine

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// mirror is what the feed has shown of all records of one kind.
type mirror[T any] struct {
	kind *kind[T]
	log  *slog.Logger

	mu       sync.RWMutex
	states   map[string]*state[T]           // by key, markers too
	named    map[string]map[string]struct{} // by owner: the keys of the records that name it
	shadow   map[string]*state[T]           // the snapshot that is coming in; nil outside one
	in, next kvstore.Generation
	watchers watchers
	// expected is what this node writes under a key, which the feed will show.
	expected map[string]*state[T]

	// changed is told of every change, from the feed; "" stands for all of them.
	changed func(key string)
}

var _ kvstore.Subscriber = (*mirror[struct{}])(nil)

func newMirror[T any](k *kind[T], log *slog.Logger, changed func(key string)) *mirror[T] {
	return &mirror[T]{
		kind: k, log: log, changed: changed,
		states: map[string]*state[T]{}, named: map[string]map[string]struct{}{},
		watchers: newWatchers(), expected: map[string]*state[T]{},
	}
}

// peek returns what is known of key, and in which life of the store.
func (m *mirror[T]) peek(key string) (*state[T], kvstore.Generation) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if s := m.states[key]; s != nil {
		return s, m.in
	}
	return &state[T]{}, m.in
}

// forget drops the marker of key at revision, which the store does not have any more.
func (m *mirror[T]) forget(key string, revision uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.states[key]; s != nil && !s.present && s.revision == revision {
		delete(m.states, key)
	}
}

// prune drops the markers that were shown before then.
func (m *mirror[T]) prune(then time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, s := range m.states {
		if !s.present && s.seen.Before(then) {
			delete(m.states, key)
		}
	}
}

// keys returns the keys of all records, or of those that name owner, in no order.
func (m *mirror[T]) keys(owner string) (keys []string) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if owner != "" {
		for key := range m.named[owner] {
			keys = append(keys, key)
		}
		return keys
	}
	for key, s := range m.states {
		if s.present {
			keys = append(keys, key)
		}
	}
	return keys
}

// watch has w woken for what becomes of key. The caller ends that with unwatch.
func (m *mirror[T]) watch(key string, w *watcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watchers.add(key, w)
}

// rewatch has w wait for another entry, whatever revision shows it.
func (m *mirror[T]) rewatch(w *watcher, entry string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.entry = entry
}

func (m *mirror[T]) unwatch(key string, w *watcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watchers.remove(key, w)
}

// ended wakes those who are of an owner whose lease has ended, and tells of the records
// that name it.
func (m *mirror[T]) ended(owner string) {
	keys := m.keys(owner)
	m.mu.Lock()
	m.watchers.ended(owner)
	m.mu.Unlock()
	for _, key := range keys {
		m.changed(key)
	}
}

// index notes whom the record at key names now. The caller holds mu.
func (m *mirror[T]) index(key string, before, now []string) {
	// What a transition changes of a long queue is mostly at its ends.
	same := 0
	for same < len(before) && same < len(now) && before[same] == now[same] {
		same++
	}
	gone, come := before[same:], now[same:]
	for len(gone) > 0 && len(come) > 0 && gone[len(gone)-1] == come[len(come)-1] {
		gone, come = gone[:len(gone)-1], come[:len(come)-1]
	}
	for _, owner := range gone {
		if !slices.Contains(now, owner) {
			take(m.named, owner, key)
		}
	}
	for _, owner := range come {
		put(m.named, owner, key)
	}
}

// Begin implements [kvstore.Follower].
func (m *mirror[T]) Begin(g kvstore.Generation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next, m.shadow, m.expected = g, map[string]*state[T]{}, map[string]*state[T]{}
}

// expect says that s is about to be written under key: its text need not be read when the
// feed shows it.
func (m *mirror[T]) expect(key string, s *state[T]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expected[key] = s
}

// read returns the state that e stands for.
func (m *mirror[T]) read(e *kvstore.Entry) (*state[T], error) {
	m.mu.Lock()
	own := m.expected[e.Key]
	delete(m.expected, e.Key)
	m.mu.Unlock()
	if own == nil || e.Removed || e.Operation != own.operation || !bytes.Equal(e.Value, own.raw) {
		return parse(m.kind, e)
	}
	return &state[T]{
		value: own.value, raw: own.raw, present: true, owners: own.owners,
		revision: e.Revision, operation: e.Operation, seen: time.Now(),
	}, nil
}

// Apply implements [kvstore.Follower].
func (m *mirror[T]) Apply(e kvstore.Entry) {
	s, err := m.read(&e)
	if err != nil {
		m.log.LogAttrs(context.Background(), slog.LevelWarn, "entry of the bucket is no record",
			slog.String("key", e.Key), slog.Uint64("revision", e.Revision), slog.Any("err", err))
	}
	m.mu.Lock()
	if m.shadow != nil {
		m.shadow[e.Key] = s
		m.mu.Unlock()
		return
	}
	var before []string
	if old := m.states[e.Key]; old != nil {
		before = old.owners
	}
	m.states[e.Key] = s
	m.index(e.Key, before, s.owners)
	m.watchers.changed(e.Key, s.revision, func() []string { return m.kind.pending(&s.value) })
	m.mu.Unlock()
	m.changed(e.Key)
}

// Live implements [kvstore.Follower].
func (m *mirror[T]) Live(uint64) {
	m.mu.Lock()
	if m.shadow == nil {
		m.mu.Unlock()
		return
	}
	m.states, m.shadow, m.in = m.shadow, nil, m.next
	m.named = map[string]map[string]struct{}{}
	for key, s := range m.states {
		m.index(key, nil, s.owners)
	}
	m.watchers.all()
	m.mu.Unlock()
	m.changed("")
}

// Stale implements [kvstore.Follower].
func (m *mirror[T]) Stale(error) {}

// Advance implements [kvstore.Subscriber].
func (m *mirror[T]) Advance(uint64) {}
