package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// severed returns a client whose first sending is under way when its connection is lost,
// which is there again after a while; the next one is answered.
func severed(t *testing.T, restored time.Duration) (*Client, *script) {
	t.Helper()
	c, s := scripted(t, silence, reply("7", "1", stored))
	s.fates[0] = func(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
		s.cut(restored)
		return silence(ctx, m)
	}
	return c, s
}

func TestAReadIsAskedAgainAsSoonAsALostConnectionIsRestored(t *testing.T) {
	t.Parallel()
	for _, restored := range []time.Duration{time.Millisecond, 15 * time.Millisecond, 700 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			c, s := severed(t, restored)
			begun := time.Now()
			if _, _, err := c.Lookup(t.Context(), key, Read{}); err != nil {
				t.Fatal(err)
			}
			if took, want := time.Since(begun), max(restored, firstGlance); took != want {
				t.Errorf("restored after %v: took %v; want %v", restored, took, want)
			}
			if n := len(s.requests()); n != 2 {
				t.Errorf("restored after %v: sent %d times; want 2", restored, n)
			}
		})
	}
}

func TestAReadThatWaitsIsAskedAgainWhenItsConnectionIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, silence, reply("7", "1", stored))
		time.AfterFunc(time.Second, func() { s.cut(time.Millisecond) })
		begun := time.Now()
		if _, _, err := c.Lookup(t.Context(), key, Read{Wait: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("took %v after a second of waiting", took)
		}
	})
}

func TestAWriteUnderWayIsNotSentAgainBecauseItsConnectionIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := severed(t, time.Millisecond)
		if err := register(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		sent := s.requests()
		if gap := sent[1].at.Sub(sent[0].at); gap < firstWriteTry {
			t.Errorf("sent again after %v; the registry may have been at it for %v", gap, firstWriteTry)
		}
	})
}

func TestAReadWithoutAConnectionEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := severed(t, time.Hour)
		why := errors.New("changed my mind")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		begun := time.Now()
		_, _, err := c.Lookup(ctx, key, Read{})
		wantErr(t, err, ErrUnavailable)
		wantErr(t, err, why)
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %v; want 1s", took)
		}
	})
}

func TestASlowReplyIsWaitedForWhereTheConnectionIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, func(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
			time.Sleep(firstReadTry - time.Millisecond)
			return reply("7", "1", stored)(ctx, m)
		})
		if _, _, err := c.Lookup(t.Context(), key, Read{}); err != nil {
			t.Fatal(err)
		}
		if n := len(s.requests()); n != 1 {
			t.Errorf("sent %d times; want 1", n)
		}
	})
}
