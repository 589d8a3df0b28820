package kvstore

import (
	"container/heap"
	"context"
	"fmt"
	"math"
	"time"
)

// wait is something that happens when the feed has passed a revision.
type wait struct {
	revision uint64
	done     chan struct{} // closed when it is over; nil for an own write
	err      error         // read it after done
	sent     time.Duration // when what is waited for was sent, since base; 0 if not by us
	index    int           // in the heap, -1 outside it
}

func (w *wait) finish(err error) {
	w.err = err
	if w.done != nil {
		close(w.done)
	}
}

// Wait returns when everything up to revision has been applied. ErrUnavailable when ctx
// is done, when Run ends, and when the store turns out to have been made anew, since
// revision means nothing there.
func (t *Tail) Wait(ctx context.Context, revision uint64) error {
	if revision <= t.revision.Load() && ctx.Err() == nil {
		return nil
	}
	w := &wait{revision: revision, done: make(chan struct{})}
	t.mu.Lock()
	switch {
	case t.started && !t.running:
		t.mu.Unlock()
		return fmt.Errorf("wait for revision %d: %w: the feed has ended", revision, ErrUnavailable)
	case t.otherLife():
		t.mu.Unlock()
		return fmt.Errorf("wait for revision %d: %w", revision, errOtherLife)
	}
	t.push(w)
	t.mu.Unlock()
	defer t.forget(w)
	return t.await(ctx, w, "wait for revision %d", revision)
}

func (t *Tail) await(ctx context.Context, w *wait, what string, args ...any) error {
	select {
	case <-w.done:
		if w.err == nil {
			return nil
		}
		return fmt.Errorf(what+": %w", append(args, w.err)...)
	case <-ctx.Done():
		return fmt.Errorf(what+": %w: %w", append(args, ErrUnavailable, context.Cause(ctx))...)
	}
}

// push adds w, or finishes it if the feed has passed it meanwhile. The feed first stores
// the revision and then looks who waits; push does it the other way round, so that one
// of them sees the other. While a snapshot comes in nothing is finished: what has been
// applied may be of another life than w.
func (t *Tail) push(w *wait) {
	heap.Push(&t.waits, w)
	t.waiting.Store(t.waits[0].revision)
	if t.next == "" {
		t.release(t.revision.Load())
	}
}

// advance says that every subscriber has applied everything up to revision.
func (t *Tail) advance(revision uint64) {
	t.revision.Store(revision)
	if revision >= t.waiting.Load() {
		t.mu.Lock()
		t.release(revision)
		t.mu.Unlock()
	}
}

func (t *Tail) release(revision uint64) {
	for len(t.waits) > 0 && t.waits[0].revision <= revision {
		t.over(heap.Pop(&t.waits).(*wait), nil)
	}
	t.lowest()
}

func (t *Tail) over(w *wait, err error) {
	if w.done == nil {
		t.candidate.Store(false)
	}
	if w.sent != 0 && err == nil {
		t.echoed(w.sent)
	}
	w.finish(err)
}

func (t *Tail) lowest() {
	if len(t.waits) == 0 {
		t.waiting.Store(math.MaxUint64)
		return
	}
	t.waiting.Store(t.waits[0].revision)
}

// forget takes w out, which nobody waits for any more.
func (t *Tail) forget(w *wait) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.index >= 0 && w.index < len(t.waits) && t.waits[w.index] == w {
		heap.Remove(&t.waits, w.index)
		t.lowest()
	}
}

func (t *Tail) failWaits(err error) {
	for _, w := range t.waits {
		w.index = -1
		t.over(w, err)
	}
	t.waits = nil
	t.lowest()
}

// failAll also fails the barriers that are not yet sent or wait for a snapshot.
func (t *Tail) failAll(err error) {
	t.failWaits(err)
	for _, w := range t.rebuilds {
		t.over(w, err)
	}
	t.rebuilds = nil
	if t.round != nil {
		t.over(t.round, err)
		t.round = nil
	}
}

// waitHeap orders by revision.
type waitHeap []*wait

func (h waitHeap) Len() int           { return len(h) }
func (h waitHeap) Less(i, j int) bool { return h[i].revision < h[j].revision }
func (h waitHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *waitHeap) Push(x any) {
	w := x.(*wait)
	w.index = len(*h)
	*h = append(*h, w)
}

func (h *waitHeap) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	w.index = -1
	return w
}
