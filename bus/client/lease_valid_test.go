package client

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

func TestALeaseIsValidForItsTTLFromTheSendingOfTheNewestAcknowledgedKeepalive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		k.delay = 400 * time.Millisecond
		sent := time.Now()
		l := grant(t, c, ttl)
		if got := l.Deadline(); got != sent.Add(ttl) {
			t.Errorf("valid until %v after the grant was sent; want %v", got.Sub(sent), ttl)
		}
		k.set(func() { k.mute = true })
		time.Sleep(time.Until(sent.Add(ttl)) - time.Nanosecond)
		wantValid(t, l, true, "1ns before the end")
		time.Sleep(time.Nanosecond)
		wantValid(t, l, false, "at the end")
	})
}

func TestAKeepaliveWhoseReplyTakesLongCountsFromItsSending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		l := grant(t, c, ttl)
		k.set(func() { k.delay = 300 * time.Millisecond })
		time.Sleep(ttl / 2)
		if got, want := l.Deadline(), k.heard()[0].at.Add(ttl); got != want {
			t.Errorf("valid until %v later than that", got.Sub(want))
		}
	})
}

func TestWhatWasSentOverALostConnectionIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		grant(t, c, ttl)
		k.set(func() { k.mute = true })
		for len(k.heard()) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		k.set(func() { k.mute = false })
		k.become(nats.RECONNECTING)
		k.become(nats.CONNECTED)
		synctest.Wait()
		if n := len(k.heard()); n == 0 {
			t.Error("no keepalive over the new connection yet")
		}
	})
}

func TestALeaseOfWhichNothingIsHeardIsUncertainAndComesBack(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(k *keeper, away bool){
		"no keeper":   func(k *keeper, away bool) { k.set(func() { k.away = away }) },
		"no answer":   func(k *keeper, away bool) { k.set(func() { k.mute = away }) },
		"unavailable": func(k *keeper, away bool) { k.set(func() { k.instead = unavailableIf(away) }) },
		"no connection": func(k *keeper, away bool) {
			k.become(map[bool]nats.Status{true: nats.RECONNECTING, false: nats.CONNECTED}[away])
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, k := newKeeper(t)
				l := grant(t, c, ttl)
				away(k, true)
				time.Sleep(10 * ttl)
				wantValid(t, l, false, "after 10 TTL without word")
				if over(l) || l.Err() != nil {
					t.Errorf("it is over: %v", l.Err())
				}
				tries := len(k.heard())
				away(k, false)
				time.Sleep(5 * time.Second)
				wantValid(t, l, true, "after word has come")
				if tries > 300 {
					t.Errorf("%d keepalives in 10 TTL of silence", tries)
				}
			})
		})
	}
}

func unavailableIf(away bool) func(string) *bus.Error {
	return func(string) *bus.Error {
		if away {
			return &bus.Error{Code: bus.CodeUnavailable, Message: "starting"}
		}
		return nil
	}
}

func TestALeaseIsNotValidForLongerThanHalfItsGraceAfterItsConnectionWasLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		l := grant(t, c, ttl)
		k.become(nats.RECONNECTING)
		time.Sleep(time.Second - time.Nanosecond)
		wantValid(t, l, true, "before half the grace")
		time.Sleep(time.Nanosecond)
		wantValid(t, l, false, "after half the grace")
		// The next connection counts only when a keepalive over it was acknowledged.
		k.set(func() { k.away = true })
		k.become(nats.CONNECTED)
		synctest.Wait()
		wantValid(t, l, false, "connected, nothing acknowledged")
		k.set(func() { k.away = false })
		time.Sleep(2 * time.Second)
		wantValid(t, l, true, "acknowledged over the new connection")
	})
}

func TestAKeepaliveSentBeforeTheLossDoesNotMakeUpForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		l := grant(t, c, ttl)
		losses := c.leases.sending(nil)
		sent := time.Now()
		k.set(func() { k.away = true })
		time.Sleep(time.Millisecond)
		k.become(nats.RECONNECTING)
		synctest.Wait()
		lost := time.Now()
		time.Sleep(200 * time.Millisecond)
		c.leases.acknowledged([]*Lease{l}, &ack{sent: sent, conn: l.conn, losses: losses, term: 1, epoch: 1})
		if got, want := l.Deadline(), lost.Add(time.Second); got != want {
			t.Errorf("valid for %v after the loss; want 1s", got.Sub(lost))
		}
	})
}

func TestALeaseWithoutGraceIsNotValidFromTheLossOfItsConnectionOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		l, err := c.Grant(t.Context(), LeaseOptions{TTL: ttl, Grace: new(time.Duration)})
		if err != nil {
			t.Fatal(err)
		}
		wantValid(t, l, true, "connected")
		// Also if nobody has told of it: what the connection says of itself counts.
		k.set(func() { k.status = nats.RECONNECTING })
		wantValid(t, l, false, "disconnected")
	})
}

func TestAConnectionThatWasReplacedUnnoticedCountsAsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		l, err := c.Grant(t.Context(), LeaseOptions{TTL: ttl, Grace: new(time.Duration)})
		if err != nil {
			t.Fatal(err)
		}
		k.set(func() { k.conn.ClientID = 9 })
		wantValid(t, l, false, "over another connection")
		time.Sleep(ttl * 2 / 5)
		synctest.Wait()
		if b := k.heard()[0]; b.told == nil || b.told.ClientID != 9 {
			t.Errorf("told of %+v; want connection 9", b.told)
		}
		wantValid(t, l, true, "kept alive over it")
	})
}
