package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// errDone ends the context of a test.
var errDone = errors.New("the test is over")

// shifts counts who runs, and checks that it is one at a time.
type shifts struct {
	t       *testing.T
	mu      sync.Mutex
	running int
	runs    []*Shift
	tokens  []Token
}

func (s *shifts) begin(shift *Shift) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running++; s.running > 1 {
		s.t.Errorf("%d run at a time", s.running)
	}
	s.runs = append(s.runs, shift)
	s.tokens = append(s.tokens, shift.Token())
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running--
	}
}

func (s *shifts) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.runs)
}

// latest returns what runs, or ran last.
func (s *shifts) latest() *Shift {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[len(s.runs)-1]
}

// untilToldTo runs until its context ends.
func (s *shifts) untilToldTo(ctx context.Context, shift *Shift) error {
	defer s.begin(shift)()
	<-ctx.Done()
	return nil
}

// fleet runs n singletons until ctx is over.
func fleet(ctx context.Context, t *testing.T, c *Client, n int, run func(context.Context, *Shift) error) (wait func()) {
	t.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() { wantErr(t, c.Singleton(ctx, "default", "report", run, SingletonOptions{}), errDone) })
	}
	return all.Wait
}

func TestOneOfAFleetRunsAndAnotherFollowsWhenItsLeaseEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		ctx, stop := context.WithCancelCause(t.Context())
		s := &shifts{t: t}
		wait := fleet(ctx, t, c, 5, s.untilToldTo)
		for n := range 10 {
			time.Sleep(5 * time.Minute)
			if got := s.count(); got != n+1 {
				t.Fatalf("%d have run after %d leases have ended; want %d", got, n, n+1)
			}
			// The end of the lease is heard of with the next keepalive; nobody may run by then.
			o.keeper.set(func() { o.expire(s.latest().lease.Secret()) })
			time.Sleep(time.Minute)
			o.sweep()
		}
		time.Sleep(time.Minute)
		stop(errDone)
		wait()
		for i := range s.tokens[1:] {
			if !s.tokens[i].Before(s.tokens[i+1]) {
				t.Errorf("token %s after %s", s.tokens[i+1], s.tokens[i])
			}
		}
		o.keeper.set(func() {
			if len(o.live) != 0 {
				t.Errorf("%d leases are left", len(o.live))
			}
		})
	})
}

func TestARunThatFailsIsStartedAgainOnItsHolderWithPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newOffice(t)
		ctx, stop := context.WithCancelCause(t.Context())
		s := &shifts{t: t}
		boom := func(_ context.Context, shift *Shift) error {
			defer s.begin(shift)()
			return errors.New("boom")
		}
		wait := fleet(ctx, t, c, 3, boom)
		time.Sleep(time.Hour)
		stop(errDone)
		wait()
		if n := s.count(); n < 55 || n > 80 {
			t.Errorf("ran %d times in an hour; want once a minute, and some times at first", n)
		}
		for _, shift := range s.runs {
			if shift.Term() != 1 {
				t.Errorf("ran in term %d; want all in the first", shift.Term())
			}
		}
	})
}

func TestARunThatGoesOnFailingIsHandedOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newOffice(t)
		ctx, stop := context.WithCancelCause(t.Context())
		s := &shifts{t: t}
		var others sync.WaitGroup
		for _, broken := range []bool{true, false} {
			others.Go(func() {
				err := c.Singleton(ctx, "default", "report", func(ctx context.Context, shift *Shift) error {
					if broken {
						defer s.begin(shift)()
						return errors.New("boom")
					}
					return s.untilToldTo(ctx, shift)
				}, SingletonOptions{Tries: 3})
				wantErr(t, err, errDone)
			})
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		if n := s.count(); n != 4 || s.latest().Term() != 2 {
			t.Errorf("ran %d times, at last in term %d; want three failures, and then another", n, s.latest().Term())
		}
		stop(errDone)
		others.Wait()
	})
}

func TestARunThatIsDoneHandsOverAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newOffice(t)
		s := &shifts{t: t}
		var all sync.WaitGroup
		begun := time.Now()
		for range 5 {
			all.Go(func() {
				err := c.Singleton(t.Context(), "default", "report", func(_ context.Context, shift *Shift) error {
					defer s.begin(shift)()
					time.Sleep(time.Second)
					return nil
				}, SingletonOptions{})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(begun); took > 7*time.Second || s.count() != 5 {
			t.Errorf("%d ran, one after the other, in %v; want 5 in 5s", s.count(), took)
		}
	})
}

func TestARunIsToldToStopBeforeTheRoleCanPassOn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		happens func(o *office)
		within  time.Duration // of the last keepalive, or of the loss of the connection
	}{
		{"the keeper is not heard", func(o *office) { o.keeper.set(func() { o.away = true }) }, 15*time.Second - DefaultStopTime},
		{"the connection is lost", func(o *office) { o.become(nats.RECONNECTING) }, reconnecting},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, o := newOffice(t)
				ctx, stop := context.WithCancelCause(t.Context())
				s := &shifts{t: t}
				ended := make(chan time.Time, 1)
				wait := fleet(ctx, t, c, 1, func(ctx context.Context, shift *Shift) error {
					defer s.begin(shift)()
					<-ctx.Done()
					ended <- time.Now()
					time.Sleep(DefaultStopTime / 2)
					return ctx.Err()
				})
				time.Sleep(time.Minute)
				beats := o.heard()
				since := time.Now()
				if test.within > DefaultStopTime {
					since = beats[len(beats)-1].at
				}
				test.happens(o)
				at := <-ended
				if lasted := at.Sub(since); lasted > test.within || lasted < test.within-time.Second {
					t.Errorf("told to stop after %v; want %v", lasted, test.within)
				}
				if left := time.Until(s.latest().lease.Deadline()); left < DefaultStopTime-time.Millisecond {
					t.Errorf("%v are left until the role may pass on; want %v", left, DefaultStopTime)
				}
				o.keeper.set(func() { o.away = false })
				o.become(nats.CONNECTED)
				time.Sleep(time.Minute)
				if n := s.count(); n != 2 || s.latest().Term() != 1 {
					t.Errorf("ran %d times, in term %d; want again in the first, which went on", n, s.latest().Term())
				}
				stop(errDone)
				wait()
			})
		})
	}
}

func TestARunThatHangsGivesTheRoleUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		free := make(chan struct{})
		begun := time.Now()
		err := c.Singleton(t.Context(), "default", "report", func(_ context.Context, shift *Shift) error {
			for range 10 {
				time.Sleep(time.Minute)
				shift.Alive()
			}
			<-free // of no context
			return nil
		}, SingletonOptions{Stall: 2 * time.Minute})
		wantErr(t, err, ErrHung)
		if took := time.Since(begun); took < 12*time.Minute || took > 13*time.Minute {
			t.Errorf("took %v; want the two minutes after ten that had signs of life", took)
		}
		o.keeper.set(func() {
			if len(o.live) != 0 {
				t.Error("its lease still lives")
			}
		})
		close(free)
	})
}

func TestARunThatStallsAndReturnsIsStartedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newOffice(t)
		ctx, stop := context.WithCancelCause(t.Context())
		s := &shifts{t: t}
		done := make(chan error)
		go func() {
			done <- c.Singleton(ctx, "default", "report", s.untilToldTo, SingletonOptions{Stall: 10 * time.Second})
		}()
		time.Sleep(5 * time.Minute)
		stop(errDone)
		wantErr(t, <-done, errDone)
		if n := s.count(); n < 6 || n > 30 {
			t.Errorf("ran %d times in 5m; want again after each 10s without a sign of life", n)
		}
	})
}

func TestASingletonRefusesTimesThatCannotWork(t *testing.T) {
	t.Parallel()
	c, _ := newOffice(t)
	for i, o := range []SingletonOptions{
		{TTL: 5 * time.Second, StopTime: 2 * time.Second}, {StopTime: -1}, {Stall: -1}, {Tries: -1},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			wantErr(t, c.Singleton(t.Context(), "default", "report", nil, o), ErrInvalid)
		})
	}
	wantErr(t, c.Singleton(t.Context(), "", "report", nil, SingletonOptions{}), ErrInvalid)
}
