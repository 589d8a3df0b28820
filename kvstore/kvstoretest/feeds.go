package kvstoretest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/kvstore"
)

// Mirror is a Follower that holds what a feed shows and checks the feed's manners. It is
// safe for concurrent use.
type Mirror struct {
	mu         sync.Mutex
	changed    chan struct{} // closed and replaced by every call
	entries    map[string]kvstore.Entry
	pending    map[string]kvstore.Entry // the snapshot that is coming in; nil outside one
	generation kvstore.Generation
	live       bool
	begins     int
	stales     int
	revision   uint64
	faults     []string
}

// NewMirror returns an empty Mirror.
func NewMirror() *Mirror {
	return &Mirror{changed: make(chan struct{}), entries: map[string]kvstore.Entry{}}
}

func (m *Mirror) locked(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
	close(m.changed)
	m.changed = make(chan struct{})
}

// Begin starts a shadow.
func (m *Mirror) Begin(g kvstore.Generation) {
	m.locked(func() {
		m.pending, m.generation, m.live = map[string]kvstore.Entry{}, g, false
		m.begins++
	})
}

// Apply takes an entry that is newer than what is held.
func (m *Mirror) Apply(e kvstore.Entry) {
	m.locked(func() {
		into := m.entries
		if m.pending != nil {
			into = m.pending
		} else if m.begins == 0 {
			m.faults = append(m.faults, "Apply before Begin")
		}
		if e.Revision > into[e.Key].Revision {
			into[e.Key] = e
		}
		if m.pending == nil {
			m.revision = max(m.revision, e.Revision)
		}
	})
}

// Live makes the shadow what is shown.
func (m *Mirror) Live(revision uint64) {
	m.locked(func() {
		if m.begins == 0 {
			m.faults = append(m.faults, "Live before Begin")
		}
		if m.pending != nil {
			m.entries, m.pending, m.revision = m.pending, nil, revision
		}
		m.live, m.revision = true, max(m.revision, revision)
	})
}

// Stale notes it.
func (m *Mirror) Stale(error) {
	m.locked(func() {
		m.live = false
		m.stales++
	})
}

// MirrorState is what a Mirror holds at one moment.
type MirrorState struct {
	Entries    map[string]kvstore.Entry
	Generation kvstore.Generation
	Live       bool
	Revision   uint64
	Begins     int // snapshots so far
	Stales     int // interruptions so far
	Faults     []string
}

// Await waits until is reports true of what m holds and returns that; it fails the test
// if that takes too long.
func (m *Mirror) Await(tb testing.TB, what string, is func(MirrorState) bool) MirrorState {
	tb.Helper()
	timeout := time.NewTimer(40 * time.Second)
	defer timeout.Stop()
	for {
		m.mu.Lock()
		state := MirrorState{
			Entries: make(map[string]kvstore.Entry, len(m.entries)), Generation: m.generation, Live: m.live, Revision: m.revision,
			Begins: m.begins, Stales: m.stales, Faults: m.faults,
		}
		for k, e := range m.entries {
			state.Entries[k] = e
		}
		changed := m.changed
		m.mu.Unlock()
		if is(state) {
			return state
		}
		select {
		case <-changed:
		case <-timeout.C:
			tb.Fatalf("the feed did not come to %s; live: %t, revision %d, %d entries, %d snapshots, %d interruptions",
				what, state.Live, state.Revision, len(state.Entries), state.Begins, state.Stales)
		}
	}
}

// AwaitRevision waits until everything up to revision has been shown.
func (m *Mirror) AwaitRevision(tb testing.TB, revision uint64) MirrorState {
	tb.Helper()
	return m.Await(tb, fmt.Sprint("revision ", revision), func(s MirrorState) bool { return s.Live && s.Revision >= revision })
}

// Follow runs a feed into a new Mirror until the test ends.
func Follow(tb testing.TB, s kvstore.Store) *Mirror {
	tb.Helper()
	m := NewMirror()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Feed(ctx, m) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) && !errors.Is(err, kvstore.ErrClosed) {
			tb.Errorf("Feed() = %v, want the context's error", err)
		}
		for _, fault := range m.faults {
			tb.Errorf("the feed's manners: %s", fault)
		}
	})
	return m
}

func feedEmpty(t *testing.T, s kvstore.Store) {
	state := Follow(t, s).AwaitRevision(t, 0)
	i, err := s.Info(t.Context())
	if err != nil || state.Generation != i.Generation || len(state.Entries) != 0 {
		t.Errorf("the feed shows %+v, Info() = %+v, %v", state, i, err)
	}
}

func feedSnapshot(t *testing.T, s kvstore.Store) {
	first := write(t, s, kvstore.Write{Key: "a", Value: []byte("1")})
	write(t, s, kvstore.Write{Key: "a", Value: []byte("2"), Expect: first})
	last := write(t, s, kvstore.Write{Key: "b.c.d.e", Value: []byte("3"), Labels: kvstore.Labels{Event: "registered"}})
	m := Follow(t, s)
	m.AwaitRevision(t, last)
	last = write(t, s, kvstore.Write{Key: "c", Value: []byte("4"), Labels: kvstore.Labels{Operation: "op", Reason: "r"}})
	wantSame(t, s, m.AwaitRevision(t, last))
}

