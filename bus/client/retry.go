package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// How long the first sending of a call waits for its reply, a look-up at most.
const (
	firstReadTry  = 200 * time.Millisecond
	firstWriteTry = 500 * time.Millisecond
)

// longer returns how long the sending after one waits that waited at most each: twice as
// long if that one used its time. So a lost message or a dead node costs little and a slow
// answer still arrives.
func longer(each time.Duration, sent time.Time) time.Duration {
	if time.Since(sent) > each/2 {
		return 2 * each
	}
	return each
}

// The pauses between sendings that were certainly not executed.
const (
	firstPause = 25 * time.Millisecond
	lastPause  = time.Second
)

// backoff paces retries: pauses that double, each shortened by chance to as little as
// half, so that many clients do not come back together.
type backoff struct{ next time.Duration }

// wait pauses and reports whether the call goes on.
func (b *backoff) wait(ctx context.Context) bool { return sleep(ctx, b.step()) }

// step returns the next pause.
func (b *backoff) step() time.Duration {
	if b.next == 0 {
		b.next = firstPause
	}
	pause := b.next/2 + rand.N(b.next/2+1)
	b.next = min(2*b.next, lastPause)
	return pause
}

// sleep reports whether ctx outlasted d.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// remaining is what is left of a call's time. ctx is of begin and has a deadline.
func remaining(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	return time.Until(deadline)
}

// transient reports whether the registry may do later what it says that it has not done.
func transient(err error) bool {
	return errors.Is(err, backend.ErrUnavailable) || errors.Is(err, backend.ErrLimitExceeded)
}

// toldOf reports whether the registry has been in an epoch, as far as this client has heard:
// one that only a caller names may never be.
func (c *Client) toldOf(epoch backend.Epoch) bool { return epoch <= c.seen.now().epoch }

// read sends r until there is a definite answer. ctx is of begin.
func (c *Client) read(ctx context.Context, r *request) attempt {
	var pause backoff
	each := firstReadTry
	quick := r.key != (backend.Key{}) && !r.waits()
	if quick {
		each = c.haste.first()
	}
	r.reads = true
	for {
		sent := time.Now()
		wait, err := r.prepare(ctx)
		if err != nil {
			return attempt{fate: notSent, err: err}
		}
		a := c.try(ctx, r, min(each+wait, remaining(ctx)), false)
		each = longer(each, sent.Add(wait))
		if quick && (a.fate == answered || a.fate == lost && !errors.Is(a.err, errCut)) {
			c.haste.took(time.Since(sent))
		}
		if a.fate == answered && errors.Is(a.err, backend.ErrCompacted) && c.toldOf(r.epoch) && a.stamp.Epoch != 0 && a.stamp.Epoch < r.epoch {
			// Others know of that one, and this node will: the store was made anew, or moved.
			a.err = hide("this node is still in an earlier epoch", backend.ErrUnavailable, a.err)
		}
		switch {
		case a.fate == answered && errors.Is(a.err, backend.ErrTimeout) && r.waits() && r.goesOn(ctx, sent):
			continue
		case a.fate == answered && !transient(a.err):
			if a.err != nil {
				a.err = fmt.Errorf("%s: %w", c.what(r), a.err)
			}
			return a
		case a.fate == ended:
			a.err = fmt.Errorf("%s: %w", c.what(r), backend.ErrClosed)
			return a
		case a.fate == lost && c.connected() && remaining(ctx) > 0 && ctx.Err() == nil:
			continue // a try's time has passed already, or its connection was another
		}
		if !c.rest(ctx, &pause) {
			a.err = c.late(ctx, r, a)
			return a
		}
	}
}

// errUnfinished is why a batch is sent again of which a part was done.
var errUnfinished = errors.New("a part of the batch was not done")

