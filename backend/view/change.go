package view

import (
	"context"
	"time"

	"github.com/roostbus/roost/backend"
)

// scopeWait is where all wait who wait for the next change in one scope.
type scopeWait struct {
	done    chan struct{}
	waiters int
	at      backend.Revision // of the change; read it after done; 0: whoever waits must look
}

// reach waits until the view has come as far as q, which has a Since, asks. It fixes
// q.Epoch, so that what is asked next is asked of the same one.
func (v *View) reach(ctx context.Context, q *backend.Query, cursor backend.Cursor) error {
	if q.Epoch == 0 {
		q.Epoch = v.core.Load().epoch
	}
	return v.await(ctx, &q.Read, max(cursor.Revision, *q.Since), cursor.Epoch)
}

// AwaitChange waits, if q says that a List shall, until something in q's scope has
// changed after *q.Since, or until then. In place of q.Since it puts the newest revision
// that is known to have the same changes after it, which is at least as well remembered,
// and it fixes q.Epoch: a List of q goes on where the wait ended. ErrUnavailable when ctx
// is done before, ErrCompacted when the epoch changes.
func (v *View) AwaitChange(ctx context.Context, q *backend.Query, until time.Time) error {
	if q.Since == nil || q.Wait == 0 || q.After != "" {
		return nil
	}
	if err := v.reach(ctx, q, backend.Cursor{}); err != nil {
		return err
	}
	since := *q.Since
	q.Since = &since
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for {
		w, newest, err := v.join(q)
		if err != nil {
			return err
		}
		if w == nil {
			return v.settle(ctx, newest, q.Epoch, until)
		}
		select {
		case <-w.done:
			if w.at > 0 {
				since = max(since, w.at-1)
			}
		case <-timer.C:
			v.waits.leave(q.Scope, w)
			since = v.unchanged(q)
			return nil
		case <-ctx.Done():
			v.waits.leave(q.Scope, w)
			return unavailable(ctx, "wait for a change")
		}
	}
}

// join returns where to wait for a change in q's scope after *q.Since, or the revision of
// one. nil and 0 stand for a revision that is not remembered.
func (v *View) join(q *backend.Query) (*scopeWait, backend.Revision, error) {
	v.mu.RLock() // keeps feeders out, so that no change comes in between
	defer v.mu.RUnlock()
	c := v.core.Load()
	switch {
	case v.closed:
		return nil, 0, backend.ErrClosed
	case c.epoch != q.Epoch:
		return nil, 0, elsewhere(q.Epoch, c.epoch)
	case *q.Since < c.floor:
		return nil, 0, nil
	}
	if newest := c.newestIn(q.Scope); newest > *q.Since {
		return nil, newest, nil
	}
	return v.waits.join(q.Scope), 0, nil
}

// settle waits until the stamp of an answer reaches the change that it shows: an ending is
// seen a moment before everything up to it is said to have been applied.
func (v *View) settle(ctx context.Context, revision backend.Revision, epoch backend.Epoch, until time.Time) error {
	if v.core.Load().revision() >= revision {
		return nil
	}
	brief, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	err := v.wait(brief, revision, epoch)
	if err != nil && brief.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// unchanged returns the newest revision up to which nothing has changed in q's scope
// after *q.Since.
func (v *View) unchanged(q *backend.Query) backend.Revision {
	v.mu.RLock()
	defer v.mu.RUnlock()
	c := v.core.Load()
	if c.epoch != q.Epoch || c.newestIn(q.Scope) > *q.Since {
		return *q.Since
	}
	return max(*q.Since, c.revision())
}

// join returns where those wait who wait for a change in scope, counting one more.
func (w *waits) join(scope backend.Scope) *scopeWait {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.scopes[scope]
	if s == nil {
		s = &scopeWait{done: make(chan struct{})}
		w.scopes[scope] = s
	}
	s.waiters++
	w.waiting.Add(1)
	return s
}

// leave counts one less who waits at s.
func (w *waits) leave(scope backend.Scope, s *scopeWait) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.scopes[scope] != s {
		return // they have been woken
	}
	w.waiting.Add(-1)
	if s.waiters--; s.waiters == 0 {
		delete(w.scopes, scope)
	}
}

// wakeScope wakes those who wait for a change in scope. w.mu is held.
func (w *waits) wakeScope(scope backend.Scope, at backend.Revision) {
	s := w.scopes[scope]
	if s == nil {
		return
	}
	delete(w.scopes, scope)
	w.waiting.Add(-int64(s.waiters))
	s.at = at
	close(s.done)
}