func feedComplete(t *testing.T, s kvstore.Store) {
	const keys = 500
	var last uint64
	for i := range keys {
		last = write(t, s, kvstore.Write{Key: fmt.Sprint("a.", i)})
	}
	state := Follow(t, s).Await(t, "its first Live", func(s MirrorState) bool { return s.Live })
	if len(state.Entries) != keys || state.Revision < last {
		t.Errorf("the feed is live at revision %d with %d keys, want at least %d and %d", state.Revision, len(state.Entries), last, keys)
	}
}

// wantSame checks that the feed shows what Get returns.
func wantSame(t *testing.T, s kvstore.Store, state MirrorState) {
	t.Helper()
	want := map[string]kvstore.Entry{}
	for key, shown := range state.Entries {
		want[key] = get(t, s, key)
		shown.Torn = false // it says how the entry was shown
		state.Entries[key] = shown
	}
	equal := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	if d := cmp.Diff(want, state.Entries, equal, emptyIsNil); d != "" {
		t.Errorf("the feed differs from Get (-Get +feed):\n%s", d)
	}
	i, err := s.Info(t.Context())
	if err != nil || i.Keys != uint64(len(state.Entries)) {
		t.Errorf("the feed shows %d keys, Info() = %+v, %v", len(state.Entries), i, err)
	}
}

var emptyIsNil = cmp.Transformer("string", func(b []byte) string { return string(b) })

func feedMarkers(t *testing.T, s kvstore.Store) {
	there := write(t, s, kvstore.Write{Key: "a"})
	m := Follow(t, s)
	m.AwaitRevision(t, there)
	marker := write(t, s, kvstore.Write{
		Key: "a", Value: []byte("was"), Expect: there, Remove: true, Keep: time.Hour,
		Labels: kvstore.Labels{Operation: "op", Event: "expired", Reason: "closed"},
	})
	state := m.AwaitRevision(t, marker)
	if e := state.Entries["a"]; !e.Removed || string(e.Value) != "was" || e.Event != "expired" || e.Reason != "closed" {
		t.Errorf("the feed shows %+v, want the marker", e)
	}
	wantSame(t, s, state)
	late := Follow(t, s).AwaitRevision(t, marker)
	if !late.Entries["a"].Removed {
		t.Errorf("a new feed shows %+v, want the marker", late.Entries["a"])
	}
}

func feedUnderLoad(t *testing.T, s kvstore.Store) {
	m := Follow(t, s)
	var writers sync.WaitGroup
	var mu sync.Mutex
	var last uint64
	for i := range 8 {
		writers.Go(func() {
			revisions := map[string]uint64{}
			for n := range 100 {
				key := fmt.Sprintf("event.load.%d.%d", i, n%7)
				revision, err := s.Write(t.Context(), kvstore.Write{
					Key: key, Value: fmt.Append(nil, n), Expect: revisions[key], Remove: n%5 == 4,
				})
				if err != nil {
					t.Errorf("Write(%s) = %v", key, err)
					return
				}
				revisions[key] = revision
				mu.Lock()
				last = max(last, revision)
				mu.Unlock()
			}
		})
	}
	// One begins in the midst of it.
	second := Follow(t, s)
	writers.Wait()
	wantSame(t, s, m.AwaitRevision(t, last))
	wantSame(t, s, second.AwaitRevision(t, last))
}

func feedEnds(t *testing.T, s kvstore.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	m := NewMirror()
	go func() { done <- s.Feed(ctx, m) }()
	m.AwaitRevision(t, 0)
	cancel()
	select {
	case err := <-done:
		wantErr(t, "Feed", err, context.Canceled)
	case <-time.After(10 * time.Second):
		t.Error("Feed did not return")
	}
}

func feedCloses(t *testing.T, s kvstore.Store) {
	done := make(chan error, 1)
	m := NewMirror()
	go func() { done <- s.Feed(t.Context(), m) }()
	m.AwaitRevision(t, 0)
	if err := s.Close(); err != nil {
		t.Fatalf("Close() = %v", err)
	}
	select {
	case err := <-done:
		wantErr(t, "Feed", err, kvstore.ErrClosed)
	case <-time.After(10 * time.Second):
		t.Error("Feed did not return")
	}
}

func tailBarrier(t *testing.T, s kvstore.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	tail := kvstore.NewTail(s)
	done := make(chan error, 1)
	go func() { done <- tail.Run(ctx) }()
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			for n := range 25 {
				revision, err := s.Write(t.Context(), kvstore.Write{Key: fmt.Sprintf("w.%d.%d", i, n)})
				if err != nil {
					t.Errorf("Write() = %v", err)
					return
				}
				if err := tail.Barrier(t.Context()); err != nil || tail.Revision() < revision {
					t.Errorf("Barrier() = %v, the tail is at %d, want at least %d", err, tail.Revision(), revision)
					return
				}
			}
		})
	}
	writers.Wait()
	cancel()
	wantErr(t, "Run", <-done, context.Canceled)
}
