package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client/follow"
)

const (
	// eventBuffer is how many events wait for a slow consumer before lists replace them.
	eventBuffer = 8192

	// relisting is how often a follower that has heard of no trouble makes sure.
	relisting = 5 * time.Minute

	// quietTime is how long a follower that hears no beacon waits before it makes sure that
	// there is still a registry.
	quietTime = 10 * time.Second
)

// errDisconnected is why a follower waits.
var errDisconnected = fmt.Errorf("%w: the connection to NATS is lost", backend.ErrUnavailable)

// air is where a follower hears. *nats.Conn is one.
type air interface {
	ChanSubscribe(subject string, ch chan *nats.Msg) (*nats.Subscription, error)
	StatusChanged(statuses ...nats.Status) chan nats.Status
	RemoveStatusListener(ch chan nats.Status)
	IsClosed() bool
	IsDraining() bool
}

// ear is what a follower hears: what is published on a subject, beacons, and what becomes
// of the connection. All but the first it tells the rule.
type ear struct {
	c       *Client
	rule    *follow.Follower
	again   time.Duration // how often to make sure
	events  chan *nats.Msg
	beacons chan *nats.Msg
	status  chan nats.Status
	subs    []*nats.Subscription // to events and beacons
	dropped int
	timer   *time.Timer
	silent  *time.Timer // runs from the newest beacon; not again before the next
	begun   bool
	waits   bool       // for the registry, and has said so
	keeper  bus.Beacon // the newest
	heard   func()     // called for every beacon; may be nil
}

