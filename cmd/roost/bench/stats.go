package bench

import (
	"cmp"
	"slices"
	"time"
)

// median returns the middle of values, the mean of both where there are two, 0 for none.
func median[T cmp.Ordered](values []T, mean func(a, b T) T) T {
	var none T
	sorted := slices.Sorted(slices.Values(values))
	switch n := len(sorted); {
	case n == 0:
		return none
	case n%2 == 1:
		return sorted[n/2]
	default:
		return mean(sorted[n/2-1], sorted[n/2])
	}
}

func medianFloat(values []float64) float64 {
	return median(values, func(a, b float64) float64 { return (a + b) / 2 })
}

func medianDuration(values []time.Duration) time.Duration {
	return median(values, func(a, b time.Duration) time.Duration { return (a + b) / 2 })
}

// percentile returns the smallest of sorted that at least share of them do not exceed.
func percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(share * float64(len(sorted)))
	if float64(rank) < share*float64(len(sorted)) {
		rank++
	}
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// ratio is a / b, 0 where b is not positive.
func ratio(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return a / b
}
