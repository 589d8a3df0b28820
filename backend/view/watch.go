package view

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/roostbus/roost/backend"
)

// watcher is where the feeder leaves what a watch is to yield. The feeder never waits
// for it: when the queue is full it drops what does not fit and notes from which
// revision on the watch has to look for itself.
type watcher struct {
	scope backend.Scope
	epoch backend.Epoch
	skip  backend.Revision // changes up to here are not wanted
	wake  chan struct{}    // of size one

	mu    sync.Mutex
	queue []*version
	lost  bool             // what came after at is not in queue
	at    backend.Revision // where lost
	end   error
}

// push leaves n in the queue.
func (w *watcher) push(n *version, limit int) {
	if n.shown <= w.skip {
		return
	}
	w.mu.Lock()
	switch {
	case w.lost:
		w.at = min(w.at, n.shown-1)
	case len(w.queue) >= limit:
		w.lose(n.shown - 1)
	default:
		w.queue = append(w.queue, n)
	}
	w.mu.Unlock()
	w.signal()
}

// lose notes that what came after at must be looked for. w.mu is held.
func (w *watcher) lose(at backend.Revision) {
	if w.lost {
		at = min(at, w.at)
	}
	w.lost, w.at = true, at
	w.queue = slices.DeleteFunc(w.queue, func(n *version) bool { return n.shown > at })
}

func (w *watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns what is in the queue; if that is nothing, whether anything was lost and
// why the watch is over.
func (w *watcher) take(spare []*version) (queue []*version, lost bool, end error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) > 0 {
		queue, w.queue = w.queue, spare[:0]
		return queue, false, nil
	}
	return nil, w.lost, w.end
}

// tell leaves n with all who watch its key, and wakes those who wait for it. v.mu is held.
func (v *View) tell(n *version) {
	v.waits.told(n)
	if len(v.watchers) == 0 {
		return
	}
	for _, scope := range scopesOf(&n.Registration) {
		for w := range v.watchers[scope] {
			w.push(n, v.buffer)
		}
	}
}

// scopesOf returns every scope that r lies in.
func scopesOf(r *backend.Registration) [3]backend.Scope {
	return [...]backend.Scope{{}, {Namespace: r.Namespace}, {Namespace: r.Namespace, Service: r.Service}}
}

// endWatches ends every watch with err. v.mu is held.
func (v *View) endWatches(err error) {
	for _, set := range v.watchers {
		for w := range set {
			w.mu.Lock()
			if w.end == nil {
				w.end = err
			}
			w.mu.Unlock()
			w.signal()
		}
	}
}

// Watch yields the changes after revision since in q's scope as [backend.Backend]
// describes it; since 0 means from the call of Watch on. It starts no goroutine, and
// nothing is held of it before it is ranged over and after the range ends.
func (v *View) Watch(ctx context.Context, q backend.Query, match Match, since backend.Revision) iter.Seq2[backend.Event, error] {
	v.mu.RLock()
	c := v.core.Load()
	epoch, from := c.epoch, since
	if since == 0 {
		from = c.newest()
	}
	v.mu.RUnlock()
	return func(yield func(backend.Event, error) bool) {
		fail := func(err error) { yield(backend.Event{}, err) }
		if since != 0 && q.Epoch != 0 && q.Epoch != epoch {
			fail(elsewhere(q.Epoch, epoch))
			return
		}
		w, err := v.begin(q.Scope, epoch, from, since != 0)
		if err != nil {
			fail(err)
			return
		}
		defer v.stop(w)
		var spare []*version
		for {
			if ctx.Err() != nil {
				fail(unavailable(ctx, "watch"))
				return
			}
			queue, lost, end := w.take(spare)
			switch {
			case len(queue) > 0:
				if !deliver(queue, &q, match, yield) {
					return
				}
				clear(queue)
				spare = queue
				continue
			case end != nil:
				fail(end)
				return
			case lost:
				missed, at, err := v.resume(w)
				if err != nil {
					fail(err)
					return
				}
				if !catchUp(missed, at, &q, match, yield) {
					return
				}
				continue
			}
			select {
			case <-w.wake:
			case <-ctx.Done():
			}
		}
	}
}

// begin makes a watcher that has everything after from still to look for.
func (v *View) begin(scope backend.Scope, epoch backend.Epoch, from backend.Revision, given bool) (*watcher, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.core.Load()
	switch {
	case v.closed:
		return nil, backend.ErrClosed
	case c.epoch != epoch:
		return nil, elsewhere(epoch, c.epoch)
	case given && from < c.floor:
		return nil, forgotten(from, c.floor)
	}
	w := &watcher{scope: scope, epoch: epoch, wake: make(chan struct{}, 1), lost: true, at: from}
	if from > c.newest() {
		w.skip = from
	}
	if v.watchers[scope] == nil {
		v.watchers[scope] = map[*watcher]struct{}{}
	}
	v.watchers[scope][w] = struct{}{}
	return w, nil
}

func (v *View) stop(w *watcher) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.watchers[w.scope], w)
	if len(v.watchers[w.scope]) == 0 {
		delete(v.watchers, w.scope)
	}
}

// resume returns what w has lost, in the order of revisions, and the revision after
// which it was; from then on the feeder leaves changes in w's queue again.
func (v *View) resume(w *watcher) ([]changed, backend.Revision, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	c := v.core.Load()
	if c.epoch != w.epoch {
		return nil, 0, elsewhere(w.epoch, c.epoch)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.at
	if at < c.forgotten {
		return nil, 0, forgotten(at, c.forgotten)
	}
	missed := c.changedAfter(w.scope, at)
	w.lost = false
	slices.SortFunc(missed, func(a, b changed) int {
		return cmp.Or(cmp.Compare(a.shown, b.shown), compareChanged(a, b))
	})
	return missed, at, nil
}

// catchUp yields what was lost after at, with a Gap before it if that is not every
// single change.
func catchUp(missed []changed, at backend.Revision, q *backend.Query, match Match, yield func(backend.Event, error) bool) bool {
	whole := !slices.ContainsFunc(missed, func(n changed) bool { return n.merged || n.previous > at })
	if !whole && !yield(backend.Event{Kind: backend.Gap, Revision: at}, nil) {
		return false
	}
	for _, n := range missed {
		if !yield(eventFor(n.version, q, match), nil) {
			return false
		}
	}
	return true
}

func deliver(queue []*version, q *backend.Query, match Match, yield func(backend.Event, error) bool) bool {
	for _, n := range queue {
		if n.merged && !yield(backend.Event{Kind: backend.Gap, Revision: n.previous}, nil) {
			return false
		}
		if !yield(eventFor(n, q, match), nil) {
			return false
		}
	}
	return true
}

// eventFor is n as who asked q sees it.
func eventFor(n *version, q *backend.Query, match Match) backend.Event {
	e := n.event()
	if !matches(q, match, &n.Registration) {
		e.Kind = backend.Unmatched
	}
	return e
}

func matches(q *backend.Query, match Match, r *backend.Registration) bool {
	return q.MatchesPlain(r) && (match == nil || match(r))
}

func forgotten(asked, floor backend.Revision) error {
	return fmt.Errorf("%w: revision %d was asked for, what came after it is remembered from %d on",
		backend.ErrCompacted, asked, floor)
}
