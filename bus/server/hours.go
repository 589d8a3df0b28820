package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/keeper/clock"
)

// hours are the time from an opening of Leases to its end.
//
// All subscriptions fill one queue, which one goroutine works through: it answers what is
// known at once and hands on everything else, and never waits for anything.
type hours struct {
	*Leases
	clock LeaseClock

	subscriptions []*nats.Subscription
	ways          []way
	queue         chan *nats.Msg
	done          chan struct{} // closed when the queue is worked through no more

	// Keepalives are handed on apart, so that queries keep none out.
	queries    *hands[request]
	keepalives *hands[request]

	marksMu sync.Mutex
	marks   map[*nats.Msg]chan struct{}

	cancel context.CancelCauseFunc // of what is in hand
}

// queueLength is how many requests NATS may have sent that have not been looked at. More
// are dropped, and their senders ask again.
const queueLength = 1 << 16

// closeTimeout is how long requests in hand may take once leases are closed.
const closeTimeout = time.Second

func (l *Leases) newHours(ctx context.Context, c LeaseClock) *hours {
	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	h := &hours{
		Leases: l, clock: c, cancel: cancel,
		queue: make(chan *nats.Msg, queueLength), done: make(chan struct{}), marks: map[*nats.Msg]chan struct{}{},
	}
	work := func(r *request) bool { h.serve(base, r, h.wayTo(r.to.subject).handle); return false }
	h.queries = newHands(l.cfg.MaxInFlight, 1, work)
	h.keepalives = newHands(l.cfg.MaxKeepalives, 1, work)
	h.ways = h.newWays()
	go h.attend(base)
	return h
}

// begin subscribes, and returns when NATS has noted it.
func (h *hours) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	h.look(ctx)
	for _, e := range h.endpoints {
		s, err := h.nc.ChanSubscribe(e.subject, h.queue)
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", e.subject, err)
		}
		h.subscriptions = append(h.subscriptions, s)
	}
	return h.nc.FlushWithContext(ctx)
}

// cease ends what begin began. What NATS had sent before it heard of the end is heard, too.
func (h *hours) cease() {
	ctx, stop := context.WithTimeout(context.Background(), closeTimeout)
	defer stop()
	if h.nc.IsConnected() {
		for _, s := range h.subscriptions {
			_ = s.Drain() // NATS is told, and the messages under way are let in
		}
		_ = h.nc.FlushWithContext(ctx)
	}
	for _, s := range h.subscriptions {
		_ = s.Unsubscribe() // it fails where the connection is closed
	}
	h.queue <- nil
	<-h.done
	finished := h.queries.close(ctx) && h.keepalives.close(ctx)
	h.cancel(errDrained)
	if !finished {
		grace, end := context.WithTimeout(context.Background(), cancelGrace)
		defer end()
		if !h.queries.close(grace) || !h.keepalives.close(grace) {
			h.log.LogAttrs(grace, slog.LevelWarn, "requests of leases did not end when cancelled",
				slog.Int64("in_flight", h.queries.inFlight.Load()+h.keepalives.inFlight.Load()))
		}
	}
	h.flush(ctx)
}

// attend works through the queue.
func (h *hours) attend(base context.Context) {
	defer close(h.done)
	for m := range h.queue {
		switch {
		case m == nil:
			return
		case m.Sub == nil:
			h.marksMu.Lock()
			close(h.marks[m])
			delete(h.marks, m)
			h.marksMu.Unlock()
		default:
			h.accept(base, m)
		}
	}
}

// settle returns when everything that is in the queue has been worked through.
func (h *hours) settle(ctx context.Context) error {
	mark, reached := &nats.Msg{}, make(chan struct{})
	h.marksMu.Lock()
	h.marks[mark] = reached
	h.marksMu.Unlock()
	select {
	case h.queue <- mark:
	case <-h.done:
		return errClosed
	}
	select {
	case <-reached:
		return nil
	case <-h.done:
		return errClosed
	case <-ctx.Done():
		return fmt.Errorf("settle requests of leases: %w", context.Cause(ctx))
	}
}

// accept answers a request at once, or hands it on.
func (h *hours) accept(base context.Context, m *nats.Msg) {
	w := h.wayTo(m.Sub.Subject)
	e := w.endpoint
	if h.forbidden(m.Reply) {
		h.misdirected(base, e, m.Reply)
		return
	}
	if m.Reply == "" && e.reads {
		return
	}
	r := h.request(e)
	r.fill(m.Subject, m.Reply, m.Data, micro.Headers(m.Header))
	if w.prompt != nil && h.serve(base, r, w.prompt) {
		return
	}
	to, full := h.queries, h.fullOfQueries
	if e.keepsAlive {
		to, full = h.keepalives, h.fullOfKeepalives
	}
	if to.take(r, e.ends) != accepted {
		h.refuse(base, r, full)
	}
}

// serve carries out r, and replies unless nothing may be said. It reports false, and has
// done nothing, if r may have to wait.
func (h *hours) serve(base context.Context, r *request, handle func(context.Context, *request) (answer, error)) bool {
	a, err := h.carryOut(base, r, handle)
	switch {
	case err == nil:
	case errors.Is(err, errMayWait):
		return false
	case unsayable(r.to, err):
		r.to.stats.failed.Add(1)
		h.log.LogAttrs(base, slog.LevelDebug, "request of leases left unanswered",
			slog.String("subject", r.subject), slog.Any("err", err))
		h.release(r)
		return true
	}
	h.finish(base, r, a, err)
	return true
}

// unsayable reports whether a request that came to err gets no reply. One who is not the
// keeper does not speak for it. And to a keepalive "unavailable" says less than silence: a
// client that hears nothing asks again, maybe another keeper.
func unsayable(e *endpoint, err error) bool {
	return errors.Is(err, keeper.ErrNotKeeper) || e.keepsAlive &&
		(errors.Is(err, backend.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled))
}

// connection returns c as the Clock knows it.
func connection(c *bus.Connection) clock.Connection {
	if c == nil {
		return clock.Connection{}
	}
	return clock.Connection{Server: c.ServerID, Client: c.ClientID}
}
