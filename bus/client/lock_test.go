package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// acquired acquires a lock, of which nothing else is said.
func acquired(t *testing.T, l *Lock, lease *Lease, o LockOptions) *Hold {
	t.Helper()
	h, err := l.Lock(t.Context(), lease, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func released(t *testing.T, h *Hold) {
	t.Helper()
	if err := h.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// wantQueue checks how many hold a lock and wait for it.
func wantQueue(t *testing.T, o *office, holders, waiters int, when string) {
	t.Helper()
	o.do(func() {
		r := record[officeQueue](o, bus.KindLock, "default.db")
		if len(r.Holders) != holders || len(r.Waiters) != waiters {
			t.Errorf("%s: %d hold and %d wait; want %d and %d", when, len(r.Holders), len(r.Waiters), holders, waiters)
		}
	})
}

func TestALockIsHadInTheOrderOfComing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newOffice(t)
		lease, lock := grant(t, c, ttl), c.Lock("default", "db")
		first := acquired(t, lock, lease, LockOptions{})
		tokens := make(chan Token, 10)
		for range 10 {
			go func() {
				if err := lock.Do(t.Context(), lease, LockOptions{}, func(_ context.Context, token Token) error {
					tokens <- token
					time.Sleep(time.Second)
					return nil
				}); err != nil {
					t.Error(err)
				}
			}()
			time.Sleep(time.Minute)
		}
		latest := first.Token()
		released(t, first)
		begun := time.Now()
		for range 10 {
			token := <-tokens
			if !latest.Before(token) {
				t.Errorf("token %s after %s", token, latest)
			}
			latest = token
		}
		time.Sleep(2 * time.Second)
		if took := time.Since(begun); took != 11*time.Second {
			t.Errorf("ten turns of a second took %v", took)
		}
	})
}

func TestAWaiterKeepsItsPlaceHoweverLongItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		lease, lock := grant(t, c, ttl), c.Lock("default", "db")
		first := acquired(t, lock, lease, LockOptions{})
		order := make(chan string, 2)
		var waiters sync.WaitGroup
		for _, name := range []string{"second", "third"} {
			waiters.Go(func() {
				h := acquired(t, lock, lease, LockOptions{Holder: name})
				order <- name
				released(t, h)
			})
			synctest.Wait()
			time.Sleep(time.Second)
		}
		time.Sleep(time.Hour)
		wantQueue(t, o, 1, 2, "after an hour")
		if n := o.verbs()["acquire"]; n > 160 {
			t.Errorf("two waiters sent %d requests in an hour; want some 70 each", n)
		}
		o.do(func() {
			if o.most > 4 {
				t.Errorf("%d requests of two waiters waited at a time; want two of each at most", o.most)
			}
		})
		released(t, first)
		if diff := cmp.Diff([]string{"second", "third"}, []string{<-order, <-order}); diff != "" {
			t.Error(diff)
		}
		waiters.Wait()
	})
}

func TestUsersOfOneLeaseExcludeEachOtherAndReadersShareAToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		lease, lock := grant(t, c, ttl), c.Lock("default", "db")
		h := acquired(t, lock, lease, LockOptions{})
		_, err := lock.TryLock(t.Context(), lease, LockOptions{})
		wantErr(t, err, ErrTimeout)
		wantQueue(t, o, 1, 0, "after a try")
		tokens := make(chan Token, 2)
		for range 2 {
			go func() { tokens <- acquired(t, lock, lease, LockOptions{Mode: Shared}).Token() }()
			synctest.Wait()
		}
		released(t, h)
		if a, b := <-tokens, <-tokens; a != b || !h.Token().Before(a) {
			t.Errorf("readers have %s and %s after %s; want one that is later", a, b, h.Token())
		}
	})
}

func TestAWaitThatIsOverLeavesTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		lease, lock := grant(t, c, ttl), c.Lock("default", "db")
		acquired(t, lock, lease, LockOptions{})
		begun := time.Now()
		_, err := lock.Lock(t.Context(), lease, LockOptions{Wait: 90 * time.Second})
		wantErr(t, err, ErrTimeout)
		if took := time.Since(begun); took.Round(time.Second) != 90*time.Second || took < 90*time.Second {
			t.Errorf("waited %v; want 90s", took)
		}
		wantQueue(t, o, 1, 0, "when the wait was over")
	})
}

func TestALockThatIsCancelledReturnsAtOnceAndLeavesTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		lease, lock := grant(t, c, ttl), c.Lock("default", "db")
		acquired(t, lock, lease, LockOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begun := time.Now()
		_, err := lock.Lock(ctx, lease, LockOptions{})
		wantErr(t, err, context.DeadlineExceeded)
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("returned after %v; want 3s", took)
		}
		synctest.Wait()
		wantQueue(t, o, 1, 0, "after it was cancelled")
		time.Sleep(lateness + time.Second)
		if n := o.verbs()["release"]; n != 2 {
			t.Errorf("%d releases; want a second, for an acquire that comes late", n)
		}
	})
}

func TestALockWhoseReplyIsLostIsHeldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		lease, lock := grant(t, c, ttl), c.Lock("default", "db")
		o.deaf["acquire"] = true
		time.AfterFunc(time.Second, func() { o.do(func() { o.deaf["acquire"] = false }) })
		h := acquired(t, lock, lease, LockOptions{})
		wantQueue(t, o, 1, 0, "when it is held")
		released(t, h)
		wantQueue(t, o, 0, 0, "when it was released")
		time.Sleep(lateness + time.Second)
		if n := o.verbs()["release"]; n < 2 {
			t.Error("nobody released what an acquire that comes late would hold")
		}
	})
}

func TestALockWhoseReplyIsLostWithTheConnectionIsAskedForAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		lease, lock := grant(t, c, ttl), c.Lock("default", "db")
		o.deaf["acquire"] = true
		time.AfterFunc(time.Second, func() {
			o.do(func() { o.deaf["acquire"] = false })
			o.become(nats.RECONNECTING)
			o.become(nats.CONNECTED)
		})
		begun := time.Now()
		acquired(t, lock, lease, LockOptions{})
		if took := time.Since(begun); took > 1500*time.Millisecond {
			t.Errorf("held after %v; want at once when the connection was restored, after 1s", took)
		}
	})
}

func TestWhatMayBeHeldByNobodyIsReleasedWhenTheRegistryIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		lease, lock := grant(t, c, ttl), c.Lock("default", "db")
		o.deaf["acquire"], o.deaf["release"] = true, true
		_, err := lock.Lock(t.Context(), lease, LockOptions{Wait: 3 * time.Second, Holder: "me"})
		if err == nil {
			t.Fatal("no error although no reply came")
		}
		time.Sleep(time.Minute)
		o.do(func() { clear(o.deaf) })
		// The same holder must not be released by what is still under way for it.
		h := acquired(t, lock, lease, LockOptions{Holder: "me"})
		time.Sleep(time.Minute)
		wantQueue(t, o, 1, 0, "a minute after it was acquired again")
		released(t, h)
	})
}

func TestAReleaseThatFailsGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		lease, lock := grant(t, c, ttl), c.Lock("default", "db")
		h := acquired(t, lock, lease, LockOptions{})
		o.keeper.set(func() { o.away = true })
		if err := h.Release(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Release = %v; want ErrUnavailable", err)
		}
		if h.Valid() {
			t.Error("still valid although it was released")
		}
		o.keeper.set(func() { o.away = false })
		time.Sleep(time.Minute)
		wantQueue(t, o, 0, 0, "when the registry is back")
	})
}

func TestALeaseThatEndsEndsTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newOffice(t)
		holder, waiter, lock := grant(t, c, ttl), grant(t, c, ttl), c.Lock("default", "db")
		acquired(t, lock, holder, LockOptions{})
		time.AfterFunc(time.Second, func() { _ = waiter.Revoke(context.Background()) })
		begun := time.Now()
		_, err := lock.Lock(t.Context(), waiter, LockOptions{})
		wantErr(t, err, ErrRevoked)
		if took := time.Since(begun); took > 1100*time.Millisecond {
			t.Errorf("waited %v with a lease that ended after 1s", took)
		}
	})
}

func TestACriticalSectionEndsBeforeTheLockCanPassOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		lease, lock := grant(t, c, ttl), c.Lock("default", "db")
		var acked, over time.Time
		err := lock.Do(t.Context(), lease, LockOptions{}, func(ctx context.Context, _ Token) error {
			time.Sleep(ttl)
			beats := o.heard()
			acked = beats[len(beats)-1].at
			o.keeper.set(func() { o.away = true })
			<-ctx.Done()
			over = time.Now()
			wantErr(t, context.Cause(ctx), ErrUnavailable)
			return nil
		})
		wantErr(t, err, ErrUnavailable)
		if lasted := over.Sub(acked); lasted > ttl || lasted < ttl-time.Second {
			t.Errorf("the section ended %v after the last keepalive; want %v, and not later", lasted, ttl)
		}
		boom := errors.New("boom")
		o.keeper.set(func() { o.away = false })
		time.Sleep(time.Minute)
		wantErr(t, lock.Do(t.Context(), lease, LockOptions{}, func(context.Context, Token) error { return boom }), boom)
	})
}

func TestALockIsHeldForALeaseThatSomebodyElseKeepsAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, o := newOffice(t)
		const secret = "0123456789012345678901"
		o.live[secret] = ttl
		c.known[bus.Owner(secret)] = secret
		lock := c.Lock("default", "db")
		token, err := lock.AcquireAs(t.Context(), bus.Owner(secret), LockOptions{})
		if err != nil || token == "" {
			t.Fatal(token, err)
		}
		q, _, err := lock.Get(t.Context(), Read{})
		if err != nil || len(q.Holders) != 1 || q.Holders[0].Token != token || !slices.Contains([]string{bus.Owner(secret)}, q.Holders[0].Owner) {
			t.Errorf("got %+v, %v", q, err)
		}
		if err := lock.ReleaseAs(t.Context(), bus.Owner(secret), ""); err != nil {
			t.Error(err)
		}
		wantQueue(t, o, 0, 0, "after the release")
		_, err = lock.AcquireAs(t.Context(), "aaaaaaaaaaaaaaaaaaaaaaaaaa", LockOptions{})
		wantErr(t, err, ErrLeaseExpired)
	})
}
