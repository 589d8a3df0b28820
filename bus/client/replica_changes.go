package client

import (
	"context"
	"fmt"
	"iter"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
)

// ReplicaChange is one change of what a Replica holds.
type ReplicaChange struct {
	// Kind is Registered, Updated, Unregistered, Expired, Unmatched, or Gap.
	Kind   EventKind
	Reason string

	// Before is what was held of the key, nil if nothing; Now is what is, nil if nothing.
	// Both are shared and must not be changed. Of a Gap they are nil.
	Before, Now *Registration

	Revision Revision
}

// Key is the key of what has changed; zero of a Gap.
func (c *ReplicaChange) Key() Key {
	switch {
	case c.Now != nil:
		return c.Now.Key
	case c.Before != nil:
		return c.Before.Key
	}
	return Key{}
}

// changesBuffer is how many changes wait for a consumer before those of a key are merged.
const changesBuffer = 1024

// Changes yields first what the Replica holds when the range begins, as Registered with
// nothing before, and then every change, in order, until ctx is done or the client is
// closed, which is the last pair. Whoever applies them has what the Replica holds, or
// held a moment ago.
//
// A consumer that falls behind by more than about a thousand changes is told a Gap, and
// then of each key one change that leads from what it saw last to what is held now.
func (r *Replica) Changes(ctx context.Context) iter.Seq2[ReplicaChange, error] {
	return func(yield func(ReplicaChange, error) bool) {
		under, end, err := r.c.begin(ctx, 0)
		if err != nil {
			yield(ReplicaChange{}, err)
			return
		}
		defer end()
		rd := &reader{wake: make(chan struct{}, 1)}
		r.mu.Lock()
		for _, found := range r.all() { //nolint:contextcheck // what is in memory does not wait
			rd.queue = append(rd.queue, ReplicaChange{Kind: backend.Registered, Now: found, Revision: found.Revision})
		}
		rd.limit = changesBuffer + len(rd.queue)
		r.readers[rd] = struct{}{}
		r.mu.Unlock()
		defer func() {
			r.mu.Lock()
			delete(r.readers, rd)
			r.mu.Unlock()
		}()
		for {
			r.mu.Lock()
			queue, gap := rd.queue, rd.gap
			rd.queue, rd.gap, rd.limit = nil, false, changesBuffer
			r.mu.Unlock()
			if gap && !yield(ReplicaChange{Kind: backend.Gap}, nil) {
				return
			}
			for _, change := range queue {
				if under.Err() != nil {
					break
				}
				if !yield(change, nil) {
					return
				}
			}
			select {
			case <-rd.wake:
			case <-under.Done():
				err := fmt.Errorf("changes of %s: %w", r.query.Scope, backend.ErrClosed)
				if ctx.Err() != nil {
					err = fmt.Errorf("changes of %s: %w: %w", r.query.Scope, backend.ErrUnavailable, context.Cause(ctx))
				}
				yield(ReplicaChange{}, err)
				return
			}
		}
	}
}

// reader is where changes wait for one consumer. The Replica's lock guards it.
type reader struct {
	wake  chan struct{} // of size one
	queue []ReplicaChange
	limit int // above which the queue is folded
	gap   bool
}

// tell leaves a change with all readers.
func (r *Replica) tell(before *Registration, c view.Change) {
	change := ReplicaChange{Kind: c.Kind, Reason: c.Reason, Before: before, Revision: c.Revision}
	if !c.Removed {
		change.Now, _ = r.Lookup(c.Registration.Key)
		if change.Kind == backend.Registered && before != nil {
			change.Kind = backend.Updated // registered again, and the removal between was not seen
		} else if before == nil {
			change.Kind = backend.Registered
		}
	} else if before == nil {
		return
	}
	for rd := range r.readers {
		rd.push(change)
	}
}

func (rd *reader) push(change ReplicaChange) {
	if rd.queue = append(rd.queue, change); len(rd.queue) > rd.limit {
		rd.fold()
	}
	select {
	case rd.wake <- struct{}{}:
	default:
	}
}

// fold merges the changes of each key, and lets the queue grow to twice of what is left
// before it is folded again.
func (rd *reader) fold() {
	rd.gap = true
	at := make(map[Key]int, len(rd.queue))
	folded := make([]ReplicaChange, 0, len(rd.queue))
	for _, change := range rd.queue {
		key := change.Key()
		i, known := at[key]
		if !known {
			at[key] = len(folded)
			folded = append(folded, change)
			continue
		}
		before := folded[i].Before
		folded[i] = change
		folded[i].Before = before
	}
	rd.queue = folded[:0]
	for _, change := range folded {
		switch {
		case change.Before == nil && change.Now == nil:
			continue // it came and went
		case change.Before == nil:
			change.Kind = backend.Registered
		case change.Now != nil:
			change.Kind = backend.Updated
		}
		rd.queue = append(rd.queue, change)
	}
	rd.limit = changesBuffer + 2*len(rd.queue)
}
