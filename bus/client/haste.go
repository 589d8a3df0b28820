package client

import (
	"sync"
	"time"
)

// soonestTry is how long a look-up waits at least before it is sent again.
const soonestTry = 60 * time.Millisecond

// haste knows how long look-ups have taken lately, and so how soon one may be taken for
// lost. NATS gives requests to any node, and what it gave to one that died is answered by
// nobody; but to ask one again that is only slow would make an overload worse. So it counts
// in deviations, as TCP does, and whatever is not answered in time counts as slow.
type haste struct {
	mu         sync.Mutex
	told       bool
	mean, away time.Duration // how far they are from it
}

// took takes note of one that was answered, or given up, after d.
func (h *haste) took(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.told {
		h.told, h.mean, h.away = true, d, d/2
		return
	}
	h.away += ((h.mean - d).Abs() - h.away) / 4
	h.mean += (d - h.mean) / 8
}

// first returns how long the first sending of one waits for its reply.
func (h *haste) first() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.told {
		return firstReadTry
	}
	return min(max(h.mean+8*h.away, soonestTry), firstReadTry)
}
