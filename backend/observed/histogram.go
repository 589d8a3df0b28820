package observed

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Durations are counted in buckets that grow with them: sixteen to each power of two of
// nanoseconds, so that a bucket is never wider than a sixteenth of what is in it.
const (
	fine    = 4 // 2^fine buckets to a power of two
	buckets = (64 - fine) << fine
)

type histogram struct {
	counts [buckets]atomic.Uint64
	max    atomic.Int64
}

// bucket returns the bucket of n nanoseconds.
func bucket(n uint64) int {
	if n < 1<<fine {
		return int(n)
	}
	shift := bits.Len64(n) - fine - 1
	return (shift+1)<<fine + int(n>>shift) - 1<<fine
}

// limit returns the greatest number of nanoseconds in bucket i.
func limit(i int) uint64 {
	if i < 1<<fine {
		return uint64(i)
	}
	shift := i>>fine - 1
	return (uint64(i&(1<<fine-1)+1<<fine)+1)<<shift - 1
}

func (h *histogram) add(d time.Duration) {
	n := max(d, 0)
	h.counts[bucket(uint64(n))].Add(1)
	for {
		old := h.max.Load()
		if int64(n) <= old || h.max.CompareAndSwap(old, int64(n)) {
			return
		}
	}
}

// sum is a histogram at one moment.
type sum struct {
	counts [buckets]uint64
	count  uint64
	max    time.Duration
}

func (h *histogram) sum() *sum {
	s := &sum{max: time.Duration(h.max.Load())}
	for i := range h.counts {
		s.counts[i] = h.counts[i].Load()
		s.count += s.counts[i]
	}
	return s
}

// quantile returns a duration that at least the share q of all is not longer than.
func (s *sum) quantile(q float64) time.Duration {
	want := uint64(q*float64(s.count) + 0.5)
	var seen uint64
	for i, n := range s.counts {
		if seen += n; seen >= max(want, 1) {
			return min(time.Duration(limit(i)), s.max)
		}
	}
	return s.max
}
