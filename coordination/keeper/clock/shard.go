package clock

import (
	"cmp"
	"container/heap"
	"hash/maphash"
	"sync"
	"time"
)

// shardCount spreads the leases over as many locks, so that a look at all of them keeps no
// keepalive waiting.
const shardCount = 64

// shard holds some of the leases. Of two locks, a shard's is taken before that of the
// connections, and never two shards'.
type shard struct {
	mu     sync.Mutex
	leases map[string]*entry // by owner
	heap   entryHeap
}

// entry is the clock of one lease. Its fields are guarded by its shard's lock. Instants are
// counted from the Clock's base.
type entry struct {
	owner      string
	ttl, grace time.Duration
	connection Connection

	heard   time.Duration // when a keepalive was last received
	due     time.Duration // when it ends unless something is heard
	suspect bool          // its connection was closed since
	closed  bool          // due is the end of its grace
	held    bool          // it has been held since

	under *undertaking // a grant or an ending that is under way; keepalives wait for it

	// The heap orders by at, which is not after due: a keepalive moves due and nothing else.
	at    time.Duration
	index int // in the heap; -1 outside it
}

// undertaking is a grant or an ending that is under way.
type undertaking struct {
	done chan struct{} // closed when it is over; the rest is read after it

	ended    bool // the lease has ended
	revision uint64
	err      error // why it is not known to have ended
}

// silent reports whether nothing was heard for half the TTL.
func (e *entry) silent(now time.Duration) bool { return now-e.heard >= e.ttl/2 }

// granted reports whether e is that of a lease, not only of a grant that is under way.
func (e *entry) granted() bool { return e.ttl != 0 }

func (s *session) shard(owner string) *shard {
	return &s.shards[maphash.String(s.seed, owner)%shardCount]
}

// push has e come up when it is due. It changes nothing if e is in the heap already and
// not due earlier than it is there.
func (sh *shard) push(e *entry) {
	switch {
	case e.index < 0:
		e.at = e.due
		heap.Push(&sh.heap, e)
	case e.due < e.at:
		e.at = e.due
		heap.Fix(&sh.heap, e.index)
	}
}

// drop takes e out of the heap.
func (sh *shard) drop(e *entry) {
	if e.index >= 0 {
		heap.Remove(&sh.heap, e.index)
	}
}

// ripen takes those out of the heap that are due at now and adds them to ripe. It returns
// when the next may be.
func (sh *shard) ripen(now time.Duration, ripe []*entry) ([]*entry, time.Duration) {
	for len(sh.heap) > 0 {
		e := sh.heap[0]
		switch {
		case e.at > now:
			return ripe, e.at
		case e.due > now:
			e.at = e.due
			heap.Fix(&sh.heap, 0)
		default:
			heap.Pop(&sh.heap)
			ripe = append(ripe, e)
		}
	}
	return ripe, never
}

const never = time.Duration(1<<63 - 1)

// entryHeap is a heap of entries by at.
type entryHeap []*entry

func (h entryHeap) Len() int           { return len(h) }
func (h entryHeap) Less(i, j int) bool { return cmp.Less(h[i].at, h[j].at) }
func (h entryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *entryHeap) Push(x any) {
	e := x.(*entry)
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *entryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.index = -1
	return e
}
