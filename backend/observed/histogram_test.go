package observed

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestEveryDurationLiesInItsBucket(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := uint64(rapid.Int64Range(0, math.MaxInt64).Draw(t, "n"))
		i := bucket(n)
		if i < 0 || i >= buckets {
			t.Fatalf("bucket(%d) = %d, of %d", n, i, buckets)
		}
		if n > limit(i) || i > 0 && n <= limit(i-1) {
			t.Fatalf("%d is in bucket %d, which ends at %d and begins behind %d", n, i, limit(i), limit(max(i-1, 0)))
		}
		if over := limit(i) - n; over > n/16 {
			t.Fatalf("%d is counted as up to %d", n, limit(i))
		}
	})
}

func TestQuantilesAreAtMostASixteenthAboveTheTrueOnes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)), 1, 200).Draw(t, "all")
		var h histogram
		for _, n := range all {
			h.add(time.Duration(n))
		}
		slices.Sort(all)
		s := h.sum()
		for _, q := range []float64{0.5, 0.99} {
			rank := max(int(q*float64(len(all))+0.5), 1)
			want := time.Duration(all[rank-1])
			if got := s.quantile(q); got < want || got > want+want/16 {
				t.Fatalf("quantile(%v) = %v; want %v", q, got, want)
			}
		}
		if s.max != time.Duration(all[len(all)-1]) {
			t.Fatalf("max = %v; want %v", s.max, time.Duration(all[len(all)-1]))
		}
	})
}
