package hybrid

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/backend/view"
	"github.com/roostbus/roost/kvstore"
)

// feed brings what the store's feed shows into the view.
//
//	syncing ──▶ serving ──▶ (a doubt: a snapshot is collected aside) ──▶ serving
//
// It serves from the first snapshot that is complete and whose epoch is decided, and goes
// on serving while others are collected. Only when the store turns out to be another one,
// or to have lost its epoch, it stops until that is decided.
type feed struct {
	view   *view.View
	epochs Epochs
	log    *slog.Logger

	first     chan struct{} // closed when it serves for the first time
	firstOnce sync.Once
	state     atomic.Pointer[error] // why it does not serve; nil if it does
	foreign   atomic.Int64          // entries that are no registrations

	// mu guards what the tail's goroutine and endings share.
	mu         sync.Mutex
	generation kvstore.Generation // of what the view shows
	next       kvstore.Generation // of the snapshot
	epoch      backend.Epoch      // of what the view shows
	shadow     *view.Rebuild      // the snapshot; nil outside one
	whole      bool               // the snapshot is complete
	floor      backend.Revision   // of the snapshot: removals after it are surely in it; 0 if none is
	pending    []view.Change      // applied with the next Advance
}

var _ kvstore.Subscriber = (*feed)(nil)

// clockSkew is by how much the store's clock may differ from ours.
const clockSkew = 5 * time.Minute

var (
	errSyncing   = fmt.Errorf("%w: this node is still reading the bucket", backend.ErrUnavailable)
	errUndecided = fmt.Errorf("%w: the epoch of the bucket is being decided", backend.ErrUnavailable)
)

func newFeed(v *view.View, epochs Epochs, log *slog.Logger) *feed {
	f := &feed{view: v, epochs: epochs, log: log, first: make(chan struct{})}
	f.refuse(errSyncing)
	return f
}

// serving returns why calls cannot be answered, nil if they can.
func (f *feed) serving() error {
	if why := f.state.Load(); why != nil {
		return *why
	}
	return nil
}

func (f *feed) refuse(why error) { f.state.Store(&why) }

func (f *feed) close() { f.refuse(backend.ErrClosed) }

// Begin implements [kvstore.Follower].
func (f *feed) Begin(g kvstore.Generation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shadow, f.next, f.whole, f.floor, f.pending = f.view.Rebuild(), g, false, 0, nil
	if f.generation != "" && f.generation != g {
		f.set(errUndecided)
	}
}

// set changes why calls are refused, but for those of a closed Backend.
func (f *feed) set(why error) {
	for {
		old := f.state.Load()
		if old != nil && *old == backend.ErrClosed { //nolint:errorlint // the very value that close stores
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

// Apply implements [kvstore.Follower].
func (f *feed) Apply(e kvstore.Entry) {
	change, err := changeOf(e)
	if err != nil {
		f.foreign.Add(1)
		f.log.LogAttrs(context.Background(), slog.LevelWarn, "entry of the bucket is no registration",
			slog.String("key", e.Key), slog.Uint64("revision", e.Revision), slog.Any("err", err))
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shadow != nil {
		// Every removal after a change this young has left a marker that is still stored.
		if time.Since(e.Time) < durable.MarkerLife-clockSkew && (f.floor == 0 || change.Revision < f.floor) {
			f.floor = change.Revision
		}
		f.shadow.Apply(change)
		return
	}
	f.pending = append(f.pending, change)
}

func changeOf(e kvstore.Entry) (view.Change, error) {
	record, err := durable.Parse(e)
	if err != nil {
		return view.Change{}, err
	}
	return view.Change{
		Registration: &record.Registration,
		Kind:         record.Kind,
		Reason:       record.Reason,
		Revision:     record.Revision,
		Operation:    record.Operation,
		Removed:      record.Removed,
	}, nil
}

// Live implements [kvstore.Follower].
func (f *feed) Live(revision uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.whole = f.shadow != nil
	f.advance(revision)
}

// Advance implements [kvstore.Subscriber].
func (f *feed) Advance(revision uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance(revision)
}

// Stale implements [kvstore.Follower].
func (f *feed) Stale(error) {}

// advance shows what was applied up to revision, if its epoch is decided.
func (f *feed) advance(revision uint64) {
	current, decided := f.epochs.Current()
	epoch := backend.Epoch(current)
	switch {
	case !decided:
		f.set(errUndecided)
		return
	case f.shadow == nil && f.generation != "" && epoch == f.epoch:
		f.view.Apply(backend.Revision(revision), f.pending...)
		clear(f.pending)
		f.pending = f.pending[:0]
	case f.shadow != nil && !f.whole:
		return
	default:
		f.commit(revision, epoch)
	}
	f.set(nil)
	f.firstOnce.Do(func() { close(f.first) })
}

// commit puts the snapshot, or in a new epoch of the same store what the view holds, in
// the place of what the view shows.
func (f *feed) commit(revision uint64, epoch backend.Epoch) {
	shadow := f.shadow
	if shadow == nil {
		shadow = f.view.Renew()
		shadow.Apply(f.pending...)
	} else {
		f.generation = f.next
	}
	shadow.Commit(view.Snapshot{Epoch: epoch, Revision: backend.Revision(revision), Floor: f.floor})
	f.log.LogAttrs(context.Background(), slog.LevelInfo, "view shows the bucket",
		slog.Uint64("epoch", uint64(epoch)), slog.Uint64("revision", revision))
	f.shadow, f.whole, f.pending, f.epoch = nil, false, nil, epoch
}

// end takes in that an owner's lease has ended.
func (f *feed) end(e backend.Ending) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shadow != nil {
		f.shadow.End(e)
	}
	f.view.End(e)
}
