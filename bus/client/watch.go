package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client/follow"
)

// Watch implements backend.Backend with the events that the registry publishes, which
// are published at most once, and lists that repair what is lost, by the rule of package
// follow. What it yields, in order, leads to the registry's state, with the changes of a
// key in their order and never back. A Gap is yielded before the newest state of what
// changed wherever single changes may be missing: between since and the beginning, after
// a reconnect, where the consumer was slower than the changes by some thousands, or where
// an event was lost. A loss that no later event of the key shows is repaired at the next
// feed of the keeper's beacon, or within minutes. While the registry or NATS is away the
// watch waits.
//
// Of what was removed and is told behind a Gap, Registration has the Key alone.
//
// A watch begins with the call of Watch, which therefore waits for the registry as a read
// does, and holds a subscription from then on: range over what it returns, or end ctx.
// since 0 begins at what is acknowledged by then. ErrCompacted ends a watch also where
// the registry's store begins a new epoch.
//
// A Filter is judged by the registry, at the price of a list for what changes in q's
// scope.
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
	*ear

	query Query // what is watched
	lists Query // what is listed: where events can be judged here, all of the scope
	yield func(Event) bool
	begun Revision
	first []Event
	stop  func() // idempotent
}

// watch begins a watch. The context that it returns ends with ctx and with Close, and
// stops the watch.
func (c *Client) watch(ctx context.Context, q Query, since Revision) (context.Context, *watch, error) {
	if err := q.Validate(); err != nil {
		return nil, nil, err
	}
	ctx, end, err := c.begin(ctx, 0)
	if err != nil {
		return nil, nil, err
	}
	w := &watch{query: q, lists: Query{Scope: q.Scope}}
	if q.Filter != "" {
		w.lists = Query{Scope: q.Scope, Where: q.Where, Filter: q.Filter, Status: q.Status}
	}
	if w.ear, err = c.listen(ctx, c.subjects.Events(q.Scope), relisting, eventBuffer); err != nil {
		end()
		return nil, nil, err
	}
	w.stop = sync.OnceFunc(func() {
		end()
		w.close()
	})
	if err := w.start(ctx, since); err != nil {
		w.stop()
		return nil, nil, err
	}
	w.goOn()
	context.AfterFunc(ctx, w.stop)
	return ctx, w, nil
}

// start finds where the watch begins, and what has changed since. What is acknowledged
// by now is no news, and the subscription is older than that.
func (w *watch) start(ctx context.Context, since Revision) error {
	q := w.lists
	q.Read = Read{Consistency: backend.Linearizable}
	if since == 0 {
		if q.Filter != "" { // a filter that cannot be read is to be told now
			q.Limit = 1
			if _, _, err := w.c.list(ctx, q); err != nil {
				return err
			}
		}
		_, stamp, err := w.c.Count(ctx, Query{Scope: q.Scope, Read: q.Read})
		if err != nil {
			return err
		}
		w.begun = stamp.Revision
		w.follow(stamp)
		return nil
	}
	q.Since, q.Epoch = &since, w.query.Epoch
	answer, err := w.c.pages(ctx, q)
	if err != nil {
		return err
	}
	w.begun = since
	w.follow(backend.Stamp{Revision: since, Epoch: answer.Stamp.Epoch})
	answer.Request, _ = w.rule.Wanted()
	w.first = w.news(answer, nil)
	return nil
}

func (w *watch) follow(from Stamp) {
	w.rule = follow.Continue(from)
	if w.query.Filter != "" {
		w.rule.JudgedByLists()
	}
}

func (w *watch) run(ctx context.Context) error {
	if err := w.tell(w.first); err != nil {
		return err
	}
	w.first = nil
	for {
		if err := w.relist(ctx, nil); err != nil {
			return err
		}
		e, heard, err := w.next(ctx, nil)
		if err != nil {
			return err
		}
		if !heard {
			continue
		}
		switch w.ask(&e) {
		case follow.Apply:
			err = w.tell([]Event{w.judged(e)})
		case follow.List:
			err = w.relist(ctx, w.batch(e))
		case follow.Ignore:
		}
		if err != nil {
			return err
		}
	}
}

// batch returns e and, where lists judge, all other news that waits behind it: one list
// serves them all.
func (w *watch) batch(e Event) []Event {
	news := []Event{e}
	for w.query.Filter != "" && len(news) < eventBuffer {
		e, heard, err := w.waiting()
		if err != nil || !heard {
			break
		}
		if w.ask(&e) == follow.List {
			news = append(news, e)
		}
	}
	return news
}

// relist makes the lists that the rule wants, and tells what they show. heard are the
// events that led to it.
func (w *watch) relist(ctx context.Context, heard []Event) error {
	for {
		r, want := w.rule.Wanted()
		switch {
		case !want:
			return nil
		case r.Afresh:
			return fmt.Errorf("%w: revisions have begun anew", backend.ErrCompacted)
		}
		answer, err := w.list(ctx, r, w.lists)
		if errors.Is(err, backend.ErrUnavailable) && !errors.Is(err, backend.ErrClosed) && ctx.Err() == nil {
			if !sleep(ctx, jittered(lastPause)) {
				return context.Cause(ctx)
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := w.tell(w.news(answer, heard)); err != nil {
			return err
		}
		heard = nil
	}
}

// news merges an answer and returns what it shows, behind a Gap unless heard has every
// single change.
func (w *watch) news(answer follow.Answer, heard []Event) []Event {
	before := w.rule.Stamp()
	o := w.rule.Merge(answer, nil, time.Now())
	if len(o.Take)+len(o.Drop) == 0 {
		return nil
	}
	single := make(map[Revision]*Event, len(heard))
	for i := range heard {
		single[heard[i].Revision] = &heard[i]
	}
	whole := w.query.Filter != "" && len(heard) == len(o.Take)+len(o.Drop)
	events := make([]Event, 0, len(o.Take)+len(o.Drop)+1)
	events = append(events, Event{Kind: backend.Gap, Revision: before.Revision})
	add := func(shown Event) {
		if e := single[shown.Revision]; e != nil && e.Registration.Key == shown.Registration.Key {
			whole = whole && e.Previous <= before.Revision
			if shown.Kind == backend.Unmatched {
				e.Kind = backend.Unmatched
			}
			shown = *e
		} else {
			whole = false
		}
		events = append(events, w.judged(shown))
	}
	for _, r := range o.Take {
		add(Event{Kind: kindOf(r), Registration: r, Revision: r.Revision})
	}
	for _, r := range o.Drop {
		add(Event{Kind: kindOfRemoval(r.Reason), Reason: r.Reason, Registration: &Registration{Key: r.Key}, Revision: r.Revision})
	}
	ordered(events[1:])
	if whole {
		return events[1:]
	}
	return events
}

// judged returns e as the query sees it.
func (w *watch) judged(e Event) Event {
	if w.query.Filter == "" && !e.Kind.Removes() && !w.query.MatchesPlain(e.Registration) {
		e.Kind = backend.Unmatched
	}
	return e
}

func (w *watch) tell(events []Event) error {
	for _, e := range events {
		if !w.yield(e) {
			return errStopped
		}
	}
	return nil
}
