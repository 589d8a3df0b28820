package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
)

const (
	// eventBuffer is how many events wait for a slow consumer before the newest state
	// replaces them.
	eventBuffer = 8192

	// relisting is how often a watch that has heard of no trouble makes sure.
	relisting = 5 * time.Minute
)

// Watch implements backend.Backend with the events that the registry publishes, which
// are published at most once, and lists that repair what is lost. It is exact in this
// sense: what it yields, in order, leads from the state at the beginning to the
// registry's state, with the keys in the order of their own changes, never back, and
// with nothing left that is gone. A Gap is yielded before the newest state of what
// changed wherever single changes may have been lost: after a reconnect, a consumer
// slower than the changes by some thousands, or an event that was never delivered. A
// change whose event is lost and whose key is not changed again shows within minutes.
// While the registry or NATS is away the watch waits.
//
// It keeps everything in q's scope in memory, because it looks at Where and Status
// itself. It cannot look at a Filter, which is ErrInvalid: watch without one, and list
// with it.
//
// A watch begins with the call of Watch, which therefore waits for the registry as a read
// does, and holds a subscription from then on: range over what it returns, or end ctx.
//
// since 0 begins at what is acknowledged by then. Another since is served if nothing has
// changed after it in the whole registry when the watch begins; else it is ErrCompacted:
// the changes since then are not to be had. So is a second range, unless nothing has
// changed since the first began.
func (c *Client) Watch(ctx context.Context, q Query, since Revision) iter.Seq2[Event, error] {
	under, w, err := c.watch(ctx, q, since)
	var ranged atomic.Bool
	return func(yield func(Event, error) bool) {
		if ranged.Swap(true) {
			from := since
			if w != nil {
				from = w.begun
			}
			c.Watch(ctx, q, from)(yield)
			return
		}
		if err == nil {
			defer w.stop()
			w.yield = func(e Event) bool { return yield(e, nil) }
			err = w.run(under)
		}
		switch {
		case errors.Is(err, errStopped):
			return
		case ctx.Err() != nil:
			err = fmt.Errorf("watch %s: %w: %w", q.Scope, backend.ErrUnavailable, context.Cause(ctx))
		case c.isClosed():
			err = fmt.Errorf("watch %s: %w", q.Scope, backend.ErrClosed)
		default:
			err = fmt.Errorf("watch %s: %w", q.Scope, err)
		}
		yield(Event{}, err)
	}
}

// errStopped ends a watch whose consumer has stopped.
var errStopped = errors.New("the consumer has stopped")

// watch is one watch under way. After it has begun it lives in its consumer's goroutine.
type watch struct {
	c        *Client
	yield    func(Event) bool
	events   chan *nats.Msg
	status   chan nats.Status
	sub      *nats.Subscription
	dropped  int
	begun    Revision
	follower follower
	stop     func() // idempotent
}

// watch begins a watch. The context that it returns ends with ctx and with Close, and
// stops the watch.
func (c *Client) watch(ctx context.Context, q Query, since Revision) (context.Context, *watch, error) {
	if err := q.Validate(); err != nil {
		return nil, nil, err
	}
	if q.Filter != "" {
		return nil, nil, backend.Invalid("filter", "cannot be watched from a client; use where and status, or list with it")
	}
	ctx, end, err := c.begin(ctx, 0)
	if err != nil {
		return nil, nil, err
	}
	w := &watch{
		c:      c,
		events: make(chan *nats.Msg, eventBuffer),
		status: c.nc.StatusChanged(nats.CONNECTED, nats.CLOSED),
		follower: follower{
			query:   q,
			held:    make(map[backend.Key]*backend.Registration),
			removed: make(map[backend.Key]backend.Revision),
		},
	}
	w.stop = sync.OnceFunc(func() {
		end()
		c.nc.RemoveStatusListener(w.status)
		w.unsubscribe()
	})
	if err := w.subscribe(ctx); err != nil {
		w.stop()
		return nil, nil, err
	}
	if err := w.start(ctx, since); err != nil {
		w.stop()
		return nil, nil, err
	}
	context.AfterFunc(ctx, w.stop)
	return ctx, w, nil
}

func (w *watch) run(ctx context.Context) error {
	timer := time.NewTimer(jittered(relisting))
	defer timer.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case now, open := <-w.status:
			if now == nats.CLOSED || !open {
				return backend.ErrClosed
			}
			err = w.relist(ctx, 0, true)
		case <-timer.C:
			err = w.relist(ctx, 0, false)
			timer.Reset(jittered(relisting))
		case m := <-w.events:
			err = w.hear(ctx, m)
		}
		if err != nil {
			return err
		}
	}
}

func jittered(d time.Duration) time.Duration { return d*9/10 + rand.N(d/5) }

// subscribe waits for a connection, because on one that buffers nothing there is no
// subscribing while it is away.
func (w *watch) subscribe(ctx context.Context) error {
	var pause backoff
	for {
		sub, err := w.c.nc.ChanSubscribe(w.c.subjects.Events(w.follower.query.Scope), w.events)
		switch {
		case err == nil:
			w.sub = sub
			return nil
		case w.c.nc.IsClosed() || w.c.nc.IsDraining():
			return fmt.Errorf("%w: %w", backend.ErrClosed, err)
		case !pause.wait(ctx):
			return err
		}
	}
}

func (w *watch) unsubscribe() {
	if w.sub == nil {
		return
	}
	if err := w.sub.Unsubscribe(); err != nil && !w.c.nc.IsClosed() {
		w.c.log.Warn("watch not unsubscribed", slog.String("subject", w.sub.Subject), slog.Any("err", err))
	}
}

// start lists what the watch begins with.
func (w *watch) start(ctx context.Context, since Revision) error {
	q := &w.follower.query
	read := Read{Consistency: backend.Linearizable} // what is acknowledged is no news
	if since != 0 {
		read = Read{MinRevision: since, Epoch: q.Epoch}
	}
	list, stamp, err := w.list(ctx, read)
	if err != nil {
		return err
	}
	if since != 0 && stamp.Revision != since {
		return fmt.Errorf("%w: the registry is at revision %d, and what changed after %d is not to be had",
			backend.ErrCompacted, stamp.Revision, since)
	}
	w.begun = stamp.Revision
	w.follower.epoch = stamp.Epoch
	w.follower.merge(list, stamp)
	return nil
}

// hear takes in one event.
func (w *watch) hear(ctx context.Context, m *nats.Msg) error {
	if w.slow() || w.c.seen.now().epoch > w.follower.epoch {
		if err := w.relist(ctx, 0, true); err != nil {
			return err
		}
	}
	e, err := parseEvent(w.c.subjects, m)
	if err != nil {
		w.c.log.Warn("event cannot be read", slog.String("subject", m.Subject), slog.Any("err", err))
		return w.relist(ctx, 0, true)
	}
	e, verdict := w.follower.apply(e)
	switch {
	case verdict == missing:
		return w.relist(ctx, e.Revision, true)
	case verdict == news && !w.yield(e):
		return errStopped
	}
	return nil
}

// slow reports whether events were dropped since it was last asked.
func (w *watch) slow() bool {
	dropped, err := w.sub.Dropped()
	if err != nil || dropped == w.dropped {
		return false
	}
	w.dropped = dropped
	return true
}
