package kvstoretest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/kvstore"
)

// RunCounters checks the contract of counters against fresh ones made by open, to which
// nothing was added. open registers its own clean-up on t.
func RunCounters(t *testing.T, open func(t *testing.T) kvstore.Counters) {
	t.Helper()
	for _, c := range []struct {
		name  string
		check func(t *testing.T, c kvstore.Counters)
	}{
		{"ACounterThatNothingWasAddedToIsZero", untouched},
		{"AddReturnsTheSumAndValueTheSame", sums},
		{"ASumMayBeOfAnySize", anySize},
		{"ARepeatedOperationAddsNothingAndSaysWhatItCameTo", repeatedAddition},
		{"AnOperationIsOneOfItsKey", operationOfKey},
		{"OfFiftyConcurrentRepeatsOneAdds", oneAdds},
		{"NoneOfManyConcurrentAdditionsIsLostAndEachSumIsItsOwn", noneLost},
		{"KeysAreThoseUnderAPrefixInOrder", keysInOrder},
		{"AMalformedCounterIsErrInvalid", malformedCounter},
		{"ACancelledAdditionIsErrUnavailable", cancelledAddition},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t, open(t))
		})
	}
}

func add(t *testing.T, c kvstore.Counters, key string, delta int64, operation string) kvstore.Sum {
	t.Helper()
	sum, err := c.Add(t.Context(), key, delta, operation)
	if err != nil {
		t.Fatalf("Add(%s, %d, %q) = %v", key, delta, operation, err)
	}
	return sum
}

func wantSum(t *testing.T, got kvstore.Sum, value string, repeated bool) {
	t.Helper()
	if want := (kvstore.Sum{Value: value, Repeated: repeated}); got != want {
		t.Errorf("Add() = %+v; want %+v", got, want)
	}
}

func wantValue(t *testing.T, c kvstore.Counters, key, want string) {
	t.Helper()
	if got, err := c.Value(t.Context(), key); got != want || err != nil {
		t.Errorf("Value(%s) = %q, %v; want %q", key, got, err, want)
	}
}

func untouched(t *testing.T, c kvstore.Counters) {
	wantValue(t, c, "n.c", "0")
	if keys, err := c.Keys(t.Context(), ""); len(keys) != 0 || err != nil {
		t.Errorf("Keys() = %q, %v; want none", keys, err)
	}
}

func sums(t *testing.T, c kvstore.Counters) {
	wantSum(t, add(t, c, "n.c", 40, ""), "40", false)
	wantSum(t, add(t, c, "n.c", 2, ""), "42", false)
	wantSum(t, add(t, c, "n.c", -50, ""), "-8", false)
	wantSum(t, add(t, c, "n.c", 0, ""), "-8", false)
	wantSum(t, add(t, c, "n.d", 1, ""), "1", false)
	wantValue(t, c, "n.c", "-8")
	wantValue(t, c, "n.d", "1")
}

func anySize(t *testing.T, c kvstore.Counters) {
	wantSum(t, add(t, c, "n.c", math.MaxInt64, ""), "9223372036854775807", false)
	wantSum(t, add(t, c, "n.c", math.MaxInt64, ""), "18446744073709551614", false)
	wantValue(t, c, "n.c", "18446744073709551614")
	wantSum(t, add(t, c, "n.d", math.MinInt64, ""), "-9223372036854775808", false)
	wantSum(t, add(t, c, "n.d", math.MinInt64, ""), "-18446744073709551616", false)
}

func repeatedAddition(t *testing.T, c kvstore.Counters) {
	wantSum(t, add(t, c, "n.c", 5, "one"), "5", false)
	wantSum(t, add(t, c, "n.c", 5, "one"), "5", true)
	wantSum(t, add(t, c, "n.c", 2, "two"), "7", false)
	wantSum(t, add(t, c, "n.c", 5, "one"), "5", true)
	wantValue(t, c, "n.c", "7")
}

func operationOfKey(t *testing.T, c kvstore.Counters) {
	wantSum(t, add(t, c, "n.c", 5, "one"), "5", false)
	wantSum(t, add(t, c, "n.d", 5, "one"), "5", false)
	wantSum(t, add(t, c, "n.d", 5, "one"), "5", true)
}

func oneAdds(t *testing.T, c kvstore.Counters) {
	fresh := 0
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			sum, err := c.Add(t.Context(), "n.c", 3, "one")
			if err != nil || sum.Value != "3" {
				t.Errorf("Add() = %+v, %v; want 3", sum, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !sum.Repeated {
				fresh++
			}
		})
	}
	all.Wait()
	if fresh > 1 {
		t.Errorf("%d of 50 say that they were the first", fresh)
	}
	wantValue(t, c, "n.c", "3")
}

func noneLost(t *testing.T, c kvstore.Counters) {
	const clients, each = 20, 20
	seen := map[string]bool{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				sum, err := c.Add(t.Context(), "n.c", 1, "")
				if err != nil {
					t.Errorf("Add() = %v", err)
					return
				}
				mu.Lock()
				if seen[sum.Value] {
					t.Errorf("two additions came to %s", sum.Value)
				}
				seen[sum.Value] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	wantValue(t, c, "n.c", fmt.Sprint(clients*each))
}

func keysInOrder(t *testing.T, c kvstore.Counters) {
	for _, key := range []string{"b.y", "a.x", "b=2Ec.z", "b.x", "bb.x"} {
		add(t, c, key, 1, "")
		add(t, c, key, -1, "")
	}
	for prefix, want := range map[string][]string{
		"":    {"a.x", "b.x", "b.y", "b=2Ec.z", "bb.x"},
		"b":   {"b.x", "b.y"},
		"a":   {"a.x"},
		"c":   nil,
		"b.y": nil,
	} {
		got, err := c.Keys(t.Context(), prefix)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Keys(%q) (-want +got):\n%s", prefix, diff)
		}
	}
}

func malformedCounter(t *testing.T, c kvstore.Counters) {
	for _, key := range []string{"", ".", "a.", "a..b", "a.*", "a.>", "a b", "a.b\n"} {
		if _, err := c.Add(t.Context(), key, 1, ""); !errors.Is(err, kvstore.ErrInvalid) {
			t.Errorf("Add(%q) = %v; want ErrInvalid", key, err)
		}
		if _, err := c.Value(t.Context(), key); !errors.Is(err, kvstore.ErrInvalid) {
			t.Errorf("Value(%q) = %v; want ErrInvalid", key, err)
		}
		if _, err := c.Keys(t.Context(), key); !errors.Is(err, kvstore.ErrInvalid) && key != "" {
			t.Errorf("Keys(%q) = %v; want ErrInvalid", key, err)
		}
	}
	if _, err := c.Add(t.Context(), "a.b", 1, strings.Repeat("x", 8)+"\r\n"); !errors.Is(err, kvstore.ErrInvalid) {
		t.Errorf("Add() with an operation of two lines = %v; want ErrInvalid", err)
	}
}

func cancelledAddition(t *testing.T, c kvstore.Counters) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Add(ctx, "n.c", 1, ""); !errors.Is(err, kvstore.ErrUnavailable) {
		t.Errorf("Add() = %v; want ErrUnavailable", err)
	}
	if _, err := c.Value(ctx, "n.c"); !errors.Is(err, kvstore.ErrUnavailable) {
		t.Errorf("Value() = %v; want ErrUnavailable", err)
	}
	if _, err := c.Keys(ctx, ""); !errors.Is(err, kvstore.ErrUnavailable) {
		t.Errorf("Keys() = %v; want ErrUnavailable", err)
	}
	wantValue(t, c, "n.c", "0")
}
