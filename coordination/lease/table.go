package lease

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/kvstore"
)

// Table is what a node has seen of all leases. It answers at once, from what the node's
// feed has shown.
type Table struct {
	tail *kvstore.Tail
	log  *slog.Logger

	mu         sync.RWMutex
	leases     map[string]Lease // by owner; ended ones while they are stored
	live       int
	generation kvstore.Generation
	next       kvstore.Generation // of the snapshot that is coming in
	shadow     map[string]Lease   // the snapshot; nil outside one

	told told
}

var (
	_ backend.Liveness   = (*Table)(nil)
	_ kvstore.Subscriber = (*Table)(nil)
)

// NewTable returns a Table of what tail shows. It subscribes to tail, which must not run
// yet, and must do so before a Backend that it tells of endings.
func NewTable(tail *kvstore.Tail, log *slog.Logger) *Table {
	t := &Table{tail: tail, log: log, leases: map[string]Lease{}}
	tail.Subscribe(Prefix, t)
	return t
}

// Lives implements [backend.Liveness].
func (t *Table) Lives(owner string) bool {
	l, ok := t.Get(owner)
	return ok && l.Ended == ""
}

// Confirm implements [backend.Liveness].
func (t *Table) Confirm(ctx context.Context, owner string) (bool, error) {
	if err := t.Sync(ctx); err != nil {
		return false, err
	}
	return t.Lives(owner), nil
}

// Sync returns when everything acknowledged before the call has been seen. ErrUnavailable.
func (t *Table) Sync(ctx context.Context) error {
	if err := t.tail.Barrier(ctx); err != nil {
		return fmt.Errorf("%w: %w", backend.ErrUnavailable, err)
	}
	return nil
}

// Wait returns when everything up to revision has been seen. ErrUnavailable.
func (t *Table) Wait(ctx context.Context, revision uint64) error {
	if err := t.tail.Wait(ctx, revision); err != nil {
		return fmt.Errorf("%w: %w", backend.ErrUnavailable, err)
	}
	return nil
}

// Get returns owner's lease, which may have ended.
func (t *Table) Get(owner string) (Lease, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	l, ok := t.leases[owner]
	return l, ok
}

// Len returns how many leases live.
func (t *Table) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.live
}

// All returns every lease that is stored, ended ones too, ordered by owner.
func (t *Table) All() []Lease {
	t.mu.RLock()
	all := slices.Collect(maps.Values(t.leases))
	t.mu.RUnlock()
	slices.SortFunc(all, func(a, b Lease) int { return strings.Compare(a.Owner, b.Owner) })
	return all
}

// Owners returns the owners of the leases that live, in no order.
func (t *Table) Owners() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	owners := make([]string, 0, t.live)
	for owner, l := range t.leases {
		if l.Ended == "" {
			owners = append(owners, owner)
		}
	}
	return owners
}

// Ended yields the leases that have ended and are still stored, in no order.
func (t *Table) Ended() iter.Seq[Lease] {
	return func(yield func(Lease) bool) {
		for _, l := range t.All() {
			if l.Ended != "" && !yield(l) {
				return
			}
		}
	}
}

// Begin implements [kvstore.Follower].
func (t *Table) Begin(g kvstore.Generation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next, t.shadow = g, map[string]Lease{}
}

// Apply implements [kvstore.Follower].
func (t *Table) Apply(e kvstore.Entry) {
	l, err := parse(e)
	if err != nil && !e.Removed {
		t.log.LogAttrs(context.Background(), slog.LevelWarn, "entry of the bucket is no lease",
			slog.String("key", e.Key), slog.Uint64("revision", e.Revision), slog.Any("err", err))
		return
	}
	t.mu.Lock()
	before, known := t.leases[l.Owner]
	into := t.leases
	if t.shadow != nil {
		into = t.shadow
	}
	if e.Removed {
		delete(into, l.Owner)
	} else {
		into[l.Owner] = l
	}
	if t.shadow != nil {
		t.mu.Unlock()
		return
	}
	was, is := known && before.Ended == "", !e.Removed && l.Ended == ""
	t.live += count(is) - count(was)
	t.mu.Unlock()
	switch {
	case is && !was:
		t.told.grant(l)
	case was && !is:
		t.told.end(lost(l, e))
	case !known && !e.Removed:
		t.told.end(l.ending()) // granted and ended while the feed caught up
	}
}

// lost returns how the lease that e has ended, or removed, has ended.
func lost(l Lease, e kvstore.Entry) backend.Ending {
	l.Revision = e.Revision
	if l.Ended == "" { // by hand
		l.Ended = backend.ReasonExpired
	}
	return l.ending()
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Live implements [kvstore.Follower].
func (t *Table) Live(revision uint64) {
	t.mu.Lock()
	if t.shadow == nil {
		t.mu.Unlock()
		return
	}
	before := t.leases
	if t.generation != t.next {
		before = map[string]Lease{} // those of another store are no concern of this one
	}
	t.leases, t.shadow, t.generation, t.live = t.shadow, nil, t.next, 0
	var granted []Lease
	var ended []backend.Ending
	for owner, l := range t.leases {
		was, known := before[owner]
		switch {
		case l.Ended == "":
			t.live++
			if !known {
				granted = append(granted, l)
			}
		case !known || was.Ended == "":
			ended = append(ended, l.ending())
		}
	}
	for owner, l := range before {
		if _, stored := t.leases[owner]; !stored && l.Ended == "" {
			ended = append(ended, backend.Ending{Owner: owner, Revision: backend.Revision(revision), Reason: backend.ReasonExpired})
		}
	}
	t.mu.Unlock()
	slices.SortFunc(granted, func(a, b Lease) int { return compare(a.Revision, b.Revision) })
	slices.SortFunc(ended, func(a, b backend.Ending) int { return compare(uint64(a.Revision), uint64(b.Revision)) })
	for _, l := range granted {
		t.told.grant(l)
	}
	for _, e := range ended {
		t.told.end(e)
	}
}

// Stale implements [kvstore.Follower].
func (t *Table) Stale(error) {}

// Advance implements [kvstore.Subscriber].
func (t *Table) Advance(uint64) {}
