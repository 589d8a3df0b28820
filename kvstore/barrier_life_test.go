package kvstore_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/roostbus/roost/kvstore"
)

// script is a store that does what a test says.
type script struct {
	kvstore.Store
	barrier chan uint64                   // what Barrier returns, and when
	steps   chan func(f kvstore.Follower) // what the feed shows
}

func (s *script) Barrier(ctx context.Context) (uint64, error) {
	select {
	case revision := <-s.barrier:
		return revision, nil
	case <-ctx.Done():
		return 0, kvstore.ErrUnavailable
	}
}

func (s *script) Feed(ctx context.Context, f kvstore.Follower) error {
	for {
		select {
		case step := <-s.steps:
			step(f)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// aged runs a tail that has seen revision 1000 of a store, and a barrier that is under way.
func aged(t *testing.T) (s *script, passed <-chan error, stop func()) {
	t.Helper()
	s = &script{barrier: make(chan uint64), steps: make(chan func(kvstore.Follower))}
	tail := kvstore.NewTail(s, kvstore.WithProbe(0))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = tail.Run(ctx) // it ends with ctx
	}()
	s.steps <- func(f kvstore.Follower) {
		f.Begin("old")
		f.Live(1000)
	}
	synctest.Wait()
	result := make(chan error, 1)
	go func() { result <- tail.Barrier(t.Context()) }()
	synctest.Wait()
	return s, result, func() {
		cancel()
		<-ended
	}
}

// reborn shows a store made anew.
func reborn(f kvstore.Follower) {
	f.Begin("new")
	f.Apply(kvstore.Entry{Key: "a", Revision: 3})
	f.Live(3)
}

func TestABarrierWhoseAcknowledgementComesAfterTheNewStoreWasSeenReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, passed, stop := aged(t)
		defer stop()
		s.steps <- reborn
		synctest.Wait()
		s.barrier <- 2
		synctest.Wait()
		select {
		case err := <-passed:
			if err != nil {
				t.Errorf("Barrier() = %v", err)
			}
		default:
			t.Error("Barrier() waits for a snapshot that has come already")
		}
	})
}

func TestABarrierOfANewStoreWaitsForItsOwnRevision(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, passed, stop := aged(t)
		defer stop()
		s.barrier <- 5
		synctest.Wait()
		s.steps <- reborn
		synctest.Wait()
		select {
		case err := <-passed:
			t.Fatalf("Barrier() = %v at revision 3; it was written at 5", err)
		default:
		}
		s.steps <- func(f kvstore.Follower) { f.Apply(kvstore.Entry{Key: "probe", Revision: 5}) }
		if err := <-passed; err != nil {
			t.Errorf("Barrier() = %v", err)
		}
	})
}
