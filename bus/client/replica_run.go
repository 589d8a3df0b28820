package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client/follow"
)

// errReplicaRuns ends a second Run beside the first.
var errReplicaRuns = errors.New("the replica runs already")

// Run keeps the Replica until ctx is done, and returns nil then. It returns an error where
// the query cannot be answered or the client was closed. The state stays; Run may be
// called again, and goes on where it ended.
func (r *Replica) Run(ctx context.Context) error {
	if r.running.Swap(true) {
		return errReplicaRuns
	}
	defer r.running.Store(false)
	under, end, err := r.c.begin(ctx, 0)
	if err == nil {
		defer end()
		err = r.run(under)
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case r.c.isClosed():
		err = backend.ErrClosed
	}
	return fmt.Errorf("replica of %s: %w", r.query.Scope, err)
}

func (r *Replica) run(ctx context.Context) error {
	e, err := r.c.listen(ctx, r.c.subjects.Events(r.query.Scope), r.options.again, r.options.buffer)
	if err != nil {
		return err
	}
	defer e.close()
	e.rule = r.rule
	e.heard = r.touch
	e.rule.Reconnected() // whatever was heard before
	r.linked.Store(true)
	defer r.linked.Store(false)

	return e.follow(ctx, func(request follow.Request) error { return r.relist(ctx, e, request) }, func(retry <-chan time.Time) (bool, error) {
		event, heard, err := e.next(ctx, retry)
		if !heard || err != nil {
			return false, err
		}
		return true, r.hear(e, event) //nolint:contextcheck // what is in memory does not wait
	})
}

// hear takes in an event, and those that wait behind it.
func (r *Replica) hear(e *ear, event Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := 0; ; n++ {
		if e.ask(&event) == follow.Apply {
			r.apply(event)
		}
		if n == r.options.buffer {
			break
		}
		var heard bool
		var err error
		if event, heard, err = e.waiting(); err != nil {
			return err
		} else if !heard {
			break
		}
	}
	r.refresh()
	r.touch()
	return nil
}

// touch notes that the registry was heard, which says that the state is good unless a
// list is wanted.
func (r *Replica) touch() {
	if _, want := r.rule.Wanted(); !want {
		r.heardGood(time.Now())
	}
}

// relist makes the list that the rule asks for and takes it in.
func (r *Replica) relist(ctx context.Context, e *ear, request follow.Request) error {
	asked := time.Now()
	answer, err := e.list(ctx, request, r.query)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.rule.Merge(answer, r.held, time.Now())
	switch {
	case o.Restart:
		e.discard()
		r.restart(o, answer.Stamp) //nolint:contextcheck // what is in memory does not wait
	case o.Merged:
		r.take(o, answer.Stamp)
	}
	r.refresh() //nolint:contextcheck // what is in memory does not wait
	if o.Merged {
		r.heardGood(asked.Add(-answer.Stamp.Age))
		select {
		case <-r.ready:
		default:
			close(r.ready)
		}
	}
	return nil
}

// held yields what the Replica holds. r.mu is held.
func (r *Replica) held(yield func(Key, Revision) bool) {
	for _, found := range r.all() {
		if !yield(found.Key, found.Revision) {
			return
		}
	}
}
