package kvstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal is a Subscriber that writes down what it is told.
type journal struct {
	lines []string
	onAny func()
}

func (j *journal) add(format string, args ...any) {
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
	if j.onAny != nil {
		j.onAny()
	}
}

func (j *journal) Begin(kvstore.Generation) { j.add("begin") }
func (j *journal) Apply(e kvstore.Entry)    { j.add("apply %s@%d", e.Key, e.Revision) }
func (j *journal) Live(revision uint64)     { j.add("live %d", revision) }
func (j *journal) Stale(cause error)        { j.add("stale: %v", cause) }
func (j *journal) Advance(revision uint64)  { j.add("advance %d", revision) }

func (j *journal) take() []string {
	lines := j.lines
	j.lines = nil
	return lines
}

func put(t *testing.T, s kvstore.Store, key string) uint64 {
	t.Helper()
	w := kvstore.Write{Key: key, Value: []byte("v")}
	if e, err := s.Get(t.Context(), key); err == nil {
		w.Expect = e.Revision
	}
	revision, err := s.Write(t.Context(), w)
	if err != nil {
		t.Fatalf("Write(%s) = %v", key, err)
	}
	return revision
}

// run runs tail until the returned function is called.
func run(t *testing.T, tail *kvstore.Tail) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tail.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run() = %v, want the context's error", err)
		}
	}
}

func diff(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestSubscriberSeesItsPrefixAndTheRevisionOfEveryChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		put(t, store, "lease.a")
		put(t, store, "event.x")
		tail := kvstore.NewTail(store, kvstore.WithProbe(0))
		var leases, all journal
		tail.Subscribe("lease.", &leases)
		tail.Subscribe("", &all)
		defer run(t, tail)()
		put(t, store, "event.y")
		put(t, store, "lease.b")
		synctest.Wait()
		diff(t, "leases", leases.take(), "begin", "apply lease.a@1", "live 2", "advance 3", "apply lease.b@4", "advance 4")
		diff(t, "all", all.take(), "begin", "apply lease.a@1", "apply event.x@2", "live 2",
			"apply event.y@3", "advance 3", "apply lease.b@4", "advance 4")
		if got := tail.Revision(); got != 4 {
			t.Errorf("Revision() = %d, want 4", got)
		}
	})
}

func TestSubscribersAreToldInOrderAndBeforeTheRevisionIsShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		tail := kvstore.NewTail(store, kvstore.WithProbe(0))
		var first, second journal
		var ahead int
		second.onAny = func() {
			if len(second.lines) > len(first.lines) {
				t.Errorf("second was told %q before first", second.lines[len(second.lines)-1])
			}
			if last := second.lines[len(second.lines)-1]; strings.HasPrefix(last, "apply") && tail.Revision() >= 1 {
				ahead++
			}
		}
		tail.Subscribe("", &first)
		tail.Subscribe("", &second)
		defer run(t, tail)()
		put(t, store, "a")
		synctest.Wait()
		if ahead > 0 {
			t.Error("Revision() was shown before all had applied it")
		}
	})
}

func TestWaitReturnsOnceTheRevisionHasBeenApplied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		tail := kvstore.NewTail(store, kvstore.WithProbe(0))
		defer run(t, tail)()
		results := make(chan uint64, 3)
		for _, revision := range []uint64{3, 1, 2} {
			go func() {
				if err := tail.Wait(t.Context(), revision); err != nil {
					t.Errorf("Wait(%d) = %v", revision, err)
				}
				results <- revision
			}()
		}
		synctest.Wait()
		for want := uint64(1); want <= 3; want++ {
			put(t, store, "a")
			synctest.Wait()
			select {
			case got := <-results:
				if got != want {
					t.Errorf("Wait(%d) returned at revision %d", got, want)
				}
			default:
				t.Errorf("Wait(%d) did not return", want)
			}
		}
	})
}

func TestWaitEndsWithItsContextAndWithRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tail := kvstore.NewTail(memkv.New(), kvstore.WithProbe(0))
		stop := run(t, tail)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := tail.Wait(ctx, 7)
		if !errors.Is(err, kvstore.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait() = %v, want ErrUnavailable and the context's cause", err)
		}
		late := make(chan error, 1)
		go func() { late <- tail.Wait(t.Context(), 7) }()
		synctest.Wait()
		stop()
		if err := <-late; !errors.Is(err, kvstore.ErrUnavailable) {
			t.Errorf("Wait() = %v when Run ended, want ErrUnavailable", err)
		}
		if err := tail.Barrier(t.Context()); !errors.Is(err, kvstore.ErrUnavailable) {
			t.Errorf("Barrier() = %v after Run, want ErrUnavailable", err)
		}
	})
}

func TestWaitForARevisionOfAnotherLifeIsUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		for range 5 {
			put(t, store, "a")
		}
		tail := kvstore.NewTail(store, kvstore.WithProbe(0))
		defer run(t, tail)()
		before := tail.Generation()
		waited := make(chan error, 1)
		go func() { waited <- tail.Wait(t.Context(), 6) }()
		synctest.Wait()
		store.Reset()
		if err := <-waited; !errors.Is(err, kvstore.ErrUnavailable) {
			t.Errorf("Wait() = %v, want ErrUnavailable", err)
		}
		put(t, store, "a")
		synctest.Wait()
		if got := tail.Revision(); got != 1 {
			t.Errorf("Revision() = %d, want 1", got)
		}
		if tail.Generation() == before {
			t.Error("Generation() did not change")
		}
	})
}

func TestStateFollowsTheFeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		tail := kvstore.NewTail(store, kvstore.WithProbe(0))
		if got := tail.State().State; got != kvstore.Syncing {
			t.Errorf("State() = %v before Run, want syncing", got)
		}
		var j journal
		tail.Subscribe("", &j)
		defer run(t, tail)()
		if err := tail.Ready(t.Context()); err != nil {
			t.Fatalf("Ready() = %v", err)
		}
		cause := errors.New("cut")
		time.Sleep(time.Minute)
		store.InterruptFeeds(cause)
		put(t, store, "a")
		synctest.Wait()
		if got := tail.State(); got.State != kvstore.Stale || !errors.Is(got.Cause, cause) || time.Since(got.Since) != 0 {
			t.Errorf("State() = %+v, want stale since now because of %v", got, cause)
		}
		store.ResumeFeeds()
		synctest.Wait()
		if got := tail.State(); got.State != kvstore.Live || got.Cause != nil || got.Revision != 1 {
			t.Errorf("State() = %+v, want live at 1", got)
		}
		store.InterruptFeeds(cause)
		synctest.Wait()
		put(t, store, "b")
		store.RestartFeeds()
		synctest.Wait()
		diff(t, "journal", j.take(), "begin", "live 0", "stale: cut", "apply a@1", "advance 1", "live 1",
			"stale: cut", "begin", "apply a@1", "apply b@2", "live 2")
	})
}

func TestRunAgainShowsEverythingAfresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		put(t, store, "a")
		tail := kvstore.NewTail(store, kvstore.WithProbe(0))
		var j journal
		tail.Subscribe("", &j)
		run(t, tail)()
		put(t, store, "b")
		defer run(t, tail)()
		diff(t, "journal", j.take(), "begin", "apply a@1", "live 1", "stale: context canceled",
			"begin", "apply a@1", "apply b@2", "live 2")
		if err := tail.Barrier(t.Context()); err != nil {
			t.Errorf("Barrier() = %v in the second run", err)
		}
	})
}

func TestAgeIsThatOfTheNewestEcho(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		tail := kvstore.NewTail(store)
		if got := tail.Age(); got != math.MaxInt64 {
			t.Errorf("Age() = %v before the first echo", got)
		}
		defer run(t, tail)()
		if got := tail.Age(); got != 0 {
			t.Errorf("Age() = %v after the first echo, want 0", got)
		}
		for range 100 {
			time.Sleep(70 * time.Millisecond)
			if got := tail.Age(); got > time.Second+100*time.Millisecond {
				t.Fatalf("Age() = %v on a live feed", got)
			}
		}
		store.FreezeFeeds()
		time.Sleep(45 * time.Second)
		if got := tail.Age(); got < 44*time.Second {
			t.Errorf("Age() = %v on a feed that has stood still for 45s", got)
		}
		if got := tail.State().State; got != kvstore.Live {
			t.Errorf("State() = %v, want live: a frozen feed says nothing", got)
		}
		store.ResumeFeeds()
		synctest.Wait()
		if got := tail.Age(); got > 6*time.Second {
			t.Errorf("Age() = %v after the feed went on", got)
		}
	})
}

func TestOwnWritesCountAsEchoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		tail := kvstore.NewTail(store, kvstore.WithProbe(0))
		defer run(t, tail)()
		store.FreezeFeeds()
		sent := tail.Sent()
		tail.Wrote(sent, put(t, store, "a"))
		time.Sleep(time.Second)
		if got := tail.Age(); got != math.MaxInt64 {
			t.Errorf("Age() = %v before the write came back", got)
		}
		store.ResumeFeeds()
		synctest.Wait()
		if got := tail.Age(); got != time.Second {
			t.Errorf("Age() = %v, want the second since the sending", got)
		}
		time.Sleep(time.Second)
		sent = tail.Sent()
		revision := put(t, store, "a")
		synctest.Wait()
		tail.Wrote(sent, revision)
		if got := tail.Age(); got != 0 {
			t.Errorf("Age() = %v, want 0: the write came back before its acknowledgement", got)
		}
	})
}

func TestAStopIsNoWarning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		store := memkv.New()
		stop := run(t, kvstore.NewTail(store, kvstore.WithLogger(slog.New(slog.NewTextHandler(&log, nil)))))
		stop()
		if strings.Contains(log.String(), "WARN") {
			t.Errorf("a stop logs %q", log.String())
		}
		stop = run(t, kvstore.NewTail(store, kvstore.WithLogger(slog.New(slog.NewTextHandler(&log, nil)))))
		store.InterruptFeeds(errors.New("the link is cut"))
		synctest.Wait()
		if !strings.Contains(log.String(), "WARN") {
			t.Errorf("an interruption logs %q; want a warning", log.String())
		}
		stop()
	})
}
