package supervision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/thejerf/suture/v4"

	"github.com/roostbus/roost/bus"
)

// The limits of restarting.
const (
	maxFailures   = 10
	failureWindow = time.Minute
	minPause      = 50 * time.Millisecond
	maxPause      = 5 * time.Second
)

// The states of a task, as the health reply shows them.
const (
	stateRunning    = "running"
	stateRestarting = "restarting"
	stateStopped    = "stopped"
)

var errReturned = errors.New("returned although nobody asked it to stop")

// task is a Service in the tree. Serve is called by suture, again after each failure.
type task struct {
	service Service
	log     *slog.Logger
	gaveUp  func(error)   // called with the last failure
	stopped chan struct{} // closed when the service has stopped for good

	mu       sync.Mutex
	state    string
	failures []time.Time // those within failureWindow
	restarts int
	last     error
}

var _ suture.Service = (*task)(nil)

func newTask(s Service, log *slog.Logger, gaveUp func(error)) *task {
	return &task{service: s, log: log, gaveUp: gaveUp, stopped: make(chan struct{}), state: stateRunning}
}

// String is how suture names the service.
func (t *task) String() string { return t.service.Name }

// Serve runs the service once and pauses after a failure, so that suture's restart comes
// when it should.
func (t *task) Serve(ctx context.Context) error {
	t.set(stateRunning)
	err := t.run(ctx)
	if ctx.Err() != nil {
		return t.end()
	}
	pause, again := t.failed(err)
	if !again {
		t.log.LogAttrs(ctx, slog.LevelError, "task keeps failing", slog.String("task", t.service.Name), slog.Any("err", err))
		close(t.stopped)
		t.gaveUp(fmt.Errorf("%s failed %d times within %v: %w", t.service.Name, maxFailures, failureWindow, err))
		return suture.ErrTerminateSupervisorTree
	}
	t.log.LogAttrs(ctx, slog.LevelWarn, "task failed", slog.String("task", t.service.Name),
		slog.Any("err", err), slog.Duration("restart_in", pause))
	select {
	case <-time.After(pause):
		return err
	case <-ctx.Done():
		return t.end()
	}
}

func (t *task) end() error {
	t.set(stateStopped)
	close(t.stopped)
	return suture.ErrDoNotRestart
}

func (t *task) run(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			t.log.LogAttrs(ctx, slog.LevelError, "task panicked", slog.String("task", t.service.Name),
				slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	if err = t.service.Run(ctx); err == nil {
		err = errReturned
	}
	return err
}

// failed counts a failure and says how long to pause before the restart, or that there is
// to be none.
func (t *task) failed(err error) (pause time.Duration, again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for len(t.failures) > 0 && now.Sub(t.failures[0]) >= failureWindow {
		t.failures = t.failures[1:]
	}
	t.failures = append(t.failures, now)
	t.last = err
	if len(t.failures) >= maxFailures {
		t.state = stateStopped
		return 0, false
	}
	t.state = stateRestarting
	t.restarts++
	return min(minPause<<(len(t.failures)-1), maxPause), true
}

func (t *task) set(state string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = state
}

func (t *task) report() bus.Task {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := bus.Task{Name: t.service.Name, State: t.state, Restarts: t.restarts}
	if t.last != nil {
		r.Error = t.last.Error()
	}
	return r
}
