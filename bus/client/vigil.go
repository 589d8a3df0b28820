package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
)

// How long the sendings of a vigil wait for their replies: the first, and those after many.
const (
	firstWatch = 5 * time.Second
	lastWatch  = time.Minute

	// answerTime is how much longer than it asked the registry to wait a vigil waits for the
	// reply that its wait was in vain.
	answerTime = 2 * time.Second
)

// vigil is a request that waits at the registry until its sender's turn has come, for as
// long as that takes. It is sent again whenever its reply may have been lost: when the
// connection was, and from time to time. A repeat takes the place of the one before and so
// keeps its sender's place in the queue, but only while the one before still waits.
// Therefore each sending asks for a longer wait than its sender has patience.
type vigil struct {
	subject string
	owner   string
	lease   *Lease        // owner's; nil where somebody else keeps it alive
	wait    time.Duration // in all; 0: as long as ctx goes on
	body    func(waitMs *int64) any

	// stays says that nobody loses a place when a wait ends, and that such a reply is no
	// failure: granted tells it from what is waited for. It may be nil.
	stays   bool
	granted func(*nats.Msg) bool

	// again, if not nil, is called before v is sent again whose fate is not known.
	again func(ctx context.Context)

	// lost says that the fate of some sending is not known: the registry may be at it.
	lost bool
}

// keepVigil sends v until there is what it waits for or a definite answer, v.wait has passed,
// the lease has ended, or ctx is over.
func (c *Client) keepVigil(ctx context.Context, v *vigil) attempt {
	r := &request{subject: v.subject, id: rand.Text()}
	ctx, end, err := c.begin(ctx, 0)
	if err != nil {
		return attempt{err: fmt.Errorf("%s: %w", c.what(r), err)}
	}
	defer end()
	var until time.Time
	if v.wait > 0 {
		until = time.Now().Add(v.wait)
	}
	var pause backoff
	each := firstWatch
	for {
		sent := time.Now()
		a := c.watchOnce(ctx, v, r, each, until)
		over := v.over(ctx, until)
		switch {
		case a.fate == answered && a.err == nil && (v.granted == nil || v.granted(a.reply)):
			return a
		case a.fate == answered && (a.err == nil || errors.Is(a.err, backend.ErrTimeout)):
			if a.err == nil {
				a.err = backend.ErrTimeout
			}
			if over == nil && time.Since(sent) < firstPause { // waits that end sooner than they should are paced
				sleep(ctx, pause.step())
			}
		case a.fate == ended:
			a.err = fmt.Errorf("%s: %w", c.what(r), backend.ErrClosed)
			return a
		case a.fate == answered && definite(a.err) && !transient(a.err):
			c.doubt(v.owner, a.err)
			a.err = fmt.Errorf("%s: %w", c.what(r), a.err)
			return a
		case a.fate == lost && over == nil && c.connected():
			v.lost, each = true, min(2*each, lastWatch)
		default:
			v.lost = v.lost || a.fate == lost || a.fate == answered && !transient(a.err)
			if over == nil {
				v.pause(ctx, pause.step(), until)
			}
		}
		if over := v.over(ctx, until); over != nil {
			a.err = c.vain(ctx, r, over, a)
			return a
		}
		if v.lost && v.again != nil {
			v.again(ctx)
		}
	}
}

// errWaited is why a vigil ends whose wait has passed.
var errWaited = errors.New("the wait has passed")

// over returns why v does not go on.
func (v *vigil) over(ctx context.Context, until time.Time) error {
	if v.lease != nil {
		if err := v.lease.Err(); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !until.IsZero() && !time.Now().Before(until) {
		return errWaited
	}
	return nil
}

// vain is the error of a vigil that ends because of over; a is its last sending.
func (c *Client) vain(ctx context.Context, r *request, over error, a attempt) error {
	what := c.what(r)
	switch {
	case c.isClosed():
		return fmt.Errorf("%s: %w", what, backend.ErrClosed)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w: %w (%s)", what, backend.ErrUnavailable, over, a.err.Error())
	case !errors.Is(over, errWaited):
		return fmt.Errorf("%s: %w", what, over)
	case a.fate == answered:
		return fmt.Errorf("%s: %w", what, a.err) // the registry's own words
	}
	return fmt.Errorf("%s: %w: %w", what, backend.ErrUnavailable, a.err)
}

// watchOnce sends v once. It waits for the reply as long as each, until what is waited for
// cannot come any more, or until the connection or the lease is lost.
func (c *Client) watchOnce(ctx context.Context, v *vigil, r *request, each time.Duration, until time.Time) attempt {
	each = jittered(each)
	wait, patience := each+each/2+answerTime, each
	if v.stays {
		wait, patience = each, each+answerTime
	}
	if !until.IsZero() {
		if left := time.Until(until); left <= wait {
			wait, patience = left, left+answerTime
		}
	}
	wait = min(max(wait+time.Millisecond-1, time.Millisecond).Truncate(time.Millisecond), longestVigil)
	var err error
	if r.body, err = encode(v.body(new(wait.Milliseconds()))); err != nil {
		return attempt{fate: notSent, err: err}
	}
	shaken := c.leases.signal()
	trying, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // ends with this sending
		defer stop()
		select {
		case <-shaken:
		case <-v.ended():
		case <-trying.Done():
		}
	}()
	return c.try(trying, r, patience, false)
}

// longestVigil is the longest wait that the registry knows.
const longestVigil = 24 * time.Hour

// ended is closed when v's lease has ended.
func (v *vigil) ended() <-chan struct{} {
	if v.lease == nil {
		return nil
	}
	return v.lease.Done()
}

// pause rests for d, or until v does not go on.
func (v *vigil) pause(ctx context.Context, d time.Duration, until time.Time) {
	if !until.IsZero() {
		d = min(d, time.Until(until))
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-v.ended():
	case <-ctx.Done():
	}
}
