package natskv

import (
	"container/heap"
	"fmt"
	"strings"
	"time"
)

// A census knows how many messages the bucket should hold, from what its feed showed, so
// that a purge is noticed: it makes no message.
//
// A write at expected revision 0 adds a message; any other keeps the number, and a marker
// that expires takes one away. Since states that were superseded are not shown, the
// number may turn out too low; then it is corrected. Only messages that are missing are
// of interest.
type census struct {
	messages int64
	unsure   int64               // messages that may have been counted without being new
	free     map[string]struct{} // keys written without an expected revision
	markers  map[uint64]struct{} // revisions of markers that will expire
	expiries expiryHeap          // of these, superseded ones included
	due      []expiry            // taken out of expiries: they expire about now
	added    []uint64            // revisions that added a message since begin or since poll
}

// expiry says when a marker is taken away.
type expiry struct {
	at       time.Time
	revision uint64
}

// The server takes a marker away some time after it has expired.
const (
	expiryLate  = 5 * time.Second
	expiryEarly = time.Second
)

func newCensus() *census {
	return &census{free: map[string]struct{}{}, markers: map[uint64]struct{}{}}
}

// count counts an entry. snapshot says that it is one of a snapshot's, of which every one
// is another key.
func (c *census) count(e *stored, snapshot bool) {
	switch {
	case !e.conditional:
		_, known := c.free[e.Key]
		c.free[e.Key] = struct{}{}
		if !snapshot && !known {
			// Only the keys of barriers are surely new.
			if !strings.HasPrefix(e.Key, probePrefix) {
				c.unsure++
			}
			c.add(e.Revision)
		}
	case !snapshot && e.expect == 0:
		c.add(e.Revision)
	}
	if snapshot {
		c.messages++
	}
	if e.expect != 0 && len(c.markers) > 0 {
		delete(c.markers, e.expect)
	}
	if !e.expires.IsZero() {
		c.markers[e.Revision] = struct{}{}
		heap.Push(&c.expiries, expiry{e.expires, e.Revision})
	}
}

func (c *census) add(revision uint64) {
	c.messages++
	c.added = append(c.added, revision)
}

// poll says that the number of messages is being asked for.
func (c *census) poll() { c.added = c.added[:0] }

// check compares with what the bucket held at its time now, when last was its newest
// revision, and says what is missing. The feed must have passed last.
func (c *census) check(messages, last uint64, now time.Time) error {
	expected := c.messages
	for _, revision := range c.added {
		if revision > last {
			expected--
		}
	}
	for len(c.expiries) > 0 && c.expiries[0].at.Before(now.Add(expiryEarly)) {
		c.due = append(c.due, heap.Pop(&c.expiries).(expiry))
	}
	for len(c.due) > 0 && c.due[0].at.Before(now.Add(-expiryLate)) {
		if _, ok := c.markers[c.due[0].revision]; ok {
			delete(c.markers, c.due[0].revision)
			c.messages--
			expected--
		}
		c.due = c.due[1:]
	}
	var maybe int64
	for _, d := range c.due {
		if _, ok := c.markers[d.revision]; ok {
			maybe++
		}
	}
	is := int64(messages) //nolint:gosec // far below
	if missing := expected - maybe - c.unsure - is; missing > 0 {
		return fmt.Errorf("%d messages are missing from the bucket, as after a purge", missing)
	}
	if is > expected {
		c.messages += is - expected
	}
	return nil
}

// expiryHeap orders by time.
type expiryHeap []expiry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h expiryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *expiryHeap) Push(x any)        { *h = append(*h, x.(expiry)) }

func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	*h = (*h)[:last]
	return e
}
