package client

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// lookUps makes look-ups of a registry that answers after what each takes, those it loses
// after an hour, and returns how often they were sent and how long the last one took.
func lookUps(t *testing.T, took ...time.Duration) (sent int, last time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var slow time.Duration // of the look-up under way
		c, s := scripted(t, func(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
			if slow == lostReply {
				slow = 0 // the next sending is answered at once
				return silence(ctx, m)
			}
			if !sleep(ctx, slow) {
				return nil, ctx.Err()
			}
			return reply("7", "1", stored)(ctx, m)
		})
		for _, slow = range took {
			begun := time.Now()
			if _, _, err := c.Lookup(t.Context(), key, Read{}); err != nil {
				t.Fatal(err)
			}
			last = time.Since(begun)
		}
		sent = len(s.requests())
	})
	return sent, last
}

const lostReply = time.Hour

// times returns d n times.
func times(n int, d time.Duration) []time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = d
	}
	return all
}

func TestALostLookUpIsSentAgainSoonWhereTheyAreQuick(t *testing.T) {
	t.Parallel()
	if _, took := lookUps(t, append(times(50, time.Millisecond), lostReply)...); took != soonestTry {
		t.Errorf("took %v; want %v", took, soonestTry)
	}
	if _, took := lookUps(t, lostReply); took != firstReadTry {
		t.Errorf("the first of all took %v; want %v", took, firstReadTry)
	}
}

func TestSlowLookUpsAreNotSentAgainSooner(t *testing.T) {
	t.Parallel()
	const n = 50
	for _, slow := range []time.Duration{soonestTry + time.Millisecond, firstReadTry - time.Millisecond} {
		if sent, _ := lookUps(t, times(n, slow)...); sent != n {
			t.Errorf("each taking %v: sent %d times; want %d", slow, sent, n)
		}
	}
}

func TestLookUpsThatBecomeSlowAreSentAgainOnceOrTwice(t *testing.T) {
	t.Parallel()
	const n = 50
	for _, slow := range []time.Duration{soonestTry + time.Millisecond, firstReadTry - time.Millisecond} {
		if sent, _ := lookUps(t, append(times(n, time.Millisecond), times(n, slow)...)...); sent > 2*n+3 {
			t.Errorf("slow by %v: sent %d times; want hardly more than %d", slow, sent, 2*n)
		}
	}
}
