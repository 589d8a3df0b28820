package keeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// ErrNotKeeper means that the node is not, or no longer, the keeper. Nothing was done.
var ErrNotKeeper = errors.New("this node is not the keeper")

// Fenced has batch write something that only the keeper may, as one [kvstore.Store.Batch]
// whose first write is fence: it renews the record at the revision that this keeper last
// wrote, so that nothing of the batch happens once anybody else has taken over, however
// late it arrives. batch returns the revision that the batch made of fence, and the
// batch's error as it is. Its context ends with the tenure.
//
// No renewal is sent meanwhile, since a batch that succeeds is one. Fenced returns
// ErrNotKeeper, ErrUnavailable or the error of batch; ErrConflict for whatever reason,
// the fence or another write of the batch, which only batch can tell from each other. A
// tenure whose fence was refused is over.
//
// After ErrUnknownOutcome the fence has been sent once more, alone, so that the batch has
// happened by now or never will where that succeeded; what the feed shows after a barrier
// says which. Where it did not succeed the tenure is in doubt and ends soon, or is settled
// by its next renewal.
func (k *Keeper) Fenced(ctx context.Context, batch func(ctx context.Context, fence kvstore.Write, term uint64) (uint64, error)) error {
	select {
	case <-k.desk:
		defer func() { k.desk <- struct{}{} }()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", kvstore.ErrUnavailable, context.Cause(ctx))
	}
	t, err := k.current()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(ctx, t.until()) // the desk guards it
	defer cancel()
	if a := t.pending; a != nil {
		revision, err := k.send(ctx, a)
		k.settle(ctx, t, a, revision, err)
		if err != nil {
			return fmt.Errorf("%w: the keeper's record is in doubt: %w", kvstore.ErrUnavailable, hide(err))
		}
	}
	a, err := k.next(t.record, t.revision)
	if err != nil {
		return err
	}
	a.begin()
	revision, err := batch(ctx, a.write, t.term)
	switch {
	case err == nil:
		k.settle(ctx, t, a, revision, nil)
	case errors.Is(err, kvstore.ErrUnknownOutcome):
		k.settle(ctx, t, a, 0, err)
		again, single := k.send(ctx, a)
		k.settle(ctx, t, a, again, single)
	case errors.Is(err, kvstore.ErrConflict) && !refused(err):
		// Either another write of the batch was refused and the record is where it was,
		// or the next renewal will tell.
	default:
		k.settle(ctx, t, a, 0, err)
	}
	notify(k.wake)
	return err
}

// refused reports whether a conflict is certainly about the keeper's record.
func refused(err error) bool {
	c, ok := errors.AsType[*kvstore.ConflictError](err)
	return ok && c.Key == Key
}

// current returns the tenure that is being served.
func (k *Keeper) current() (*tenure, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.tenure
	if t == nil || !t.serving {
		return nil, ErrNotKeeper
	}
	if cause := k.lost(t, time.Now()); cause != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotKeeper, cause)
	}
	return t, nil
}

// hide keeps the text of err and not what it matches: nothing of the batch was sent.
func hide(err error) error { return errors.New(err.Error()) }
