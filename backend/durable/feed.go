package durable

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
	"github.com/roostbus/roost/kvstore"
)

// Epochs says which epoch the store is in; package kvstore/epoch implements it. It must
// be subscribed to the tail before the Backend is made.
type Epochs interface {
	// Current returns the epoch of what the feed shows; none while it is being decided.
	Current() (epoch uint32, ok bool)
}

// Feed is what every Backend on a store has: it knows whether calls can be answered and of
// which epoch, and brings what the store's feed shows into mirrors.
//
//	syncing ──▶ serving ──▶ (a doubt: a snapshot is collected aside) ──▶ serving
//
// It serves from the first snapshot that is complete and whose epoch is decided, and goes
// on serving while others are collected, also while the store is exchanged for one that
// has everything it had. Only when the store turns out to be another one, or to have lost
// its epoch, it stops until that is decided.
type Feed struct {
	tail   *kvstore.Tail
	epochs Epochs
	live   backend.Liveness
	log    *slog.Logger
	owners *owners // nil where a mirror of everything knows them

	first     chan struct{} // closed when it serves for the first time
	firstOnce sync.Once
	state     atomic.Pointer[error] // why it does not serve; nil if it does
	foreign   atomic.Int64          // entries that are no registrations

	// mu guards what the tail's goroutine shares with others.
	mu         sync.Mutex
	generation kvstore.Generation // of what is served
	epoch      backend.Epoch      // of what is served
	next       kvstore.Generation // of the snapshot
	snapshot   bool               // one is being collected
	whole      bool               // it is complete
	revision   uint64             // everything up to it is shown
	horizon    horizon
	told       []backend.Ending // to be shown with the next Advance
	arrived    []arrival        // since the last Advance
	changes    uint64           // how often anything may have changed
	mirrors    map[backend.Scope]*Mirror
	swept      time.Time
	closed     bool

	voids voids
}

var _ kvstore.Subscriber = (*Feed)(nil)

var (
	errSyncing   = fmt.Errorf("%w: this node is still reading the bucket", backend.ErrUnavailable)
	errUndecided = fmt.Errorf("%w: the epoch of the bucket is being decided", backend.ErrUnavailable)
)

// NewFeed returns a Feed of what tail shows, from [Feed.Follow] on. Call [Feed.End] with every
// ending that live tells.
func NewFeed(tail *kvstore.Tail, epochs Epochs, live backend.Liveness, log *slog.Logger) *Feed {
	f := &Feed{
		tail: tail, epochs: epochs, live: live, log: log,
		first: make(chan struct{}), mirrors: map[backend.Scope]*Mirror{},
	}
	f.set(errSyncing)
	return f
}

// Follow subscribes to the tail, which may be running: nothing of f may be changed from now
// on but by its methods. It comes behind live, where that hears of leases from the same tail:
// who lives is asked as of each place in the order of the store.
func (f *Feed) Follow() { f.tail.Subscribe("", f) }

// Serving returns why calls cannot be answered, nil if they can.
func (f *Feed) Serving() error {
	if why := f.state.Load(); why != nil {
		return *why
	}
	return nil
}

// set changes why calls are refused, but for those of a closed Backend.
func (f *Feed) set(why error) {
	for {
		old := f.state.Load()
		if old != nil && *old == backend.ErrClosed { //nolint:errorlint // the very value that Close stores
			return
		}
		var next *error
		if why != nil {
			next = &why
		}
		if f.state.CompareAndSwap(old, next) {
			return
		}
	}
}

