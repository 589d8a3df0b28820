package bench_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/cmd/roost/bench"
)

func TestEachInFlightIsAWorkerThatGoesOnUntilTheTimeIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		side := bench.Side{Do: func(context.Context, int) (int, error) {
			time.Sleep(10 * time.Millisecond)
			return 2, nil
		}}
		s := bench.Drive(t.Context(), side, 3, 100*time.Millisecond)
		if s.Units() != 3*10*2 || s.Elapsed() != 100*time.Millisecond || s.P50() != 10*time.Millisecond {
			t.Errorf("%d units in %v, p50 %v; want 60 in 100ms, 10ms", s.Units(), s.Elapsed(), s.P50())
		}
	})
}

func TestWhatIsLeftInFlightIsWaitedForAndCountsInTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		side := bench.Side{
			Do: func(context.Context, int) (int, error) {
				time.Sleep(10 * time.Millisecond)
				return 0, nil
			},
			Finish: func(context.Context, int) (int, error) {
				time.Sleep(50 * time.Millisecond)
				return 7, nil
			},
		}
		s := bench.Drive(t.Context(), side, 1, 100*time.Millisecond)
		if s.Units() != 7 || s.Elapsed() != 150*time.Millisecond {
			t.Errorf("%d units in %v; want 7 in 150ms", s.Units(), s.Elapsed())
		}
	})
}

func TestFailuresAreCountedAndTheFirstIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		failure := errors.New("wrong answer")
		side := bench.Side{Do: func(context.Context, int) (int, error) {
			time.Sleep(10 * time.Millisecond)
			if calls.Add(1)%2 == 0 {
				return 0, failure
			}
			return 1, nil
		}}
		s := bench.Drive(t.Context(), side, 1, 100*time.Millisecond)
		if s.Units() != 5 || s.Failed() != 5 || !errors.Is(s.FirstError(), failure) {
			t.Errorf("%d units, %d failed with %v; want 5 and 5 with %v", s.Units(), s.Failed(), s.FirstError(), failure)
		}
	})
}

func TestLatenciesAreThoseThatATimedOperationHasSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		side := bench.Side{Timed: func(context.Context, int) (int, []time.Duration, error) {
			time.Sleep(10 * time.Millisecond)
			if calls.Add(1)%2 == 0 {
				return 0, []time.Duration{time.Nanosecond}, errors.New("too early")
			}
			return 1, []time.Duration{time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond}, nil
		}}
		s := bench.Drive(t.Context(), side, 1, 100*time.Millisecond)
		if s.Units() != 5 || s.Failed() != 5 || s.P50() != 2*time.Millisecond {
			t.Errorf("%d units, %d failed, p50 %v; want 5, 5 and 2ms", s.Units(), s.Failed(), s.P50())
		}
	})
}

func TestADriveEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 55*time.Millisecond)
		defer cancel()
		side := bench.Side{Do: func(context.Context, int) (int, error) {
			time.Sleep(10 * time.Millisecond)
			return 1, nil
		}}
		if s := bench.Drive(ctx, side, 1, time.Hour); s.Elapsed() != 60*time.Millisecond {
			t.Errorf("the drive took %v; want 60ms", s.Elapsed())
		}
	})
}

func TestEverySettingThatIsWrongIsReported(t *testing.T) {
	t.Parallel()
	c := bench.DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Fatalf("the defaults are refused: %v", err)
	}
	bad := bench.Config{Only: []string{"P1", "P0"}, BatchSize: 1001, Prefix: "a..b"}
	err := bad.Validate()
	if err == nil {
		t.Fatal("nothing is wrong with nothing")
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 15 {
		t.Errorf("Validate = %v; want fifteen problems", err)
	}
}
