package server

import (
	"context"
	"sync"
	"sync/atomic"
)

// hands carry out requests, each on a goroutine of its own, so many at once and no more.
// Requests that wait are counted apart, so that they keep nobody out.
// A goroutine that has finished waits for the next request, because starting one and
// growing its stack costs more than waking one.
type hands[R any] struct {
	limit, maxWaiting int64
	// work carries out a request and reports whether it was told to wait.
	work func(*R) (waited bool)
	next chan *R
	idle atomic.Int64 // goroutines that wait on next

	mu       sync.RWMutex // held for reading while a request is taken on
	closed   bool
	inFlight atomic.Int64 // but for those that wait
	waiting  atomic.Int64
	all      sync.WaitGroup // goroutines
}

// maxIdle is how many goroutines wait for work at most.
const maxIdle = 128

func newHands[R any](limit, maxWaiting int, work func(*R) bool) *hands[R] {
	return &hands[R]{limit: int64(limit), maxWaiting: int64(maxWaiting), work: work, next: make(chan *R)}
}

// wait counts a request in hand among those that wait from now on, unless there are too
// many.
func (h *hands[R]) wait() bool {
	if h.waiting.Add(1) > h.maxWaiting {
		h.waiting.Add(-1)
		return false
	}
	h.inFlight.Add(-1)
	return true
}

// The outcomes of take.
type taken uint8

const (
	accepted taken = iota + 1
	full           // the limit is used up
	closing        // no more requests are taken on
)

// take has r carried out and returns at once. Requests of the privileged kind are not
// counted against the limit, but may use it up once more.
func (h *hands[R]) take(r *R, privileged bool) taken {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.closed {
		return closing
	}
	limit := h.limit
	if privileged {
		limit *= 2
	}
	if h.inFlight.Add(1) > limit {
		h.inFlight.Add(-1)
		return full
	}
	select {
	case h.next <- r:
	default:
		h.all.Add(1)
		go h.hand(r)
	}
	return accepted
}

// hand carries out r and what comes after it, until next is closed or enough others wait.
func (h *hands[R]) hand(r *R) {
	defer h.all.Done()
	for r != nil {
		if h.work(r) {
			h.waiting.Add(-1)
		} else {
			h.inFlight.Add(-1)
		}
		if h.idle.Add(1) > maxIdle {
			h.idle.Add(-1)
			return
		}
		r = <-h.next
		h.idle.Add(-1)
	}
}

// close ends the taking on of requests and waits until those in hand are finished or ctx
// is done, which it reports.
func (h *hands[R]) close(ctx context.Context) (finished bool) {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.next)
	}
	h.mu.Unlock()
	done := make(chan struct{})
	go func() {
		h.all.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}
