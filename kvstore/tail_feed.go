package kvstore

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"time"
)

// feed is the Follower that a Tail gives to the store, for one Run.
type feed struct {
	tail *Tail

	subscribers []*subscription // that there were when it began

	snapshot bool // between Begin and Live
	applied  uint64
}

var _ Follower = (*feed)(nil)

// all yields those who are still subscribed.
func (f *feed) all() iter.Seq[Subscriber] {
	return func(yield func(Subscriber) bool) {
		for _, s := range f.subscribers {
			if !s.gone.Load() && !yield(s.Subscriber) {
				return
			}
		}
	}
}

func (f *feed) Begin(g Generation) {
	t := f.tail
	f.snapshot = true
	t.startSnapshot(g)
	for s := range f.all() {
		s.Begin(g)
	}
}

func (f *feed) Apply(e Entry) {
	t := f.tail
	if !f.snapshot && e.Revision <= f.applied {
		return
	}
	for _, s := range f.subscribers {
		if strings.HasPrefix(e.Key, s.prefix) && !s.gone.Load() {
			s.Apply(e)
		}
	}
	if f.snapshot {
		return
	}
	f.applied = e.Revision
	if e.Torn {
		return
	}
	for s := range f.all() {
		s.Advance(e.Revision)
	}
	t.advance(e.Revision)
}

func (f *feed) Live(revision uint64) {
	t := f.tail
	if !f.snapshot {
		revision = max(revision, f.applied)
	}
	f.applied = revision
	for s := range f.all() {
		s.Live(revision)
	}
	t.live(revision, f.snapshot)
	f.snapshot = false
}

func (f *feed) Stale(cause error) {
	f.tail.stale(cause)
	for s := range f.all() {
		s.Stale(cause)
	}
}

var errSnapshot = errors.New("a new snapshot is coming in")

// startSnapshot fails the waits for revisions that the store's next life will not know.
func (t *Tail) startSnapshot(g Generation) {
	t.stale(errSnapshot)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = g
	if t.otherLife() {
		t.failWaits(errOtherLife)
	}
}

var errOtherLife = fmt.Errorf("%w: the store was made anew", ErrUnavailable)

// otherLife reports whether a snapshot of another life than the one shown is coming in.
func (t *Tail) otherLife() bool {
	return t.next != "" && t.status.Generation != "" && t.next != t.status.Generation
}

func (t *Tail) live(revision uint64, snapshot bool) {
	t.mu.Lock()
	changed := t.status.State != Live
	if changed {
		t.status.State, t.status.Since, t.status.Cause = Live, time.Now(), nil
	}
	if snapshot {
		// First the revision: what waits for one of this life must not be taken for passed
		// because of one of the life before.
		t.revision.Store(revision)
		if t.status.Generation != t.next {
			t.life.Add(1)
		}
		t.status.Generation, t.next = t.next, ""
		for _, w := range t.rebuilds {
			t.push(w)
		}
		t.rebuilds = nil
	}
	generation := t.status.Generation
	t.mu.Unlock()

	t.advance(revision)
	t.readyOnce.Do(func() { close(t.ready) })
	if changed {
		notify(t.lively)
		t.log.Info("feed is live",
			slog.Uint64("revision", revision), slog.String("generation", string(generation)))
	}
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
