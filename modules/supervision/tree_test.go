package supervision_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/modules/supervision"
)

var silent = slog.New(slog.DiscardHandler)

func untilStopped(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// start returns a running tree of services and what it gave up with.
func start(t *testing.T, services ...supervision.Service) (tree *supervision.Tree, gaveUp chan error) {
	t.Helper()
	gaveUp = make(chan error, 2)
	tree = supervision.NewTree(silent, func(err error) { gaveUp <- err })
	if err := tree.Start(t.Context(), services); err != nil {
		t.Fatal(err)
	}
	return tree, gaveUp
}

func stop(t *testing.T, tree *supervision.Tree) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := tree.Stop(ctx); err != nil {
		t.Errorf("Stop() = %v", err)
	}
}

func TestAFailedServiceIsStartedAgainAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		tree, _ := start(t, supervision.Service{Name: "flaky", Stage: supervision.Core, Run: func(ctx context.Context) error {
			if runs.Add(1) < 4 {
				return errors.New("no luck")
			}
			return untilStopped(ctx)
		}})
		time.Sleep(10 * time.Second)
		want := []bus.Task{{Name: "flaky", State: "running", Restarts: 3, Error: "no luck"}}
		if diff := cmp.Diff(want, tree.Tasks()); diff != "" {
			t.Errorf("Tasks() differ (-want +got):\n%s", diff)
		}
		stop(t, tree)
		if got := tree.Tasks()[0].State; got != "stopped" {
			t.Errorf("state after Stop = %q; want stopped", got)
		}
	})
}

func TestThePauseBetweenRestartsGrowsToItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		begin := time.Now()
		tree, gaveUp := start(t, supervision.Service{Name: "dead", Stage: supervision.Core, Run: func(context.Context) error {
			at = append(at, time.Since(begin))
			return errors.New("no luck")
		}})
		<-gaveUp
		var pauses []time.Duration
		for i := 1; i < len(at); i++ {
			pauses = append(pauses, at[i]-at[i-1])
		}
		const ms = time.Millisecond
		want := []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms}
		if diff := cmp.Diff(want, pauses); diff != "" {
			t.Errorf("pauses differ (-want +got):\n%s", diff)
		}
		stop(t, tree)
	})
}

func TestTheTenthFailureInAMinuteGivesUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("no luck")
		tree, gaveUp := start(t,
			supervision.Service{Name: "dead", Stage: supervision.Core, Run: func(context.Context) error { return cause }},
			supervision.Service{Name: "dead too", Stage: supervision.Front, Run: func(context.Context) error { return cause }},
		)
		time.Sleep(time.Minute)
		if err := <-gaveUp; !errors.Is(err, cause) {
			t.Errorf("gave up with %v; want %v inside", err, cause)
		}
		select {
		case err := <-gaveUp:
			t.Errorf("gave up again with %v", err)
		default:
		}
		stop(t, tree)
	})
}

func TestFailuresOlderThanAMinuteDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, gaveUp := start(t, supervision.Service{Name: "rare", Stage: supervision.Core, Run: func(ctx context.Context) error {
			select {
			case <-time.After(7 * time.Second): // nine failures in a minute
				return errors.New("again")
			case <-ctx.Done():
				return nil
			}
		}})
		time.Sleep(time.Hour)
		select {
		case err := <-gaveUp:
			t.Errorf("gave up with %v", err)
		default:
		}
		stop(t, tree)
	})
}

func TestAPanicIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		tree, _ := start(t, supervision.Service{Name: "wild", Stage: supervision.Core, Run: func(ctx context.Context) error {
			if runs.Add(1) == 1 {
				panic("out of range")
			}
			return untilStopped(ctx)
		}})
		time.Sleep(time.Second)
		want := []bus.Task{{Name: "wild", State: "running", Restarts: 1, Error: "panic: out of range"}}
		if diff := cmp.Diff(want, tree.Tasks()); diff != "" {
			t.Errorf("Tasks() differ (-want +got):\n%s", diff)
		}
		stop(t, tree)
	})
}

func TestReturningWithoutAnErrorIsAFailureToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, gaveUp := start(t, supervision.Service{Name: "brief", Stage: supervision.Core, Run: func(context.Context) error { return nil }})
		if err := <-gaveUp; err == nil {
			t.Error("gave up without a cause")
		}
		stop(t, tree)
	})
}

func TestTheFrontHasStoppedBeforeTheCoreIsToldTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var frontStopped, early atomic.Bool
		tree, _ := start(t,
			supervision.Service{Name: "core", Stage: supervision.Core, Run: func(ctx context.Context) error {
				<-ctx.Done()
				early.Store(!frontStopped.Load())
				return nil
			}},
			supervision.Service{Name: "front", Stage: supervision.Front, Run: func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(2 * time.Second) // a request in hand
				frontStopped.Store(true)
				return nil
			}},
		)
		synctest.Wait()
		stop(t, tree)
		if early.Load() {
			t.Error("the core was told to stop while the front was still at work")
		}
	})
}

func TestTheServicesContextOutlivesTheOneGivenToStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := supervision.NewTree(silent, func(error) {})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		err := tree.Start(ctx, []supervision.Service{{Name: "long", Stage: supervision.Core, Run: func(ctx context.Context) error {
			defer close(ended)
			return untilStopped(ctx)
		}}})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("the service ended with the start's context")
		default:
		}
		stop(t, tree)
	})
}

func TestStopIsBoundedByItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		tree, _ := start(t, supervision.Service{Name: "deaf", Stage: supervision.Front, Run: func(context.Context) error {
			<-release
			return nil
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		if err := tree.Stop(ctx); err == nil {
			t.Error("Stop() = nil although a service did not stop")
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("Stop took %v; want about 3s", took)
		}
		close(release)
	})
}

func TestAStageStartsWhenTheOneBelowIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ready, early atomic.Bool
		tree, _ := start(t,
			supervision.Service{Name: "front", Stage: supervision.Front, Run: func(ctx context.Context) error {
				early.Store(!ready.Load())
				return untilStopped(ctx)
			}},
			supervision.Service{Name: "nothing to run", Stage: supervision.Core, Ready: func(context.Context) error {
				time.Sleep(time.Second)
				ready.Store(true)
				return nil
			}},
		)
		synctest.Wait()
		if early.Load() {
			t.Error("the front started before the core was ready")
		}
		if got := len(tree.Tasks()); got != 1 {
			t.Errorf("Tasks() has %d entries; want only the one that runs", got)
		}
		stop(t, tree)
	})
}

func TestAStartThatIsNotReadyInTimeNamesWhoIsNotAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := supervision.NewTree(silent, func(error) {})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := tree.Start(ctx, []supervision.Service{
			{Name: "slow", Stage: supervision.Core, Run: untilStopped, Ready: untilStoppedWithError},
			{Name: "front", Stage: supervision.Front, Run: untilStopped},
		})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "slow") {
			t.Errorf("Start() = %v; want the deadline and the name", err)
		}
		stop(t, tree)
	})
}

func TestAStartEndsWhenTheTreeGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("no luck")
		tree := supervision.NewTree(silent, func(error) {})
		err := tree.Start(t.Context(), []supervision.Service{{
			Name: "dead", Stage: supervision.Core, Ready: untilStoppedWithError,
			Run: func(context.Context) error { return cause },
		}})
		if !errors.Is(err, cause) {
			t.Errorf("Start() = %v; want %v inside", err, cause)
		}
		stop(t, tree)
	})
}

func untilStoppedWithError(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAServiceWithoutAStageIsRefused(t *testing.T) {
	t.Parallel()
	tree := supervision.NewTree(silent, func(error) {})
	if err := tree.Start(t.Context(), []supervision.Service{{Name: "lost", Run: untilStopped}}); err == nil {
		t.Error("Start() = nil; want an error")
	}
}
