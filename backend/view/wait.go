package view

import (
	"container/heap"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/backend"
)

// waits holds those who wait for a revision, for a key, or for a change in a scope.
type waits struct {
	mu     sync.Mutex
	byRev  revisionHeap
	keys   map[backend.Key][]*keyWait
	scopes map[backend.Scope]*scopeWait
	closed bool

	// waiting is how many wait for a key or for a change, so that a change of which
	// nobody waits for costs no lock.
	waiting atomic.Int64
}

type revisionWait struct {
	revision backend.Revision
	index    int
	done     chan error // gets one value
}

type keyWait struct{ done chan struct{} }

// Await waits until the view has come as far as read asks, and reports whether it can:
// ErrCompacted for a revision of another epoch, ErrUnavailable when ctx is done before.
func (v *View) Await(ctx context.Context, read backend.Read) error {
	return v.await(ctx, &read, 0, 0)
}

// await is Await which also waits for revision of epoch; epoch 0 is that of read.
func (v *View) await(ctx context.Context, read *backend.Read, revision backend.Revision, epoch backend.Epoch) error {
	if ctx.Err() != nil {
		return unavailable(ctx, "read")
	}
	current := v.core.Load().epoch
	if epoch != 0 && epoch != current {
		return elsewhere(epoch, current)
	}
	if revision = max(revision, read.MinRevision); revision == 0 {
		return nil
	}
	if read.Epoch != 0 && read.Epoch != current {
		return elsewhere(read.Epoch, current)
	}
	return v.wait(ctx, revision, current)
}

// Wait waits until everything up to revision has been applied: ErrUnavailable when ctx
// is done before, ErrCompacted when the epoch changes.
func (v *View) Wait(ctx context.Context, revision backend.Revision) error {
	return v.wait(ctx, revision, v.core.Load().epoch)
}

func (v *View) wait(ctx context.Context, revision backend.Revision, epoch backend.Epoch) error {
	if c := v.core.Load(); c.epoch == epoch && c.revision() >= revision {
		return nil
	}
	w := &revisionWait{revision: revision, done: make(chan error, 1)}
	v.waits.mu.Lock()
	c := v.core.Load() // whoever raises its revision or replaces it looks at waits afterwards
	switch {
	case v.waits.closed:
		v.waits.mu.Unlock()
		return backend.ErrClosed
	case c.epoch != epoch:
		v.waits.mu.Unlock()
		return elsewhere(epoch, c.epoch)
	case c.revision() >= revision:
		v.waits.mu.Unlock()
		return nil
	}
	heap.Push(&v.waits.byRev, w)
	v.waits.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	v.waits.mu.Lock()
	defer v.waits.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	default:
		heap.Remove(&v.waits.byRev, w.index)
		return unavailable(ctx, "wait for a revision")
	}
}

// AwaitKey returns nil as soon as there is a live registration at key: ErrTimeout when
// there is none until then, ErrUnavailable when ctx is done before.
func (v *View) AwaitKey(ctx context.Context, key backend.Key, until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for {
		w := &keyWait{done: make(chan struct{})}
		if !v.waits.addKey(key, w) {
			return backend.ErrClosed
		}
		if r, _ := v.Lookup(key); r != nil { // the feeder stores first and then looks who waits
			v.waits.removeKey(key, w)
			return nil
		}
		select {
		case <-w.done:
			continue
		case <-timer.C:
			v.waits.removeKey(key, w)
			return fmt.Errorf("wait for %s: %w", key, backend.ErrTimeout)
		case <-ctx.Done():
			v.waits.removeKey(key, w)
			return unavailable(ctx, "wait for "+key.String())
		}
	}
}

func (w *waits) addKey(key backend.Key, k *keyWait) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.keys[key] = append(w.keys[key], k)
	w.waiting.Add(1)
	return true
}

func (w *waits) removeKey(key backend.Key, k *keyWait) {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := w.keys[key]
	i := slices.Index(held, k)
	if i < 0 {
		return
	}
	w.waiting.Add(-1)
	if len(held) == 1 {
		delete(w.keys, key)
		return
	}
	w.keys[key] = slices.Delete(held, i, i+1)
}

// told wakes those who wait for what n shows.
func (w *waits) told(n *version) {
	if w.waiting.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !n.gone {
		w.wake(n.Key)
	}
	for _, scope := range scopesOf(&n.Registration) {
		w.wakeScope(scope, n.shown)
	}
}

func (w *waits) wake(key backend.Key) {
	held := w.keys[key]
	delete(w.keys, key)
	w.waiting.Add(-int64(len(held)))
	for _, k := range held {
		close(k.done)
	}
}

// reached wakes those who wait for a revision not above the given one.
func (w *waits) reached(revision backend.Revision) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.byRev) > 0 && w.byRev[0].revision <= revision {
		heap.Pop(&w.byRev).(*revisionWait).done <- nil
	}
}

// restart ends the waits for revisions with err, unless it is nil, and lets those who
// wait for a key or for a change look again.
func (w *waits) restart(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for err != nil && len(w.byRev) > 0 {
		heap.Pop(&w.byRev).(*revisionWait).done <- err
	}
	for key := range w.keys {
		w.wake(key)
	}
	for scope := range w.scopes {
		w.wakeScope(scope, 0)
	}
}

func (w *waits) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.restart(backend.ErrClosed)
}

// revisionHeap has the lowest revision on top.
type revisionHeap []*revisionWait

func (h revisionHeap) Len() int           { return len(h) }
func (h revisionHeap) Less(i, j int) bool { return h[i].revision < h[j].revision }
func (h revisionHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *revisionHeap) Push(x any) {
	w := x.(*revisionWait)
	w.index = len(*h)
	*h = append(*h, w)
}

// Pop implements heap.Interface.
func (h *revisionHeap) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return w
}
