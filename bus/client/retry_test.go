package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

func TestAWriteWaitsForARegistryWithinItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, unheard, unheard, failure(bus.CodeUnavailable, "1"), failure(bus.CodeLimitExceeded, "1"), reply("7", "1", stored))
		if err := register(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		sent := s.requests()
		if len(sent) != 5 {
			t.Fatalf("sent %d times; want 5", len(sent))
		}
		for i := range sent[1:] {
			if sent[i+1].at.Sub(sent[i].at) < firstPause/2 {
				t.Errorf("sending %d follows without a pause", i+1)
			}
			if sent[i+1].msg.Header.Get(bus.HeaderRepeat) != "" {
				t.Errorf("sending %d claims that one before it may have been done", i+1)
			}
		}
	})
}

func TestAWriteThatNobodyAnsweredIsUnavailableAndSaysWhereItAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, unheard)
		begun := time.Now()
		err := register(t.Context(), c)
		wantErr(t, err, ErrUnavailable)
		if took := time.Since(begun); took != DefaultWriteTimeout {
			t.Errorf("took %v; want %v", took, DefaultWriteTimeout)
		}
		want := "register default.payments.i-1: unavailable: no registry answers under prefix roost.v1 at nats://test"
		if err.Error() != want {
			t.Errorf("got %q; want %q", err, want)
		}
	})
}

func TestAWriteWithoutReplyIsSentAgainAsARepeatUnderOneRequestID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, reply("7", "3", stored), silence, reply("8", "3", stored))
		if err := register(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := register(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		sent := s.requests()
		if len(sent) != 3 {
			t.Fatalf("sent %d times; want 3", len(sent))
		}
		first, second, third := sent[0].msg, sent[1].msg, sent[2].msg
		if first.Header.Get(bus.HeaderRequestID) == second.Header.Get(bus.HeaderRequestID) {
			t.Error("two writes share a request id")
		}
		if second.Header.Get(bus.HeaderRequestID) != third.Header.Get(bus.HeaderRequestID) || string(second.Data) != string(third.Data) {
			t.Error("the repeat is another request")
		}
		if got := second.Header.Get(bus.HeaderRepeat); got != "" {
			t.Errorf("the first sending has %s %q", bus.HeaderRepeat, got)
		}
		if got := third.Header.Get(bus.HeaderRepeat); got != "7" {
			t.Errorf("the repeat has %s %q; want 7, the newest revision known before", bus.HeaderRepeat, got)
		}
		if got := third.Header.Get(bus.HeaderEpoch); got != "3" {
			t.Errorf("the repeat has %s %q; want 3", bus.HeaderEpoch, got)
		}
	})
}

func TestARepeatIsNotSentBeforeTheRegistryHasGivenUpTheFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, disconnected, reply("7", "1", stored))
		if err := register(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		sent := s.requests()
		if gap := sent[1].at.Sub(sent[0].at); gap != firstWriteTry {
			t.Errorf("sent again after %v; want %v", gap, firstWriteTry)
		}
	})
}

func TestAfterALostReplyNoFailureIsCertain(t *testing.T) {
	t.Parallel()
	for _, code := range []bus.Code{
		bus.CodeConflict, bus.CodeExists, bus.CodeNotFound, bus.CodeNotOwner, bus.CodeLeaseExpired,
		bus.CodeUnavailable, bus.CodeInternal, bus.CodeUnknownOutcome,
	} {
		t.Run(string(code), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, _ := scripted(t, silence, failure(code, "1"))
				wantUnknown(t, register(t.Context(), c))
			})
		})
	}
}

func TestWithoutALostReplyAFailureIsWhatItSays(t *testing.T) {
	t.Parallel()
	for code, want := range map[bus.Code]error{
		bus.CodeInvalid: ErrInvalid, bus.CodeConflict: ErrConflict, bus.CodeExists: ErrExists,
		bus.CodeNotFound: ErrNotFound, bus.CodeNotOwner: ErrNotOwner, bus.CodeLeaseExpired: ErrLeaseExpired,
		bus.CodeTooLarge: ErrTooLarge, bus.CodeTimeout: ErrTimeout, bus.CodeUnavailable: ErrUnavailable,
		bus.CodeLimitExceeded: ErrLimitExceeded,
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := scripted(t, failure(code, "1"))
			err := register(t.Context(), c)
			wantErr(t, err, want)
			if errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("%s is an unknown outcome", code)
			}
		})
	}
}

