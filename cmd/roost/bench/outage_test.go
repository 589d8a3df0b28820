package bench_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/cmd/roost/bench"
)

func TestAnOutageLastsUntilTheFirstAnswerToWhatWasAskedAfterwards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		down := begun.Add(time.Second)
		request := func(context.Context) error {
			if since := time.Since(down); since >= 0 && since < 2*time.Second {
				return errors.New("away")
			}
			time.Sleep(300 * time.Millisecond) // the one under way when it goes down does not count
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var s bench.Streak
		ended := make(chan struct{})
		go func() {
			s.Keep(ctx, request)
			close(ended)
		}()
		took, err := s.Await(ctx, down)
		if err != nil || took < 2300*time.Millisecond || took > 2310*time.Millisecond {
			t.Errorf("it took %v, %v; want what it was away, and an answer", took, err)
		}
		if n, err := s.Failures(); n == 0 || err == nil {
			t.Errorf("%d requests failed, %v; want those meanwhile", n, err)
		}
		if p99 := s.P99(begun, down); p99 != 300*time.Millisecond {
			t.Errorf("p99 before = %v; want 300ms", p99)
		}
		if slowest := s.Slowest(begun); slowest != 300*time.Millisecond {
			t.Errorf("slowest = %v; want 300ms", slowest)
		}
		<-ended
	})
}

func TestAnOutageThatDoesNotEndIsNoFigure(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var s bench.Streak
	if _, err := s.Await(ctx, time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("Await = %v; want that it was called off", err)
	}
}

func TestACellThatCannotBeMeasuredDoesNotTakeTheOthersWithIt(t *testing.T) {
	t.Parallel()
	var r bench.Report
	r.Note([]string{"P5", "P11"}, []string{"P5"}, errors.New("too slow"))
	if len(r.Cells) != 2 || r.Cells[0].Problem != "" || r.Cells[1].Problem != "too slow" {
		t.Errorf("cells = %+v; want P5, and P11 with its problem", r.Cells)
	}
	if err := r.Failure(); err == nil || err.Error() != "P11: too slow" {
		t.Errorf("Failure = %v; want that of P11", err)
	}
	var ended bench.Report
	ended.Note([]string{"P5"}, []string{"P5"}, errors.New("it did not stop"))
	if len(ended.Cells) != 1 || ended.Cells[0].Problem == "" {
		t.Errorf("cells = %+v; want P5 with what happened after it", ended.Cells)
	}
}
