package client

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

const ttl = 15 * time.Second

func over(l *Lease) bool {
	select {
	case <-l.Done():
		return true
	default:
		return false
	}
}

func wantValid(t *testing.T, l *Lease, want bool, when string) {
	t.Helper()
	if got := l.Valid(); got != want {
		t.Errorf("%s: Valid() = %v; want %v", when, got, want)
	}
}

func TestAGrantWhoseReplyIsLostIsTheSameLeaseAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		k.mute = true
		time.AfterFunc(time.Second, func() { k.set(func() { k.mute = false }) })
		l := grant(t, c, ttl)
		if diff := cmp.Diff([]string{l.Secret()}, k.granted); diff != "" {
			t.Error(diff)
		}
		if l.Owner() != bus.Owner(l.Secret()) || bus.ValidateSecret(l.Secret()) != nil || len(l.Secret()) < 26 {
			t.Errorf("got owner %q of a secret of %d characters", l.Owner(), len(l.Secret()))
		}
		if l.TTL() != ttl || l.Grace() != 2*time.Second {
			t.Errorf("got %v and %v; want what the registry granted", l.TTL(), l.Grace())
		}
	})
}

func TestAGrantWaitsForAKeeperAndThenGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		k.away = true
		begun := time.Now()
		_, err := c.Grant(t.Context(), LeaseOptions{})
		wantErr(t, err, ErrUnavailable)
		if took := time.Since(begun); took != DefaultWriteTimeout {
			t.Errorf("gave up after %v; want %v", took, DefaultWriteTimeout)
		}
		time.AfterFunc(3*time.Second, func() { k.set(func() { k.away = false }) })
		grant(t, c, ttl)
	})
}

func TestAGrantThatWasNeverAnsweredIsUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		k.mute = true
		_, err := c.Grant(t.Context(), LeaseOptions{})
		wantUnknown(t, err)
	})
}

func TestALeaseThatEndedBeforeItsGrantWasHeardOfIsNotHandedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		k.mute = true
		time.AfterFunc(time.Second, func() {
			k.set(func() { k.mute = false; k.expire(k.granted[0]) })
		})
		l := grant(t, c, ttl)
		if len(k.granted) != 2 || l.Secret() != k.granted[1] {
			t.Errorf("got secret %d of %d", slices.Index(k.granted, l.Secret()), len(k.granted))
		}
		_, err := c.Grant(t.Context(), LeaseOptions{Secret: k.granted[0]})
		wantErr(t, err, ErrLeaseExpired)
	})
}

func TestALeaseThatWasGrantedAsTheConnectionWasReplacedTellsTheNewOneAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		grant(t, c, ttl) // keeps the connection watched
		k.set(func() { k.delay = 300 * time.Millisecond })
		granted := make(chan *Lease)
		go func() { granted <- grant(t, c, ttl) }()
		time.Sleep(100 * time.Millisecond)
		k.become(nats.RECONNECTING)
		k.become(nats.CONNECTED)
		l := <-granted
		k.set(func() { k.delay = 0 })
		k.heard()
		time.Sleep(time.Second) // half the grace
		for _, b := range k.heard() {
			if slices.Contains(b.secrets, l.Secret()) && b.told != nil && b.told.ClientID == 2 {
				wantValid(t, l, true, "when its connection was told")
				return
			}
		}
		t.Error("the keeper was not told; it ends the lease when the grace of the old connection is over")
	})
}

func TestALeaseIsKeptAliveEveryThirdOfItsTTL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		l := grant(t, c, ttl)
		last := time.Now()
		time.Sleep(10 * ttl)
		synctest.Wait()
		beats := k.heard()
		if n := len(beats); n < 27 || n > 34 {
			t.Errorf("sent %d keepalives in 10 TTL; want some 30", n)
		}
		apart := map[time.Duration]bool{}
		for _, b := range beats {
			gap := b.at.Sub(last)
			apart[gap] = true
			if gap < ttl/3*9/10 || gap > ttl/3*11/10 {
				t.Errorf("keepalive %v after the one before", gap)
			}
			if b.told != nil {
				t.Errorf("told the same keeper again of the same connection")
			}
			last = b.at
		}
		if len(apart) < 10 {
			t.Errorf("%d different pauses; want jitter", len(apart))
		}
		wantValid(t, l, true, "while it is kept alive")
	})
}

func TestAllLeasesOfAClientShareOneMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		for range 20 {
			grant(t, c, ttl)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(2 * ttl)
		synctest.Wait()
		k.heard()
		time.Sleep(ttl)
		synctest.Wait()
		for _, b := range k.heard() {
			if len(b.secrets) != 20 {
				t.Errorf("a keepalive is of %d leases; want 20", len(b.secrets))
			}
		}
	})
}

func TestAMessageHasNoMoreThanAThousandLeases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		for range 2500 {
			grant(t, c, ttl)
		}
		time.Sleep(ttl * 2 / 5)
		synctest.Wait()
		beats := k.heard()
		alive := map[string]bool{}
		for _, b := range beats {
			if len(b.secrets) > bus.MaxKeepalive {
				t.Errorf("a keepalive is of %d leases", len(b.secrets))
			}
			for _, s := range b.secrets {
				alive[s] = true
			}
		}
		if len(alive) != 2500 || len(beats) > 6 {
			t.Errorf("%d messages kept %d leases alive; want few, and all", len(beats), len(alive))
		}
	})
}

func TestAfterAReconnectALeaseIsKeptAliveAtOnceAndTellsItsConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		l := grant(t, c, ttl)
		time.Sleep(time.Second)
		k.become(nats.RECONNECTING)
		time.Sleep(300 * time.Millisecond)
		k.become(nats.CONNECTED)
		synctest.Wait()
		beats := k.heard()
		if len(beats) != 1 || beats[0].told == nil || beats[0].told.ClientID != 2 || beats[0].at != time.Now() {
			t.Fatalf("got %+v; want one keepalive at once that tells of connection 2", beats)
		}
		time.Sleep(1500 * time.Millisecond)
		wantValid(t, l, true, "long after the loss, kept alive since")
	})
}

func TestANewKeeperIsToldOfTheConnectionAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		grant(t, c, ttl)
		k.set(func() { k.term = 2 })
		time.Sleep(ttl)
		synctest.Wait()
		beats := k.heard()
		if beats[0].told != nil || beats[1].told == nil || beats[1].at != beats[0].at {
			t.Errorf("got %+v, then %+v; want the second at once, with the connection", beats[0], beats[1])
		}
		for _, b := range beats[2:] {
			if b.told != nil {
				t.Error("told the same keeper again")
			}
		}
	})
}

func TestOfAConnectionThatIsNotNumberedNothingIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		k.conn = bus.Connection{}
		grant(t, c, ttl)
		k.set(func() { k.term = 2 })
		time.Sleep(ttl)
		synctest.Wait()
		if n := len(k.heard()); n > 4 {
			t.Errorf("sent %d keepalives in one TTL", n)
		}
	})
}

func TestOnlyTheRegistryEndsALeaseForItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		first, second := grant(t, c, ttl), grant(t, c, ttl)
		k.set(func() { k.expire(first.Secret()) })
		time.Sleep(ttl / 2)
		synctest.Wait()
		wantErr(t, first.Err(), ErrLeaseExpired)
		if !over(first) || first.Valid() || !first.Deadline().IsZero() {
			t.Error("the ended lease goes on")
		}
		if over(second) || !second.Valid() {
			t.Error("the other one does not")
		}
		k.set(func() { k.expire(second.Secret()) }) // the only one in its message
		time.Sleep(ttl / 2)
		synctest.Wait()
		wantErr(t, second.Err(), ErrLeaseExpired)
		k.heard()
		time.Sleep(10 * ttl)
		if n := len(k.heard()); n != 0 {
			t.Errorf("%d keepalives of ended leases", n)
		}
	})
}

func TestARevokedLeaseIsNotValidFromTheCallOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		l := grant(t, c, ttl)
		k.set(func() { k.away = true })
		wantErr(t, l.Revoke(t.Context()), ErrUnavailable)
		wantErr(t, l.Err(), ErrRevoked)
		wantValid(t, l, false, "given up in vain")
		if !over(l) || len(k.live) != 1 {
			t.Error("got an end that is none")
		}
		k.set(func() { k.away = false })
		if err := l.Revoke(t.Context()); err != nil || len(k.live) != 0 {
			t.Errorf("got %v, and %d leases", err, len(k.live))
		}
		if err := l.Revoke(t.Context()); err != nil {
			t.Errorf("the second time: %v", err)
		}
		grant(t, c, ttl) // the keeping begins again
	})
}

