package view

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/rules"
)

// Change is what a store said about one key.
type Change struct {
	// Registration is the registration as it now is, of a removal as it last was. Its
	// memory is not kept.
	Registration *backend.Registration
	Kind         backend.EventKind
	Reason       string

	// Revision is that of the change. Previous is that of the key's change before it,
	// and needed only where the view may not know the key.
	Revision backend.Revision
	Previous backend.Revision

	// Operation is the id of the write that made the change.
	Operation backend.OperationID

	// Removed says that the key is no longer stored.
	Removed bool

	// Merged says that single changes of the key before this one may not have been shown.
	Merged bool
}

// Match reports whether a registration belongs to the answer, beyond what the plain
// part of a query says. nil stands for all of them.
type Match func(*backend.Registration) bool

// View is the table. Use New.
type View struct {
	options

	feed sync.Mutex // held by the one who feeds
	core atomic.Pointer[core]

	mu       sync.RWMutex // guards what is in core, but for look-ups, and watchers
	watchers map[backend.Scope]map[*watcher]struct{}
	closed   bool

	waits waits
}

// Option changes what New makes.
type Option interface{ apply(*options) }

type options struct {
	remember time.Duration
	most     int
	buffer   int
	sizes
}

// sizes are how much is done at once. Tests make them small.
type sizes struct {
	small int // rows that are looked through rather than indexed
	batch int // rows that are looked at under one lock where not all of them may match
	step  int // rows that are indexed under one lock
}

func defaults() options {
	return options{
		remember: 40 * time.Minute, most: 1_000_000, buffer: 1024,
		sizes: sizes{small: 64, batch: 1024, step: 2048},
	}
}

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

// WithMemory sets for how long removals are remembered, 40 minutes unless set, and how
// many at most, a million.
func WithMemory(d time.Duration, most int) Option {
	return optionFunc(func(o *options) { o.remember, o.most = d, max(most, 0) })
}

// WithWatchBuffer sets how many events a watcher may be behind, 1024 unless set, before
// it must ask for what it missed.
func WithWatchBuffer(n int) Option {
	return optionFunc(func(o *options) { o.buffer = max(n, 1) })
}

// New returns an empty View that knows all there is to know in an epoch: nothing was
// ever registered. One that follows a store begins with [View.Rebuild].
func New(epoch backend.Epoch, opts ...Option) *View {
	v := &View{
		options:  defaults(),
		watchers: map[backend.Scope]map[*watcher]struct{}{},
	}
	for _, o := range opts {
		o.apply(&v.options)
	}
	v.waits.keys = map[backend.Key][]*keyWait{}
	v.waits.scopes = map[backend.Scope]*scopeWait{}
	v.core.Store(newCore(epoch))
	return v
}

// Apply takes in changes, which readers see all at once, and says that everything up to
// revision upTo has been applied; 0 says nothing about that. A change not newer than
// what is held of its key is ignored.
func (v *View) Apply(upTo backend.Revision, changes ...Change) {
	byRevision := func(a, b Change) int { return compareRevisions(a.Revision, b.Revision) }
	if !slices.IsSortedFunc(changes, byRevision) {
		changes = slices.Clone(changes)
		slices.SortStableFunc(changes, byRevision)
	}
	v.feed.Lock()
	defer v.feed.Unlock()
	now := time.Now()
	v.mu.Lock()
	c := v.core.Load()
	for i := range changes {
		if n := c.apply(&changes[i], now); n != nil {
			v.tell(n)
		}
	}
	v.finish(c, upTo, now)
	v.mu.Unlock()
}

// Advance says that everything up to revision has been applied.
func (v *View) Advance(revision backend.Revision) { v.Apply(revision) }

// End makes everything of an owner whose lease has ended vanish at e.Revision, although
// it is still stored; what arrives of it later is void. A second ending changes nothing.
func (v *View) End(e backend.Ending) {
	v.feed.Lock()
	defer v.feed.Unlock()
	now := time.Now()
	v.mu.Lock()
	c := v.core.Load()
	ended := c.end(e, now)
	slices.SortFunc(ended, compareVersions)
	for _, n := range ended {
		v.tell(n)
	}
	v.finish(c, 0, now)
	v.mu.Unlock()
}

// finish ends a change of c. v.mu is held.
func (v *View) finish(c *core, upTo backend.Revision, now time.Time) {
	c.advance(upTo)
	c.forget(now.Add(-v.remember), v.most, now)
	v.waits.reached(c.revision())
}

// Lookup returns the live registration at key, or nil. It does not wait and takes no
// lock.
func (v *View) Lookup(key backend.Key) (*backend.Registration, backend.Stamp) {
	c := v.core.Load()
	stamp := c.stamp()
	if held := c.table.find(&key); held != nil && !held.gone {
		// Changes become visible one by one, in order, before the revision moves on.
		stamp.Revision = max(stamp.Revision, held.shown)
		return &held.Registration, stamp
	}
	return nil, stamp
}

// Row returns what a write to key is decided on: what is stored, whether its owner
// lives, and the revision that a conditional write to the store must expect.
func (v *View) Row(key backend.Key) rules.State {
	c := v.core.Load()
	state := rules.State{Epoch: c.epoch}
	r := c.table.get(&key)
	if r == nil {
		state.Seen = c.stamp().Revision
		return state
	}
	held := r.version.Load()
	state.Present, state.Alive = !held.removed, !held.gone
	state.Registration = held.Registration
	if state.Revision = held.stored; held.stored != 0 {
		state.Operation = held.operation
	}
	return state
}

// Owned yields what is stored for owner, whether its lease has ended or not.
func (v *View) Owned(name string) iter.Seq[*backend.Registration] {
	return func(yield func(*backend.Registration) bool) {
		var owned []*version
		v.mu.RLock()
		if o := v.core.Load().owners[name]; o != nil {
			for r := o.rows; r != nil; r = r.ownedNext {
				owned = append(owned, r.version.Load())
			}
		}
		v.mu.RUnlock()
		slices.SortFunc(owned, compareVersions)
		for _, held := range owned {
			if !yield(&held.Registration) {
				return
			}
		}
	}
}

// Ended reports whether owner's lease is remembered to have ended.
func (v *View) Ended(name string) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	o := v.core.Load().owners[name]
	return o != nil && o.ended != nil
}

// Stamp says how far the view has come.
func (v *View) Stamp() backend.Stamp { return v.core.Load().stamp() }

// Floor returns the revision from which on every removal is remembered.
func (v *View) Floor() backend.Revision {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.core.Load().floor
}

// Size returns how many registrations and services there are.
func (v *View) Size() (registrations, services int) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	c := v.core.Load()
	return c.live, c.filled
}

// Close ends every watch and every waiting call with [backend.ErrClosed]; so do those
// that begin later. What does not wait still answers.
func (v *View) Close() {
	v.mu.Lock()
	v.closed = true
	v.endWatches(backend.ErrClosed)
	v.mu.Unlock()
	v.waits.close()
}

func (c *core) stamp() backend.Stamp {
	return backend.Stamp{Revision: c.revision(), Epoch: c.epoch}
}

// unavailable is the error of a call whose context is done.
func unavailable(ctx context.Context, doing string) error {
	return fmt.Errorf("%s: %w: %w", doing, backend.ErrUnavailable, context.Cause(ctx))
}

// elsewhere is the error of a revision of another epoch.
func elsewhere(asked, current backend.Epoch) error {
	return fmt.Errorf("%w: a revision of epoch %d was asked for in epoch %d", backend.ErrCompacted, asked, current)
}
