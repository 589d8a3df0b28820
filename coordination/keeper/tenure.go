package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// tenure is the time from a take-over to its end. Its fields are guarded by the Keeper's
// mutex; record, revision and sent are changed only by whoever holds the desk.
type tenure struct {
	term       uint64
	generation kvstore.Generation // of the store that it was taken in
	taken      uint64             // the revision of the take-over
	from       time.Time          // not to be entitled before
	passed     bool               // the feed has passed taken
	serving    bool               // Begun was called

	record   Record // the newest one written
	revision uint64
	sent     time.Time // when it was
	pending  *attempt  // a later one whose outcome is not known
	notNow   time.Time // no renewal before, since one has just failed
	over     error     // why it has ended
}

// until returns when t lapses.
func (t *tenure) until() time.Time { return t.sent.Add(Validity) }

// Why a tenure ends.
var (
	errLapsed   = errors.New("no renewal succeeded in time")
	errReplaced = errors.New("another node has taken over")
	errGone     = errors.New("the record was removed")
	errAnother  = errors.New("the store was made anew")
)

// lost says why t is over at now; nil if it is not. The caller holds mu.
func (k *Keeper) lost(t *tenure, now time.Time) error {
	s := &k.sight
	switch {
	case t.over != nil:
		return t.over
	case !now.Before(t.until()):
		return errLapsed
	case s.generation != t.generation:
		return errAnother
	case !s.settled:
		return nil
	case s.revision > t.revision && s.record.Instance == "",
		s.revision == 0 && t.passed:
		return errGone
	case s.revision > t.revision && s.record.Instance != k.instance:
		return fmt.Errorf("%w: %s", errReplaced, s.record.Node)
	}
	return nil
}

// keep renews t until it is over, or ctx is done, and says why.
func (k *Keeper) keep(ctx context.Context, t *tenure) error {
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	tasks.Go(func() { k.pass(ctx, t) })
	for {
		now := time.Now()
		k.mu.Lock()
		cause := k.lost(t, now)
		begin := cause == nil && !t.serving && t.passed && !now.Before(t.from)
		due := t.due()
		again := due
		if !t.serving && t.passed && t.from.Before(again) {
			again = t.from
		}
		k.mu.Unlock()
		switch {
		case cause != nil:
			return cause
		case begin:
			k.begin(ctx, t)
			continue
		case !now.Before(due):
			k.renew(ctx, t)
			continue
		}
		if !k.idle(ctx, again) {
			return ctx.Err()
		}
	}
}

// due returns when the next renewal is, or the end.
func (t *tenure) due() time.Time {
	at := t.sent.Add(renewal)
	if t.notNow.After(at) {
		at = t.notNow
	}
	if t.until().Before(at) {
		at = t.until()
	}
	return at
}

// pass waits until the feed has passed the take-over.
func (k *Keeper) pass(ctx context.Context, t *tenure) {
	// In this order: the tail says which store it shows only when it has told everybody.
	for k.tail.Wait(ctx, t.taken) != nil || k.tail.Generation() != t.generation {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
	k.mu.Lock()
	t.passed = true
	k.mu.Unlock()
	notify(k.wake)
}

// begin makes t serve.
func (k *Keeper) begin(ctx context.Context, t *tenure) {
	k.obs.begun(t.term)
	k.mu.Lock()
	t.serving = true
	k.mu.Unlock()
	k.becomeReady()
	notify(k.begun)
	k.log.LogAttrs(ctx, slog.LevelInfo, "serving as the keeper", slog.Uint64("term", t.term))
}

// renew tries once to write the record again: as it was last tried, where the outcome of
// that is not known.
func (k *Keeper) renew(ctx context.Context, t *tenure) {
	k.mu.Lock()
	until := t.until()
	k.mu.Unlock()
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	select {
	case <-k.desk:
		defer func() { k.desk <- struct{}{} }()
	case <-ctx.Done():
		return
	}
	if time.Now().Before(t.due()) {
		return // a fenced batch has renewed it meanwhile
	}
	a := t.pending
	if a == nil {
		var err error
		if a, err = k.next(t.record, t.revision); err != nil {
			k.settle(ctx, t, a, 0, err)
			return
		}
	}
	revision, err := k.send(ctx, a)
	k.settle(ctx, t, a, revision, err)
}

// settle notes the outcome of a. The caller holds the desk.
func (k *Keeper) settle(ctx context.Context, t *tenure, a *attempt, revision uint64, err error) {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.lost(t, now) != nil:
	case err == nil:
		t.record, t.revision, t.sent, t.pending, t.notNow = a.record, revision, a.sent, nil, time.Time{}
		return
	case errors.Is(err, kvstore.ErrConflict):
		t.over = fmt.Errorf("%w: %w", errReplaced, err)
	default:
		if errors.Is(err, kvstore.ErrUnknownOutcome) {
			t.pending = a
		}
		t.notNow = now.Add(pause)
	}
	if err != nil {
		k.log.LogAttrs(ctx, slog.LevelDebug, "keepership not renewed", slog.Uint64("term", t.term), slog.Any("err", err))
	}
}

// end makes t over.
func (k *Keeper) end(ctx context.Context, t *tenure, cause error) {
	k.mu.Lock()
	t.over = cause
	k.tenure = nil
	k.sight.highest = max(k.sight.highest, t.term)
	serving := t.serving
	k.mu.Unlock()
	level := slog.LevelWarn
	if ctx.Err() != nil {
		level = slog.LevelInfo
	}
	k.log.LogAttrs(ctx, level, "is the keeper no longer", slog.Uint64("term", t.term), slog.Any("cause", cause))
	if serving {
		k.obs.ended(t.term, cause)
	}
}

// resign has the next keeper take over at once. t is over already.
func (k *Keeper) resign(ctx context.Context, t *tenure) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), try)
	defer cancel()
	select {
	case <-k.desk:
		defer func() { k.desk <- struct{}{} }()
	case <-ctx.Done():
		return // the others notice by themselves
	}
	last := t.record
	last.Resigned = true
	expect := t.revision
	for {
		a, err := k.next(last, expect)
		if err != nil {
			return
		}
		_, err = k.send(ctx, a)
		if err == nil {
			k.log.LogAttrs(ctx, slog.LevelInfo, "resigned as the keeper", slog.Uint64("term", last.Term))
			return
		}
		// A renewal whose outcome was not known may have happened.
		c, ok := errors.AsType[*kvstore.ConflictError](err)
		if !ok || !c.Known || c.Current.Revision == expect {
			return
		}
		current, err := kvstore.Decode[Record](c.Current)
		if err != nil || current.Instance != k.instance {
			return
		}
		last.Counter, expect = current.Counter, c.Current.Revision
	}
}
