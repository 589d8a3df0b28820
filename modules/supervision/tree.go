package supervision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/roostbus/roost/bus"
	"github.com/thejerf/suture/v4"
)

// Tree runs services. It is the one place where the process's own context begins.
type Tree struct {
	log    *slog.Logger
	gaveUp func(error)
	given  chan struct{} // closed when the tree has given up, after cause was set
	cause  error

	mu     sync.Mutex
	tasks  []*task
	root   *suture.Supervisor
	tokens map[Stage]suture.ServiceToken
	cancel context.CancelFunc
	ended  chan struct{} // closed when the whole tree has stopped
}

// NewTree returns a Tree that is not yet running. gaveUp is called once, when restarting a
// service does not help; the whole tree has then stopped or is about to.
func NewTree(log *slog.Logger, gaveUp func(error)) *Tree {
	t := &Tree{log: log, tokens: make(map[Stage]suture.ServiceToken), given: make(chan struct{})}
	var once sync.Once
	t.gaveUp = func(err error) {
		once.Do(func() {
			t.cause = err
			close(t.given)
			gaveUp(err)
		})
	}
	return t
}

// Start starts services. The context that they get is not ctx but the tree's own, which
// Stop ends.
func (t *Tree) Start(ctx context.Context, services []Service) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cancel != nil {
		return errors.New("supervision: the tree was started before")
	}
	t.root = t.supervisor("roost")
	for _, stage := range stages {
		child := t.supervisor(stage.String())
		t.tokens[stage] = t.root.Add(child)
		for _, s := range services {
			if s.Stage != stage {
				continue
			}
			task := newTask(s, t.log, t.gaveUp)
			t.tasks = append(t.tasks, task)
			child.Add(task)
		}
	}
	if len(t.tasks) != len(services) {
		return fmt.Errorf("supervision: %d of %d services have no stage", len(services)-len(t.tasks), len(services))
	}
	slices.SortFunc(t.tasks, func(a, b *task) int { return cmp.Compare(a.service.Name, b.service.Name) })
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.cancel = cancel
	result := t.root.ServeBackground(own)
	t.ended = make(chan struct{})
	go func() {
		defer close(t.ended)
		<-result
	}()
	return nil
}

// supervisor returns a node of the tree that restarts at once and for ever: pausing and
// giving up are the task's.
func (t *Tree) supervisor(name string) *suture.Supervisor {
	return suture.New(name, suture.Spec{
		EventHook:         t.observe,
		FailureThreshold:  math.MaxFloat64,
		Timeout:           time.Hour, // Stop's context bounds it
		PassThroughPanics: true,      // a task recovers its own; any other is a bug here
	})
}

func (t *Tree) observe(e suture.Event) {
	t.log.LogAttrs(context.Background(), slog.LevelDebug, "supervisor event", slog.String("event", e.String()))
}

// Ready returns when every service is ready, or ctx is done, or the tree has given up.
func (t *Tree) Ready(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-t.given:
			cancel(t.cause)
		case <-ctx.Done():
		}
	}()
	defer func() { cancel(nil); <-watched }()
	t.mu.Lock()
	tasks := t.tasks
	t.mu.Unlock()
	for _, task := range tasks {
		if task.service.Ready == nil {
			continue
		}
		if err := task.service.Ready(ctx); err != nil {
			if last := task.report().Error; last != "" {
				return fmt.Errorf("%s is not ready: %w; it last failed with: %s", task.service.Name, cmp.Or(context.Cause(ctx), err), last)
			}
			return fmt.Errorf("%s is not ready: %w", task.service.Name, cmp.Or(context.Cause(ctx), err))
		}
	}
	return nil
}

// Stop stops the services, stage by stage, and waits for each until ctx is done.
func (t *Tree) Stop(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cancel == nil {
		return nil
	}
	defer t.cancel()
	for _, stage := range stages {
		// RemoveAndWait would leave a goroutine behind when the wait is cut short.
		if err := t.root.Remove(t.tokens[stage]); err != nil && !errors.Is(err, suture.ErrSupervisorNotRunning) {
			return fmt.Errorf("stop the %s tasks: %w", stage, err)
		}
		if err := t.await(ctx, stage); err != nil {
			return err
		}
	}
	t.cancel()
	select {
	case <-t.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// await returns when the tasks of stage have stopped, or ctx is done.
func (t *Tree) await(ctx context.Context, stage Stage) error {
	for _, task := range t.tasks {
		if task.service.Stage != stage {
			continue
		}
		select {
		case <-task.stopped:
		case <-t.ended:
		case <-ctx.Done():
			return fmt.Errorf("stop %s: %w", task.service.Name, ctx.Err())
		}
	}
	return nil
}

// Tasks says how every service is, in the order of their names.
func (t *Tree) Tasks() []bus.Task {
	t.mu.Lock()
	tasks := t.tasks
	t.mu.Unlock()
	reports := make([]bus.Task, len(tasks))
	for i, task := range tasks {
		reports[i] = task.report()
	}
	return reports
}