func TestAFaultOfTheRegistryLeavesAWriteUnknownAndAReadInternal(t *testing.T) {
	t.Parallel()
	for _, code := range []bus.Code{bus.CodeInternal, "invented_later"} {
		c, s := scripted(t, failure(code, "1"))
		wantUnknown(t, register(t.Context(), c))
		if n := len(s.requests()); n != 1 {
			t.Errorf("%s: sent %d times; want 1", code, n)
		}
	}
	c, _ := scripted(t, failure(bus.CodeInternal, "1"))
	_, _, err := c.Lookup(t.Context(), key, Read{})
	wantErr(t, err, bus.ErrInternal)
}

func TestAnUnknownOutcomeIsAskedAgainUntilItIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, failure(bus.CodeUnknownOutcome, "1"), failure(bus.CodeUnknownOutcome, "1"), reply("7", "1", stored))
		if err := register(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if n := len(s.requests()); n != 3 {
			t.Errorf("sent %d times; want 3", n)
		}
	})
}

func TestACancelledWriteIsUnavailableBeforeItIsSentAndUnknownAfter(t *testing.T) {
	t.Parallel()
	why := errors.New("changed my mind")
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, silence)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		err := register(ctx, c)
		wantErr(t, err, ErrUnavailable)
		wantErr(t, err, why)
		if n := len(s.requests()); n != 0 {
			t.Errorf("sent %d times; want 0", n)
		}

		ctx, cancel = context.WithCancelCause(t.Context())
		time.AfterFunc(time.Millisecond, func() { cancel(why) })
		err = register(ctx, c)
		wantUnknown(t, err)
		wantErr(t, err, why)
	})
}

func TestAReadIsSentAgainWithinItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, silence, unheard, reply("7", "1", stored))
		begun := time.Now()
		if _, _, err := c.Lookup(t.Context(), key, Read{}); err != nil {
			t.Fatal(err)
		}
		if n := len(s.requests()); n != 3 {
			t.Errorf("sent %d times; want 3", n)
		}
		if took := time.Since(begun); took > 2*firstReadTry {
			t.Errorf("a lost message cost %v", took)
		}
	})
}

func TestAReadThatGetsNoReplyIsUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, silence)
		begun := time.Now()
		page, _, err := c.List(t.Context(), Query{})
		wantErr(t, err, ErrUnavailable)
		if page != nil {
			t.Errorf("got a page beside the error: %v", page)
		}
		if took := time.Since(begun); took != DefaultReadTimeout {
			t.Errorf("took %v; want %v", took, DefaultReadTimeout)
		}
		if !strings.HasPrefix(err.Error(), "list: unavailable: no reply within") {
			t.Errorf("got %q", err)
		}
	})
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, silence)
		time.AfterFunc(time.Second, func() { _ = c.Close() })
		_, _, err := c.Lookup(t.Context(), key, Read{})
		wantErr(t, err, ErrClosed)
		wantErr(t, register(t.Context(), c), ErrClosed)
		if err := c.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

func TestAReadThatNeedsLongIsGivenLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
			allowed, err := time.ParseDuration(m.Header.Get(bus.HeaderTimeout) + "ms")
			if err != nil {
				return nil, err
			}
			if needed := 900 * time.Millisecond; allowed > needed {
				time.Sleep(needed)
				return reply("7", "1", stored)(ctx, m)
			}
			time.Sleep(allowed)
			return failure(bus.CodeUnavailable, "1")(ctx, m)
		}
		c, _ := scripted(t, slow)
		if _, _, err := c.Lookup(t.Context(), key, Read{}); err != nil {
			t.Error(err)
		}
	})
}

func TestALongWaitForARegistryIsPatient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, unheard)
		c.writeTimeout = time.Hour
		wantErr(t, register(t.Context(), c), ErrUnavailable)
		if n := len(s.requests()); n < 3600 || n > 7300 {
			t.Errorf("sent %d times in an hour; want one to two a second", n)
		}
	})
}