// write sends r until there is a definite answer. Once a sending's fate is not known
// every other carries [bus.HeaderRepeat], and no failure is certain any more. ctx is of
// begin.
func (c *Client) write(ctx context.Context, r *request) attempt {
	var pause backoff
	var doubt error
	var updated bool
	each := max(firstWriteTry, r.patience)
	for {
		sent := time.Now()
		wait := min(each, remaining(ctx))
		if doubt == nil {
			c.date(r)
		}
		a := c.try(ctx, r, wait, doubt != nil && !r.idempotent)
		each = longer(each, sent)
		switch {
		case a.fate == answered && a.err == nil && (r.finished == nil || r.finished(a.reply, doubt != nil)):
			return a
		case a.fate == answered && a.err == nil:
			doubt = errUnfinished
		case a.fate == answered && doubt != nil && r.gone != nil && errors.Is(a.err, r.gone):
			return attempt{fate: answered}
		case a.fate == answered && transient(a.err) && r.dated && !updated && c.seen.now().known > r.known:
			updated = true // that it did not know what it knows now may be all that was wrong
			continue
		case a.fate == answered && transient(a.err) && r.ofEpoch && doubt != nil && a.stamp.Epoch > r.epoch:
			a.err = c.unknown(ctx, r, doubt)
			return a
		case a.fate == answered && transient(a.err), a.fate == notSent, a.fate == refused:
		case a.fate == answered && definite(a.err) && (doubt == nil || r.idempotent):
			a.err = fmt.Errorf("%s: %w", c.what(r), a.err)
			return a
		case a.fate == answered && !errors.Is(a.err, backend.ErrUnknownOutcome):
			a.err = c.unknown(ctx, r, a.err)
			return a
		case a.fate == ended && doubt == nil:
			a.err = fmt.Errorf("%s: %w", c.what(r), backend.ErrClosed)
			return a
		case a.fate == ended:
			a.err = c.unknown(ctx, r, doubt)
			return a
		case a.fate == lost:
			// The registry may be at it until the time it was allowed has passed; a
			// second sending must not run beside it.
			doubt = a.err
			if sleep(ctx, time.Until(sent.Add(wait))) && remaining(ctx) > 0 {
				continue
			}
		default:
			doubt = a.err
		}
		if !c.rest(ctx, &pause) {
			if doubt != nil {
				a.err = c.unknown(ctx, r, doubt)
			} else {
				a.err = c.late(ctx, r, a)
			}
			return a
		}
	}
}

// definite reports whether a failed reply says that nothing was done. A fault of the
// registry, or a code that this build does not know, does not say that.
func definite(err error) bool {
	if errors.Is(err, bus.ErrInternal) || errors.Is(err, backend.ErrUnknownOutcome) {
		return false
	}
	if reply, ok := errors.AsType[*bus.Error](err); ok {
		return reply.Unwrap() != nil
	}
	return true
}

// late is the error of a call that ended before there was an answer, and was certainly
// not executed; a is its last sending.
func (c *Client) late(ctx context.Context, r *request, a attempt) error {
	what := c.what(r)
	switch cause := context.Cause(ctx); {
	case c.isClosed():
		return fmt.Errorf("%s: %w", what, backend.ErrClosed)
	case !errors.Is(cause, errDeadline):
		return fmt.Errorf("%s: %w: %w (%s)", what, backend.ErrUnavailable, cause, a.err.Error())
	case a.fate == answered:
		return fmt.Errorf("%s: %w", what, a.err) // unavailable or a limit, in the registry's words
	}
	return fmt.Errorf("%s: %w: %w", what, backend.ErrUnavailable, a.err)
}

// unknown is the error of a write that may have been executed. What matches why is
// hidden, because it would be taken for certain.
func (c *Client) unknown(ctx context.Context, r *request, why error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errDeadline) && !c.isClosed() {
		return fmt.Errorf("%s: %w: %w (%s)", c.what(r), backend.ErrUnknownOutcome, cause, why.Error())
	}
	return hide(c.what(r), backend.ErrUnknownOutcome, why)
}

// hide returns an error that is about what, matches err, and tells why without matching
// it.
func hide(what string, err, why error) error {
	return fmt.Errorf("%s: %w: %s", what, err, why.Error())
}
