package backendtest

import (
	"context"
	"fmt"
	"testing"

	"github.com/roostbus/roost/backend"
)

// watcher runs one Watch and hands over its events one by one.
type watcher struct {
	events chan backend.Event
	ended  chan error // nil if the Watch ended without one
	cancel context.CancelFunc
}

// watch starts watching at since. Events wait until they are asked for.
func (s subject) watch(t *testing.T, q backend.Query, since backend.Revision) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watcher{events: make(chan backend.Event), ended: make(chan error, 1), cancel: cancel}
	changes := s.Watch(ctx, q, since)
	go func() {
		var end error
		defer func() { w.ended <- end }()
		for e, err := range changes {
			if end != nil {
				end = fmt.Errorf("a pair came after the error: %w", end)
				return
			}
			if end = err; err != nil {
				continue
			}
			select {
			case w.events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = w.wait(t)
	})
	return w
}

// next returns the next event.
func (w *watcher) next(t *testing.T) backend.Event {
	t.Helper()
	select {
	case e := <-w.events:
		return e
	case err := <-w.ended:
		w.ended <- err
		t.Fatalf("the watch ended with %v; want an event", err)
	case <-patient(t).Done():
		t.Fatal("no event came")
	}
	return backend.Event{}
}

// wait returns why the watch ended.
func (w *watcher) wait(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	for {
		select {
		case <-w.events:
		case err := <-w.ended:
			w.ended <- err
			return err
		case <-ctx.Done():
			t.Error("the watch did not end")
			return nil
		}
	}
}

// gives checks the next event in every part.
func (w *watcher) gives(t *testing.T, want backend.Event) {
	t.Helper()
	if got := w.next(t); show(got) != show(want) {
		t.Errorf("event\n got %s\nwant %s", show(got), show(want))
	}
}

// show writes e out, for comparing and showing.
func show(e backend.Event) string {
	of := "nothing"
	if e.Registration != nil {
		of = text(*e.Registration)
	}
	return fmt.Sprintf("%s %q at %d after %d of %s", e.Kind, e.Reason, e.Revision, e.Previous, of)
}
