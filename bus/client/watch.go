package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
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
// since 0 begins at the state that the registry shows when the range begins. Another
// since is served if nothing has changed after it in the whole registry; else it is
// ErrCompacted: the changes since then are not to be had.
func (c *Client) Watch(ctx context.Context, q Query, since Revision) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := c.watch(ctx, q, since, func(e Event) bool { return yield(e, nil) }); err != nil {
			yield(Event{}, err)
		}
	}
}

// errStopped ends a watch whose consumer has stopped.
var errStopped = errors.New("the consumer has stopped")

func (c *Client) watch(ctx context.Context, q Query, since Revision, yield func(Event) bool) error {
	if err := q.Validate(); err != nil {
		return err
	}
	if q.Filter != "" {
		return backend.Invalid("filter", "cannot be watched from a client; use where and status, or list with it")
	}
	outer := ctx
	ctx, end, err := c.begin(ctx, 0)
	if err != nil {
		return fmt.Errorf("watch %s: %w", q.Scope, err)
	}
	defer end()
	w := &watch{
		c:      c,
		yield:  yield,
		events: make(chan *nats.Msg, eventBuffer),
		follower: follower{
			query:   q,
			held:    make(map[backend.Key]*backend.Registration),
			removed: make(map[backend.Key]backend.Revision),
		},
	}
	switch err := w.run(ctx, since); {
	case errors.Is(err, errStopped):
		return nil
	case outer.Err() != nil:
		return fmt.Errorf("watch %s: %w: %w", q.Scope, backend.ErrUnavailable, context.Cause(outer))
	case c.isClosed():
		return fmt.Errorf("watch %s: %w", q.Scope, backend.ErrClosed)
	default:
		return fmt.Errorf("watch %s: %w", q.Scope, err)
	}
}

// watch is one watch under way. It lives in its consumer's goroutine.
type watch struct {
	c        *Client
	yield    func(Event) bool
	events   chan *nats.Msg
	sub      *nats.Subscription
	dropped  int
	follower follower
}

func (w *watch) run(ctx context.Context, since Revision) error {
	status := w.c.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer w.c.nc.RemoveStatusListener(status)
	if err := w.subscribe(ctx); err != nil {
		return err
	}
	defer w.unsubscribe()
	if err := w.start(ctx, since); err != nil {
		return err
	}
	timer := time.NewTimer(jittered(relisting))
	defer timer.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case now := <-status:
			if now == nats.CLOSED {
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

// relist compares what the watch knows with a new list, at least as new as revision
// least, and yields the difference. lossy says that changes are known to have been lost
// and may have come and gone: then the list must show all that was acknowledged.
func (w *watch) relist(ctx context.Context, least Revision, lossy bool) error {
	for {
		before := w.follower.complete
		read := Read{MinRevision: max(least, before), Epoch: w.follower.epoch}
		if lossy {
			read.Consistency = backend.Linearizable
		}
		list, stamp, err := w.list(ctx, read)
		if errors.Is(err, backend.ErrCompacted) { // revisions have begun anew
			list, stamp, err = w.list(ctx, Read{Consistency: backend.Linearizable})
		}
		if errors.Is(err, backend.ErrUnavailable) && ctx.Err() == nil && !w.c.isClosed() && !w.c.nc.IsClosed() {
			w.c.log.Warn("watch waits for the registry", slog.Any("err", err))
			if !sleep(ctx, jittered(lastPause)) {
				return context.Cause(ctx)
			}
			lossy = true
			continue
		}
		if err != nil {
			return err
		}
		changes := w.follower.merge(list, stamp)
		if len(changes) == 0 && (!lossy || stamp.Revision == before) {
			return nil
		}
		if !w.yield(Event{Kind: backend.Gap, Revision: before}) {
			return errStopped
		}
		for _, e := range changes {
			if !w.yield(e) {
				return errStopped
			}
		}
		return nil
	}
}

// list returns everything in scope. The revision of the stamp is that of the first page.
func (w *watch) list(ctx context.Context, read Read) ([]*Registration, Stamp, error) {
	q := Query{Scope: w.follower.query.Scope, Read: read}
	var all []*Registration
	var first Stamp
	for {
		page, stamp, err := w.c.list(ctx, q)
		if err != nil {
			return nil, Stamp{}, err
		}
		if q.After == "" {
			first = stamp
		}
		all = append(all, page.Registrations...)
		if page.Next == "" {
			return all, first, nil
		}
		q.After = page.Next
	}
}
