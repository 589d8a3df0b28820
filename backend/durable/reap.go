package durable

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/rules"
	"github.com/roostbus/roost/kvstore"
)

// Reap removes from the store what is held of e.Owner, who is [Writer.Dead], side by side.
// held is what is known of it. It returns the revision of its newest removal, and how many
// it could not remove, and why.
func (w *Writer) Reap(ctx context.Context, e backend.Ending, held []rules.State) (newest backend.Revision, failed int, err error) {
	if e.Reason == "" {
		e.Reason = backend.ReasonExpired
	}
	for some := range slices.Chunk(held, backend.MaxBatch) {
		made, left, why := w.reap(ctx, e, some)
		newest, failed = max(newest, made), failed+left
		if err == nil {
			err = why
		}
	}
	if err != nil {
		err = fmt.Errorf("take out what is left of owner %s, %d of %d failed: %w", e.Owner, failed, len(held), err)
	}
	return newest, failed, err
}

// Dead returns when owner's lease is seen to have ended: ErrInvalid if it has not, ErrUnavailable.
func (w *Writer) Dead(ctx context.Context, owner string) error {
	lives := owner == "" || w.live.Lives(owner)
	if lives && owner != "" {
		var err error
		if lives, err = w.live.Confirm(ctx, owner); err != nil {
			return err
		}
	}
	if lives {
		return backend.Invalid("owner", "%q lives", owner)
	}
	return nil
}

func (w *Writer) reap(ctx context.Context, e backend.Ending, held []rules.State) (newest backend.Revision, failed int, err error) {
	leave, err := w.room.enter(ctx, len(held))
	if err != nil {
		return 0, len(held), err
	}
	defer leave()
	decide := reaping(e)
	writes := make([]kvstore.Write, 0, len(held))
	for _, state := range held {
		if o, _ := decide(state); o.Action == rules.Remove {
			writes = append(writes, writeOf(o.Registration.Key, &state, o, rand.Text()))
		}
	}
	var faster []backend.Key // whose somebody else has changed
	for i, written := range kvstore.WriteEach(ctx, w.store, writes) {
		switch {
		case written.Err == nil:
			newest = max(newest, backend.Revision(written.Revision))
		case errors.Is(written.Err, kvstore.ErrConflict):
			key, _ := backend.ParseKey(writes[i].Key[len(Prefix):])
			faster = append(faster, key)
		default:
			failed++
			err = errors.Join(err, translate(written.Err))
		}
	}
	made, left, why := w.reapAgain(ctx, faster, decide)
	return max(newest, made), failed + left, errors.Join(err, why)
}

// reapAgain removes what is still the owner's, each in its turn.
func (w *Writer) reapAgain(ctx context.Context, keys []backend.Key, decide decision) (newest backend.Revision, failed int, err error) {
	var mu sync.Mutex
	next := make(chan backend.Key)
	var workers sync.WaitGroup
	for range min(window, len(keys)) {
		workers.Go(func() {
			for key := range next {
				o, _, why := w.do(ctx, key, backend.Write{}, decide)
				mu.Lock()
				newest = max(newest, o.Removal.Revision)
				if why != nil {
					failed++
					err = why
				}
				mu.Unlock()
			}
		})
	}
	for _, key := range keys {
		next <- key
	}
	close(next)
	workers.Wait()
	return newest, failed, err
}

// reaping decides the removal of what is still e.Owner's.
func reaping(e backend.Ending) decision {
	return func(now rules.State) (rules.Outcome, error) {
		if !now.Present || now.Registration.Owner != e.Owner {
			return rules.Outcome{Action: rules.Keep}, nil
		}
		return rules.Outcome{
			Action: rules.Remove, Registration: now.Registration, Kind: backend.Expired, Reason: e.Reason,
		}, nil
	}
}

// Owned implements [backend.Reaper].
func (b *Backend) Owned(owner string) int { return b.feed.owners.count(owner) }

// Remains implements [backend.Reaper].
func (b *Backend) Remains() []backend.Ending { return b.feed.owners.remains() }

// OnVoid implements [backend.Reaper].
func (b *Backend) OnVoid(f func(backend.Ending)) (cancel func()) { return b.feed.OnVoid(f) }

// atOnce is how many registrations are read of the store at once to be removed.
const atOnce = 250

// Reap implements [backend.Reaper]. It reads before it removes, since markers bear what
// was removed.
func (b *Backend) Reap(ctx context.Context, e backend.Ending) (left int, err error) {
	ctx, leave, err := b.enter(ctx)
	if err != nil {
		return b.Owned(e.Owner), err
	}
	defer leave()
	if err := b.writer.Dead(ctx, e.Owner); err != nil {
		return b.Owned(e.Owner), err
	}
	var newest backend.Revision
	for some := range slices.Chunk(b.feed.owners.keys(e.Owner), atOnce) {
		r, err := b.read(ctx, backend.Read{}, 0, some...)
		if err != nil {
			return b.Owned(e.Owner), err
		}
		held := make([]rules.State, 0, len(r.records))
		for i := range r.records {
			held = append(held, r.records[i].State(b.live, r.epoch))
		}
		made, _, err := b.writer.Reap(ctx, e, held)
		newest = max(newest, made)
		if err != nil {
			return b.Owned(e.Owner), err
		}
	}
	return b.feed.Reaped(ctx, newest, func() int { return b.Owned(e.Owner) })
}

// Reaped returns how many registrations are stored for an owner, by stored, when this node
// has seen what was removed up to revision newest, 0 for nothing. Where that is not all, what
// this node knows of the rest may be old.
func (f *Feed) Reaped(ctx context.Context, newest backend.Revision, stored func() int) (left int, err error) {
	if newest != 0 {
		if err := f.tail.Wait(ctx, uint64(newest)); err != nil {
			return stored(), unavailable(err)
		}
	}
	if stored() != 0 {
		err = f.Sync(ctx)
	}
	return stored(), err
}