func TestCloseEndsEveryLeaseAndTheKeeping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		l := grant(t, c, ttl)
		k.set(func() { k.mute = true })
		time.Sleep(ttl / 2) // a keepalive is under way
		_ = c.Close()
		wantErr(t, l.Err(), ErrClosed)
		wantErr(t, l.Revoke(t.Context()), ErrClosed)
		if len(k.listeners) != 0 {
			t.Errorf("%d listeners are left at the connection", len(k.listeners))
		}
		_, err := c.Grant(t.Context(), LeaseOptions{})
		wantErr(t, err, ErrClosed)
	})
}

func TestAConnectionThatIsClosedForGoodEndsItsLeases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		l := grant(t, c, ttl)
		k.become(nats.CLOSED)
		synctest.Wait()
		wantErr(t, l.Err(), ErrClosed)
	})
}

func TestASecretIsAdoptedOnlyWhileItsLeaseLives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		other, _ := newKeeper(t)
		other.link, other.line = k, k
		l := grant(t, c, ttl)
		adopted, err := other.Adopt(t.Context(), l.Secret())
		if err != nil || adopted.Owner() != l.Owner() || adopted.TTL() != ttl {
			t.Errorf("got %+v, %v", adopted, err)
		}
		if again, _ := other.Adopt(t.Context(), l.Secret()); again != adopted {
			t.Error("the same lease twice is two")
		}
		unknown := "0123456789012345678901"
		_, err = c.Adopt(t.Context(), unknown)
		wantErr(t, err, ErrLeaseExpired)
		if slices.Contains(k.granted, unknown) {
			t.Error("a lease was granted by the way")
		}
		_, err = c.Adopt(t.Context(), "short")
		wantErr(t, err, ErrInvalid)
	})
}

func TestWritesOfAnOwnerTravelWithItsSecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newKeeper(t)
		l := grant(t, c, ttl)
		w := Write{Owner: l.Owner()}
		r, _, err := c.Register(t.Context(), Registration{Key: key}, w)
		if err != nil || r.Owner != l.Owner() {
			t.Fatalf("got %+v, %v", r, err)
		}
		if _, _, err := c.Update(t.Context(), key, Change{}, w); err != nil {
			t.Error(err)
		}
		results, _, err := c.Batch(t.Context(), []Operation{{Kind: OpRegister, Registration: Registration{Key: key}, Write: w}}, false)
		if err != nil || results[0].Err != nil {
			t.Errorf("got %+v, %v", results, err)
		}
		if _, _, err := c.Unregister(t.Context(), key, w); err != nil {
			t.Error(err)
		}
		_ = l.Revoke(t.Context())
		_, _, err = c.Register(t.Context(), Registration{Key: key}, w)
		wantErr(t, err, ErrLeaseExpired)
	})
}

func TestARefusedWriteHasTheKeeperAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		l := grant(t, c, ttl)
		k.set(func() { k.expire(l.Secret()) })
		_, _, err := c.Register(t.Context(), Registration{Key: key}, Write{Owner: l.Owner()})
		wantErr(t, err, ErrLeaseExpired)
		synctest.Wait()
		if !over(l) {
			t.Error("the lease goes on until its next keepalive")
		}
	})
}

func TestAContextOfALeaseEndsWhenItIsNotValid(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		happens func(k *keeper, l *Lease)
		after   time.Duration
		want    error
	}{
		"nothing is heard":    {func(k *keeper, _ *Lease) { k.set(func() { k.away = true }) }, ttl, ErrUnavailable},
		"the connection goes": {func(k *keeper, _ *Lease) { k.become(nats.RECONNECTING) }, time.Second, ErrUnavailable},
		"it is revoked":       {func(_ *keeper, l *Lease) { _ = l.Revoke(context.Background()) }, 0, ErrRevoked},
		"it is closed":        {func(_ *keeper, l *Lease) { _ = l.c.Close() }, 0, ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, k := newKeeper(t)
				l := grant(t, c, ttl)
				ctx, cancel := l.Context(t.Context())
				defer cancel()
				begun := time.Now()
				test.happens(k, l)
				<-ctx.Done()
				wantErr(t, context.Cause(ctx), test.want)
				if took := time.Since(begun); took != test.after {
					t.Errorf("ended after %v; want %v", took, test.after)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c, _ := newKeeper(t)
		l := grant(t, c, ttl)
		ctx, cancel := l.Context(t.Context())
		time.Sleep(10 * ttl)
		if ctx.Err() != nil {
			t.Errorf("ended while the lease was valid: %v", context.Cause(ctx))
		}
		cancel()
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), context.Canceled) {
			t.Errorf("got cause %v", context.Cause(ctx))
		}
	})
}
