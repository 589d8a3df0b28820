package durable

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
	"github.com/roostbus/roost/kvstore"
)

// Mirror is a view of one scope that a [Feed] keeps up to date.
type Mirror struct {
	View *view.View

	scope   backend.Scope
	kept    bool          // for as long as the Feed
	loading chan struct{} // of size one: who loads it

	// Guarded by the Feed.
	users   int
	idle    time.Time // since when it has none
	dropped bool
	loaded  bool
	shadow  *view.Rebuild // the snapshot that is collected; nil outside one
	pending []view.Change // applied with the next Advance
}

// idleFor is how long a mirror is kept that nobody uses: somebody who polls comes back.
const idleFor = 10 * time.Second

// Mirror makes v the mirror of everything, kept for as long as f is. The first snapshot
// loads it.
func (f *Feed) Mirror(v *view.View) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mirrors[backend.Scope{}] = &Mirror{View: v, kept: true}
}

// use returns the mirror of scope, which may have to be loaded; [Feed.leave] it. nil if f is
// closed.
func (f *Feed) use(scope backend.Scope) *Mirror {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	m := f.mirrors[scope]
	if m == nil {
		m = &Mirror{View: view.New(0), scope: scope, loading: make(chan struct{}, 1)}
		f.mirrors[scope] = m
	}
	m.users++
	return m
}

// again uses m once more, unless it has been dropped.
func (f *Feed) again(m *Mirror) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.dropped {
		return false
	}
	m.users++
	return true
}

func (f *Feed) leave(m *Mirror) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.users--; m.users == 0 {
		m.idle = time.Now()
	}
}

// sweep drops mirrors that nobody has used for a while.
func (f *Feed) sweep(now time.Time) {
	if now.Sub(f.swept) < time.Second {
		return
	}
	f.swept = now
	for scope, m := range f.mirrors {
		if !m.kept && m.users == 0 && now.Sub(m.idle) > idleFor {
			m.dropped = true
			delete(f.mirrors, scope)
		}
	}
}

// isLoaded reports whether m shows its scope.
func (f *Feed) isLoaded(m *Mirror) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return m.loaded
}

// load shows in m what has been read, unless it is of another place than f serves now.
func (f *Feed) load(m *Mirror, r *reading) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.loaded {
		return true
	}
	if f.snapshot || f.epoch != r.epoch || f.generation != r.generation || f.Serving() != nil {
		return false
	}
	shadow := m.View.Rebuild()
	r.collect(shadow)
	f.bury(shadow, r.revision) // who has ended since it was read
	shadow.Commit(r.snapshot())
	m.loaded = true
	m.advance(f.revision, f.endingsOf(m.until(f.revision)))
	return true
}

// concerned finds the mirrors that show the registration under key.
func (f *Feed) concerned(key *backend.Key, mirrors *[3]*Mirror) (n int) {
	if len(f.mirrors) == 0 {
		return 0
	}
	for _, scope := range [...]backend.Scope{{}, {Namespace: key.Namespace}, {Namespace: key.Namespace, Service: key.Service}} {
		if m := f.mirrors[scope]; m != nil {
			mirrors[n] = m
			n++
		}
	}
	return n
}

// apply takes in a change of m's scope.
func (m *Mirror) apply(c view.Change) {
	if m.shadow != nil {
		m.shadow.Apply(c)
		return
	}
	m.pending = append(m.pending, c)
}

// until returns what is pending up to revision.
func (m *Mirror) until(revision uint64) []view.Change {
	for i := range m.pending {
		if m.pending[i].Revision > backend.Revision(revision) {
			return m.pending[:i]
		}
	}
	return m.pending
}

// advance shows what was applied up to revision, and endings, each at its place.
func (m *Mirror) advance(revision uint64, endings []backend.Ending) {
	if !m.loaded {
		return // whoever loads it needs what is pending
	}
	now := m.until(revision)
	shown := 0
	for _, e := range endings {
		from := shown
		for shown < len(now) && now[shown].Revision < e.Revision {
			shown++
		}
		if from < shown {
			m.View.Apply(0, now[from:shown]...)
		}
		m.View.End(e)
	}
	m.View.Apply(backend.Revision(revision), now[shown:]...)
	m.pending = slices.Delete(m.pending, 0, len(now))
	if len(m.pending) == 0 && cap(m.pending) > maxKeptPending {
		m.pending = nil
	}
}

// maxKeptPending is how many changes there is room for while none is pending, at most.
const maxKeptPending = 1024

// next returns the snapshot that takes the place of what m shows: of the same in another
// epoch where none was collected. nil if m is still to be loaded.
func (m *Mirror) next() *view.Rebuild {
	switch {
	case m.shadow != nil:
		return m.shadow
	case !m.loaded: // it came while the snapshot was collected
		return nil
	}
	shadow := m.View.Renew()
	shadow.Apply(m.pending...)
	return shadow
}

// commit puts the snapshot in the place of what m shows.
func (m *Mirror) commit(shadow *view.Rebuild, s view.Snapshot) {
	shadow.Commit(s)
	m.shadow, m.pending, m.loaded = nil, nil, true
}

func changeOf(e kvstore.Entry) (view.Change, error) {
	record, err := Parse(e)
	if err != nil {
		return view.Change{}, err
	}
	return record.change(), nil
}

func (r *Record) change() view.Change {
	return view.Change{
		Registration: &r.Registration,
		Kind:         r.Kind,
		Reason:       r.Reason,
		Revision:     r.Revision,
		Operation:    r.Operation,
		Removed:      r.Removed,
	}
}

func logForeign(ctx context.Context, log *slog.Logger, e kvstore.Entry, err error) {
	log.LogAttrs(ctx, slog.LevelWarn, "entry of the bucket is no registration",
		slog.String("key", e.Key), slog.Uint64("revision", e.Revision), slog.Any("err", err))
}

// patternsOf returns what the store's keys of the registrations in scope match.
func patternsOf(scope backend.Scope) []string {
	tokens := []string{strings.TrimSuffix(Prefix, ".")}
	for _, name := range []string{scope.Namespace, scope.Service} {
		if name != "" {
			tokens = append(tokens, backend.Token(name))
		}
	}
	return slices.Clip([]string{strings.Join(append(tokens, ">"), ".")})
}