// Close has every call refused and ends what waits at a mirror.
func (f *Feed) Close() {
	f.set(backend.ErrClosed)
	f.tail.Unsubscribe(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, m := range f.mirrors {
		m.View.Close()
	}
}

// Begin implements [kvstore.Follower].
func (f *Feed) Begin(g kvstore.Generation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshot, f.whole, f.next, f.horizon = true, false, g, horizon{}
	f.arrived = f.arrived[:0]
	another := f.generation != g && !f.tail.Succeeds(f.generation, g)
	if another {
		f.told = nil // in a store that is no more
	}
	if f.owners != nil {
		f.owners.begin(another)
	}
	for _, m := range f.mirrors {
		m.shadow, m.pending = m.View.Rebuild(), nil
	}
	if f.generation != "" && another {
		f.set(errUndecided)
	}
}

// Apply implements [kvstore.Follower].
func (f *Feed) Apply(e kvstore.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.horizon.add(e.Time, e.Revision)
	if !strings.HasPrefix(e.Key, Prefix) {
		return
	}
	f.changes++
	change, err := changeOf(e)
	if err != nil {
		f.foreign.Add(1)
		logForeign(context.Background(), f.log, e, err)
		return
	}
	f.arrive(e.Key, &change)
	var mirrors [3]*Mirror
	n := f.concerned(&change.Registration.Key, &mirrors)
	for _, m := range mirrors[:n] {
		m.apply(change)
	}
}

// Live implements [kvstore.Follower].
func (f *Feed) Live(revision uint64) {
	f.mu.Lock()
	f.whole = f.snapshot
	void := f.advance(revision)
	f.mu.Unlock()
	f.voids.tell(void)
}

// Advance implements [kvstore.Subscriber].
func (f *Feed) Advance(revision uint64) {
	f.mu.Lock()
	void := f.advance(revision)
	f.mu.Unlock()
	f.voids.tell(void)
}

// Stale implements [kvstore.Follower].
func (f *Feed) Stale(error) {}

// advance shows what was applied up to revision, if its epoch is decided. It returns the
// endings of what has turned out to be void.
func (f *Feed) advance(revision uint64) (void []backend.Ending) {
	current, decided := f.epochs.Current()
	epoch := backend.Epoch(current)
	switch {
	case !decided:
		f.set(errUndecided)
		return nil
	case f.snapshot && !f.whole:
		return nil
	case f.snapshot || epoch != f.epoch:
		void = f.commit(revision, epoch)
	default:
		var endings []backend.Ending
		endings, void = f.settle()
		for _, m := range f.mirrors {
			m.advance(revision, endings)
		}
	}
	f.revision = revision
	f.set(nil)
	f.firstOnce.Do(func() { close(f.first) })
	f.sweep(time.Now())
	return void
}

// commit puts the snapshot, or in a new epoch of the same store what mirrors hold, in the
// place of what they show.
func (f *Feed) commit(revision uint64, epoch backend.Epoch) (void []backend.Ending) {
	floor := f.horizon.floor(time.Now())
	endings, void := f.settle()
	void = append(void, f.settleOwners(revision)...)
	for _, m := range f.mirrors {
		shadow := m.next()
		if shadow == nil {
			continue
		}
		for _, e := range endings {
			shadow.End(e)
		}
		if found := f.bury(shadow, backend.Revision(revision)); m.kept {
			void = append(void, found...)
		}
		m.commit(shadow, view.Snapshot{Epoch: epoch, Revision: backend.Revision(revision), Floor: floor})
	}
	if f.snapshot {
		f.generation = f.next
	}
	f.snapshot, f.whole, f.epoch = false, false, epoch
	f.changes++
	f.log.LogAttrs(context.Background(), slog.LevelInfo, "bucket is served",
		slog.Uint64("epoch", uint64(epoch)), slog.Uint64("revision", revision))
	return void
}

// place is what a Feed serves.
type place struct {
	epoch      backend.Epoch
	generation kvstore.Generation
	floor      backend.Revision // removals after it are surely still stored; 0 if none are
	changes    uint64           // it grows with whatever may have changed
}

func (f *Feed) place() place {
	f.mu.Lock()
	defer f.mu.Unlock()
	return place{epoch: f.epoch, generation: f.generation, floor: f.horizon.floor(time.Now()), changes: f.changes}
}
