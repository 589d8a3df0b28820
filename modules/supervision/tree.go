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

	"github.com/thejerf/suture/v4"

	"github.com/roostbus/roost/bus"
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

// Start starts services, those of the last stage to stop first, and waits for each stage
// to be ready before it starts the next. It fails when ctx is done, or the tree has given
// up; Stop then stops what was started. The context that services get is not ctx but the
// tree's own, which Stop ends.
func (t *Tree) Start(ctx context.Context, services []Service) error {
	for _, s := range services {
		if !slices.Contains(stages, s.Stage) {
			return fmt.Errorf("supervision: service %s has no stage", s.Name)
		}
	}
	if err := t.begin(ctx); err != nil {
		return err
	}
	ctx, cancel := t.untilGivenUp(ctx)
	defer cancel()
	for _, stage := range slices.Backward(stages) {
		members := slices.DeleteFunc(slices.Clone(services), func(s Service) bool { return s.Stage != stage })
		t.startStage(stage, members)
		if err := t.ready(ctx, members); err != nil {
			return err
		}
	}
	return nil
}

// begin starts the tree without services.
func (t *Tree) begin(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cancel != nil {
		return errors.New("supervision: the tree was started before")
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.cancel = cancel
	t.root = t.supervisor("roost")
	result := t.root.ServeBackground(own)
	t.ended = make(chan struct{})
	go func() {
		defer close(t.ended)
		<-result //nolint:errcheck // that the tree has ended is all there is to know
	}()
	return nil
}

func (t *Tree) startStage(stage Stage, services []Service) {
	t.mu.Lock()
	defer t.mu.Unlock()
	child := t.supervisor(stage.String())
	for _, s := range services {
		if s.Run != nil {
			task := newTask(s, t.log, t.gaveUp)
			t.tasks = append(t.tasks, task)
			child.Add(task)
		}
	}
	t.tokens[stage] = t.root.Add(child)
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

// untilGivenUp returns a context that also ends when the tree gives up.
func (t *Tree) untilGivenUp(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-t.given:
			cancel(t.cause)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil); <-watched }
}

// ready returns when services are, or ctx is done.
func (t *Tree) ready(ctx context.Context, services []Service) error {
	for _, s := range services {
		if s.Ready == nil {
			continue
		}
		if err := s.Ready(ctx); err != nil {
			return fmt.Errorf("%s is not ready: %w%s", s.Name, cmp.Or(context.Cause(ctx), err), t.troubles())
		}
	}
	return nil
}

// troubles says with what tasks failed, for an error.
func (t *Tree) troubles() (text string) {
	for _, task := range t.Tasks() {
		if task.Error != "" {
			text += fmt.Sprintf("; %s failed with: %s", task.Name, task.Error)
		}
	}
	return text
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
		token, started := t.tokens[stage]
		if !started {
			continue
		}
		// RemoveAndWait would leave a goroutine behind when the wait is cut short.
		if err := t.root.Remove(token); err != nil && !errors.Is(err, suture.ErrSupervisorNotRunning) {
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
	tasks := slices.Clone(t.tasks)
	t.mu.Unlock()
	reports := make([]bus.Task, len(tasks))
	for i, task := range tasks {
		reports[i] = task.report()
	}
	slices.SortFunc(reports, func(a, b bus.Task) int { return cmp.Compare(a.Name, b.Name) })
	return reports
}
