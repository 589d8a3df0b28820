package kvstore_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// slow is a store whose barriers take a second, half of it before the write.
type slow struct {
	kvstore.Store
	barriers atomic.Int32
}

func (s *slow) Barrier(ctx context.Context) (uint64, error) {
	s.barriers.Add(1)
	time.Sleep(time.Second / 2)
	defer time.Sleep(time.Second / 2)
	return s.Store.Barrier(ctx)
}

func TestBarrierReturnsOnlyWhenWhatWasAcknowledgedHasBeenApplied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		tail := kvstore.NewTail(store, kvstore.WithProbe(0))
		defer run(t, tail)()
		store.FreezeFeeds()
		revision := put(t, store, "a")
		passed := make(chan error, 1)
		go func() { passed <- tail.Barrier(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-passed:
			t.Fatalf("Barrier() = %v while the feed stood still", err)
		default:
		}
		store.ResumeFeeds()
		if err := <-passed; err != nil || tail.Revision() < revision {
			t.Errorf("Barrier() = %v at revision %d, want at least %d", err, tail.Revision(), revision)
		}
	})
}

func TestBarrierJoinsOnlyOneThatIsSentAfterItsCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &slow{Store: memkv.New()}
		tail := kvstore.NewTail(store, kvstore.WithProbe(0))
		defer run(t, tail)()
		start := time.Now()
		took := make(chan time.Duration, 11)
		call := func() {
			if err := tail.Barrier(t.Context()); err != nil {
				t.Errorf("Barrier() = %v", err)
			}
			took <- time.Since(start)
		}
		go call()
		synctest.Wait() // the first is being sent
		for range 10 {
			go call()
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		if got := <-took; got != time.Second {
			t.Errorf("the first took %v, want 1s", got)
		}
		for range 10 {
			if got := <-took; got != 2*time.Second {
				t.Errorf("one that came while the first was under way took %v, want 2s", got)
			}
		}
		if got := store.barriers.Load(); got != 2 {
			t.Errorf("%d barriers were sent for 11 callers, want 2", got)
		}
	})
}

func TestACallerThatGivesUpDoesNotFailThoseWhoShareItsBarrier(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tail := kvstore.NewTail(&slow{Store: memkv.New()}, kvstore.WithProbe(0))
		defer run(t, tail)()
		hasty, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		patient := make(chan error, 1)
		gaveUp := make(chan error, 1)
		go func() { gaveUp <- tail.Barrier(hasty) }()
		go func() { patient <- tail.Barrier(t.Context()) }()
		if err := <-gaveUp; !errors.Is(err, kvstore.ErrUnavailable) {
			t.Errorf("Barrier() = %v, want ErrUnavailable", err)
		}
		if err := <-patient; err != nil {
			t.Errorf("Barrier() = %v", err)
		}
	})
}

func TestBarrierThatCannotBeWrittenIsUnavailableAndNeverUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		tail := kvstore.NewTail(store, kvstore.WithProbe(0))
		defer run(t, tail)()
		for _, inject := range []func(int){store.FailWrites, store.LoseAcknowledgements} {
			inject(1)
			err := tail.Barrier(t.Context())
			if !errors.Is(err, kvstore.ErrUnavailable) || errors.Is(err, kvstore.ErrUnknownOutcome) {
				t.Errorf("Barrier() = %v, want ErrUnavailable alone", err)
			}
		}
		if err := tail.Barrier(t.Context()); err != nil {
			t.Errorf("Barrier() = %v afterwards", err)
		}
	})
}

func TestBarrierOfAStoreMadeAnewWaitsUntilThatIsSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		for range 9 {
			put(t, store, "a")
		}
		tail := kvstore.NewTail(store, kvstore.WithProbe(0))
		defer run(t, tail)()
		before := tail.Generation()
		store.FreezeFeeds()
		store.Reset()
		passed := make(chan error, 1)
		go func() { passed <- tail.Barrier(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-passed:
			t.Fatalf("Barrier() = %v while the feed showed the store's old life", err)
		default:
		}
		store.ResumeFeeds()
		if err := <-passed; err != nil || tail.Generation() == before {
			t.Errorf("Barrier() = %v, generation changed: %t", err, tail.Generation() != before)
		}
	})
}
