package client

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// errCut is why a reply is not waited for any longer: it would have come over a connection
// that is there no more.
var errCut = errors.New("the connection was lost before a reply came")

// When it is looked whether the connection of a read under way is still there: first when
// most have long been answered, and then each time after twice as long.
const (
	firstGlance = 10 * time.Millisecond
	lastGlance  = time.Second
)

// untilCut returns a context that ends with ctx, after wait, and with errCut soon after the
// connection of now was lost, because NATS tells nobody that a reply cannot come any more.
// The returned function must be called.
func (c *Client) untilCut(ctx context.Context, wait time.Duration) (context.Context, func()) {
	ctx, end := context.WithCancelCause(ctx)
	conn, _ := c.whereabouts()
	until := time.Now().Add(wait)
	timer := time.AfterFunc(min(firstGlance, wait), func() {
		for next := firstGlance; time.Until(until) > 0; next = min(2*next, lastGlance) {
			if now, connected := c.whereabouts(); !connected || now != conn {
				end(errCut)
				return
			}
			if !sleep(ctx, min(next, time.Until(until))) {
				return
			}
		}
		end(context.DeadlineExceeded)
	})
	return ctx, func() {
		timer.Stop()
		end(nil)
	}
}

// rest pauses between two sendings, if there is no connection only until there is one
// again, and reports whether the call goes on. So what was under way when a node died is
// asked again at once: that is no more than the new connection would have carried anyway.
func (c *Client) rest(ctx context.Context, pause *backoff) bool {
	d := pause.step()
	if c.connected() {
		return sleep(ctx, d)
	}
	events := c.line.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer c.line.RemoveStatusListener(events)
	if c.connected() {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-events:
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