// listen subscribes, waiting for a connection where there is none: on one that buffers
// nothing there is no subscribing while it is away. Close the ear.
func (c *Client) listen(ctx context.Context, subject string, again time.Duration, buffer int) (*ear, error) {
	e := &ear{
		c: c, again: again,
		events:  make(chan *nats.Msg, buffer),
		beacons: make(chan *nats.Msg, 16),
		status:  c.air.StatusChanged(nats.RECONNECTING, nats.CONNECTED, nats.CLOSED),
		timer:   time.NewTimer(jittered(again)),
		silent:  time.NewTimer(jittered(quietTime)),
	}
	var err error
	for _, to := range []struct {
		subject string
		channel chan *nats.Msg
	}{{subject, e.events}, {c.subjects.Beacon(), e.beacons}} {
		if err == nil {
			err = e.subscribe(ctx, to.subject, to.channel)
		}
	}
	if err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *ear) subscribe(ctx context.Context, subject string, to chan *nats.Msg) error {
	var pause backoff
	for {
		sub, err := e.c.air.ChanSubscribe(subject, to)
		switch {
		case err == nil:
			e.subs = append(e.subs, sub)
			return nil
		case e.c.air.IsClosed() || e.c.air.IsDraining():
			return fmt.Errorf("%w: %w", backend.ErrClosed, err)
		case !pause.wait(ctx):
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

func (e *ear) close() {
	e.timer.Stop()
	e.silent.Stop()
	e.c.air.RemoveStatusListener(e.status)
	for _, sub := range e.subs {
		if err := sub.Unsubscribe(); err != nil && !e.c.air.IsClosed() {
			e.c.log.Warn("not unsubscribed", slog.String("subject", sub.Subject), slog.Any("err", err))
		}
	}
}

// discard forgets the events that wait.
func (e *ear) discard() {
	for {
		select {
		case <-e.events:
		default:
			return
		}
	}
}

// next is hear for events. It returns false for what is none.
func (e *ear) next(ctx context.Context, retry <-chan time.Time) (Event, bool, error) {
	m, err := e.hear(ctx, retry)
	if m == nil || err != nil {
		return Event{}, false, err
	}
	return e.event(m)
}

// hear waits for something to hear. What was not published on the subject it tells the rule
// and returns nil. retry, if not nil, ends the waiting.
func (e *ear) hear(ctx context.Context, retry <-chan time.Time) (*nats.Msg, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case now, open := <-e.status:
		switch {
		case now == nats.CLOSED || !open:
			return nil, backend.ErrClosed
		case now == nats.CONNECTED:
			e.rule.Reconnected()
		case !e.c.connected(): // its return will be told, and makes a list
			e.wait(errDisconnected)
		}
	case m := <-e.beacons:
		e.beacon(m)
	case <-e.timer.C:
		e.rule.Doubt()
		e.timer.Reset(jittered(e.again))
	case <-e.silent.C:
		if e.c.connected() {
			e.rule.Doubt()
		}
	case <-retry:
	case m := <-e.events:
		e.heed()
		return m, nil
	}
	return nil, nil
}

// heed tells the rule what it must know before something that was published is judged.
func (e *ear) heed() {
	if e.slow() {
		e.rule.Doubt()
	}
	e.rule.Epoch(e.c.seen.now().epoch)
}

// waiting is next for an event that is there already.
func (e *ear) waiting() (Event, bool, error) {
	select {
	case m := <-e.events:
		e.heed()
		return e.event(m)
	default:
		return Event{}, false, nil
	}
}

func (e *ear) event(m *nats.Msg) (Event, bool, error) {
	event, err := parseEvent(e.c.subjects, m)
	if err != nil {
		e.c.log.Warn("event cannot be read", slog.String("subject", m.Subject), slog.Any("err", err))
		e.rule.Doubt()
		return Event{}, false, nil // the list that the doubt brings about repairs it
	}
	return event, true, nil
}

// slow reports whether events were dropped since it was last asked.
func (e *ear) slow() bool {
	dropped, err := e.subs[0].Dropped()
	if err != nil || dropped == e.dropped {
		return false
	}
	e.dropped = dropped
	return true
}

func (e *ear) beacon(m *nats.Msg) {
	var b bus.Beacon
	if err := json.Unmarshal(m.Data, &b); err != nil {
		e.c.log.Warn("beacon cannot be read", slog.Any("err", err))
		return
	}
	if b.Epoch < e.keeper.Epoch || b.Epoch == e.keeper.Epoch && b.Keeper.Term < e.keeper.Keeper.Term {
		return // of a keeper that was replaced
	}
	e.keeper = b
	e.silent.Reset(jittered(quietTime))
	e.rule.Beacon(b.Epoch, b.Feed)
	if e.heard != nil {
		e.heard()
	}
}

// ask tells the rule of an event and returns the verdict.
func (e *ear) ask(event *Event) follow.Verdict {
	return e.rule.Event(follow.Event{
		Key: event.Registration.Key, Revision: event.Revision, Previous: event.Previous, Removes: event.Kind.Removes(),
	}, time.Now())
}

// list makes the list that r asks for. A failure that may pass and a revision that is
// forgotten it tells the rule; they come back as ErrUnavailable and ErrCompacted.
func (e *ear) list(ctx context.Context, r follow.Request, q Query) (follow.Answer, error) {
	answer, err := e.c.pages(ctx, r.Query(q))
	answer.Request = r
	return answer, e.fared(ctx, r, err)
}

// fared takes in how what r asks for has fared, and returns the error that it comes back as.
func (e *ear) fared(ctx context.Context, r follow.Request, err error) error {
	switch {
	case err == nil:
		e.goOn()
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case e.c.isClosed() || e.c.air.IsClosed():
		return backend.ErrClosed
	case errors.Is(err, backend.ErrCompacted):
		e.rule.Compacted(r)
		return err
	case errors.Is(err, backend.ErrInvalid), errors.Is(err, backend.ErrTooLarge), errors.Is(err, backend.ErrNotFound):
		return err
	}
	e.rule.Failed(r)
	e.c.log.Warn("follower waits for the registry", slog.Any("err", err))
	if !errors.Is(err, backend.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", backend.ErrUnavailable, err)
	}
	e.wait(err)
	return err
}

// wait says that the follower waits for the registry, because of err.
func (e *ear) wait(err error) {
	if e.c.following != nil && !e.waits {
		e.c.following(err)
	}
	e.waits = true
}

// goOn says that the follower has begun, or goes on after it has waited.
func (e *ear) goOn() {
	if e.c.following != nil && (e.waits || !e.begun) {
		e.c.following(nil)
	}
	e.begun, e.waits = true, false
}

func jittered(d time.Duration) time.Duration { return d*9/10 + rand.N(d/5+1) }
