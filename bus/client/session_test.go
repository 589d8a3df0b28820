package client

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// hooks is what the hooks of a session were told.
type hooks struct {
	mu       sync.Mutex
	renewals []Renewal
	changes  []string
}

func (h *hooks) options() SessionOptions {
	return SessionOptions{
		Lease: LeaseOptions{TTL: ttl},
		OnRenewed: func(r Renewal) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.renewals = append(h.renewals, r)
		},
		OnRegistration: func(key Key, err error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			what := "back"
			if errors.Is(err, ErrExists) {
				what = "taken"
			} else if err != nil {
				what = err.Error()
			}
			h.changes = append(h.changes, key.Instance+" "+what)
		},
	}
}

func (h *hooks) renewed() []Renewal {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.renewals)
}

func (h *hooks) changed() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.changes)
}

func session(t *testing.T, c *Client, o SessionOptions) *Session {
	t.Helper()
	s, err := c.NewSession(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); <-s.Done() })
	return s
}

func payment(instance string) Registration {
	return Registration{
		Key:    Key{Namespace: "default", Service: "payments", Instance: instance},
		Weight: 7, Metadata: `{"of":"` + Metadata(instance) + `"}`,
	}
}

func (k *keeper) instances(owner string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var found []string
	for _, token := range slices.Sorted(maps.Keys(k.stored)) {
		if k.holders[token] == owner {
			found = append(found, strings.TrimPrefix(token, "default.payments.")+*text(k.stored[token]))
		}
	}
	return found
}

func text(q bus.RegisterRequest) *string {
	s := ""
	if q.Metadata != nil {
		s = q.Metadata.String()
	}
	return &s
}

func enter(t *testing.T, s *Session, instances ...string) {
	t.Helper()
	for _, instance := range instances {
		if _, _, err := s.Register(t.Context(), payment(instance), Write{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASessionWhoseLeaseHasEndedIsGrantedAnotherAndRegistersEverythingAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		var h hooks
		s := session(t, c, h.options())
		enter(t, s, "a", "b", "c")
		if _, _, err := s.Update(t.Context(), payment("b").Key, Change{Metadata: new(Metadata(`{"of":"new"}`))}, Write{}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Unregister(t.Context(), payment("c").Key, Write{}); err != nil {
			t.Fatal(err)
		}
		old := s.Lease()
		k.set(func() { k.expire(old.Secret()) })
		time.Sleep(ttl)
		synctest.Wait()
		now := s.Lease()
		want := []string{`a{"of":"a"}`, `b{"of":"new"}`}
		if diff := cmp.Diff(want, k.instances(now.Owner())); diff != "" {
			t.Error(diff)
		}
		got := h.renewed()
		if len(got) != 1 || got[0].Old != old.Owner() || got[0].New != now.Owner() || got[0].Err != nil || !errors.Is(got[0].Cause, ErrLeaseExpired) {
			t.Errorf("the hook was told %+v", got)
		}
		if err := s.Registered(); err != nil || now == old || over(now) {
			t.Errorf("got %v", err)
		}
		if k.stored["default.payments.a"].Weight == nil || *k.stored["default.payments.a"].Weight != 7 {
			t.Error("the weight was lost")
		}
	})
}

func TestASessionOutlivesAnOutageAfterWhichNothingIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		var h hooks
		s := session(t, c, h.options())
		enter(t, s, "a", "b")
		old := s.Lease()
		k.become(nats.RECONNECTING)
		k.set(func() { k.away = true })
		time.Sleep(10 * ttl)
		if over(old) || len(h.renewed()) != 0 {
			t.Error("an outage has ended the lease")
		}
		if err := s.Registered(); err == nil {
			t.Error("registered, without word for 10 TTL")
		}
		k.set(func() { k.expire(old.Secret()); k.epoch = 2 }) // the store was lost
		k.become(nats.CONNECTED)
		time.Sleep(10 * time.Second)
		if err := s.Registered(); err == nil {
			t.Error("registered, without a keeper")
		}
		k.set(func() { k.away = false })
		time.Sleep(ttl)
		synctest.Wait()
		if n := len(k.instances(s.Lease().Owner())); n != 2 {
			t.Errorf("%d registrations are back; want 2", n)
		}
		if err := s.Registered(); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatTheStoreLostUnderALivingLeaseComesBack(t *testing.T) {
	t.Parallel()
	for name, happens := range map[string]func(k *keeper){
		"a new epoch": func(k *keeper) { k.set(func() { k.epoch++ }) },
		"a reconnect": func(k *keeper) { k.become(nats.RECONNECTING); k.become(nats.CONNECTED) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, k := newKeeper(t)
				s := session(t, c, SessionOptions{Lease: LeaseOptions{TTL: ttl}})
				enter(t, s, "a", "b")
				k.set(func() { clear(k.stored); clear(k.holders) })
				time.Sleep(10 * ttl)
				if n := len(k.instances(s.Lease().Owner())); n != 0 {
					t.Errorf("%d registrations came back for no reason", n)
				}
				happens(k)
				time.Sleep(ttl)
				synctest.Wait()
				if n := len(k.instances(s.Lease().Owner())); n != 2 {
					t.Errorf("%d registrations are back; want 2", n)
				}
			})
		})
	}
}

func TestANameThatWasTakenIsToldAndTriedUntilItIsFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		var h hooks
		s := session(t, c, h.options())
		enter(t, s, "a", "b")
		k.set(func() {
			k.expire(s.Lease().Secret())
			k.holders["default.payments.a"] = "another"
		})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"a taken"}, h.changed()); diff != "" {
			t.Errorf("the hook was told more or less than once: %s", diff)
		}
		if err := h.renewed()[0].Err; !errors.Is(err, ErrExists) {
			t.Errorf("the renewal says %v", err)
		}
		wantErr(t, s.Registered(), ErrExists)
		if n := len(k.instances(s.Lease().Owner())); n != 1 {
			t.Errorf("%d of the others are there; want 1", n)
		}
		if n := len(k.writes); n > 60 {
			t.Errorf("asked %d times in 10 minutes", n)
		}
		k.set(func() { delete(k.holders, "default.payments.a") })
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"a taken", "a back"}, h.changed()); diff != "" {
			t.Error(diff)
		}
		if err := s.Registered(); err != nil {
			t.Error(err)
		}
	})
}

func TestANameThatWasTakenIsGivenUpWhereThatIsWanted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		var h hooks
		o := h.options()
		o.ForgetTaken = true
		s := session(t, c, o)
		enter(t, s, "a", "b")
		k.set(func() {
			k.expire(s.Lease().Secret())
			k.holders["default.payments.a"] = "another"
			k.refuse["default.payments.b"] = bus.CodeTooLarge
		})
		time.Sleep(time.Minute)
		k.set(func() { delete(k.holders, "default.payments.a"); clear(k.refuse) })
		time.Sleep(time.Minute)
		synctest.Wait()
		got := h.changed()
		if len(got) != 3 || got[0] != "a taken" || got[2] != "b back" {
			t.Errorf("the hook was told %q", got)
		}
		if diff := cmp.Diff([]string{`b{"of":"b"}`}, k.instances(s.Lease().Owner())); diff != "" {
			t.Error(diff)
		}
	})
}

func TestASessionThatIsWantedOnceEndsWithItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		s := session(t, c, SessionOptions{Once: true})
		enter(t, s, "a")
		k.set(func() { k.expire(s.Lease().Secret()) })
		<-s.Done()
		wantErr(t, s.Err(), ErrLeaseExpired)
		_, _, err := s.Register(t.Context(), payment("b"), Write{})
		wantErr(t, err, ErrLeaseExpired)
		if len(k.granted) != 1 || s.Close(t.Context()) != nil {
			t.Errorf("%d leases were granted", len(k.granted))
		}
	})
}

func TestASecretThatASessionIsGivenIsUsedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		secret := "0123456789012345678901"
		s := session(t, c, SessionOptions{Lease: LeaseOptions{Secret: secret, TTL: ttl}})
		k.set(func() { k.expire(secret) })
		time.Sleep(ttl)
		synctest.Wait()
		if s.Lease().Secret() == secret || !s.Valid() || !slices.Contains(k.granted, secret) {
			t.Errorf("the leases that were granted: %d", len(k.granted))
		}
	})
}

func TestAClosedSessionLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		s := session(t, c, SessionOptions{})
		enter(t, s, "a", "b")
		k.set(func() { k.away = true })
		wantErr(t, s.Close(t.Context()), ErrUnavailable)
		k.set(func() { k.away = false })
		for range 2 {
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if len(k.live) != 0 || len(k.stored) != 0 {
			t.Errorf("left %d leases and %d registrations", len(k.live), len(k.stored))
		}
		wantErr(t, s.Err(), ErrClosed)
		_, _, err := s.Register(t.Context(), payment("c"), Write{})
		wantErr(t, err, ErrClosed)
	})
}

func TestASessionEndsWithItsClientAndWhenItsLeaseIsRevoked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newKeeper(t)
		first, second := session(t, c, SessionOptions{}), session(t, c, SessionOptions{})
		if err := first.Lease().Revoke(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-first.Done()
		wantErr(t, first.Err(), ErrRevoked)
		_ = c.Close()
		<-second.Done()
		wantErr(t, second.Err(), ErrClosed)
	})
}

func TestAWriteOfASessionWaitsForTheNextLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		s := session(t, c, SessionOptions{Lease: LeaseOptions{TTL: ttl}})
		enter(t, s, "a")
		k.set(func() { k.expire(s.Lease().Secret()) })
		begun := time.Now()
		enter(t, s, "b") // is told first that the lease has ended
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		// An update of what is not there yet again makes it first.
		k.set(func() { k.expire(s.Lease().Secret()) })
		if _, _, err := s.Update(t.Context(), payment("a").Key, Change{Metadata: new(Metadata(`{"of":"x"}`))}, Write{}); err != nil {
			t.Error(err)
		}
		time.Sleep(ttl)
		synctest.Wait()
		if diff := cmp.Diff([]string{`a{"of":"x"}`, `b{"of":"b"}`}, k.instances(s.Lease().Owner())); diff != "" {
			t.Error(diff)
		}
		_, _, err := s.Register(t.Context(), payment("c"), Write{Owner: "somebody"})
		wantErr(t, err, ErrInvalid)
	})
}

func TestAWriteOfASessionWithoutALeaseIsUnavailableInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		s := session(t, c, SessionOptions{Lease: LeaseOptions{TTL: ttl}})
		k.set(func() {
			k.expire(s.Lease().Secret())
			k.instead = func(subject string) *bus.Error {
				if subject == "lease.grant" {
					return &bus.Error{Code: bus.CodeLimitExceeded, Message: "too many leases"}
				}
				return nil
			}
		})
		time.Sleep(ttl)
		begun := time.Now()
		_, _, err := s.Register(t.Context(), payment("a"), Write{})
		wantErr(t, err, ErrUnavailable)
		if took := time.Since(begun); took != DefaultWriteTimeout {
			t.Errorf("took %v; want %v", took, DefaultWriteTimeout)
		}
		k.set(func() { k.instead = nil })
		time.Sleep(time.Minute)
		enter(t, s, "a")
	})
}

func TestARegisterWhoseOutcomeIsUnknownIsMadeUpFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		s := session(t, c, SessionOptions{Lease: LeaseOptions{TTL: ttl}})
		k.set(func() { k.mute = true })
		_, _, err := s.Register(t.Context(), payment("a"), Write{})
		wantUnknown(t, err)
		_, _, err = s.Register(t.Context(), payment("b"), Write{})
		wantUnknown(t, err)
		_, _, err = s.Unregister(t.Context(), payment("b").Key, Write{})
		wantUnknown(t, err)
		k.set(func() { k.mute = false; clear(k.stored); clear(k.holders) })
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{`a{"of":"a"}`}, k.instances(s.Lease().Owner())); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhatWasCertainlyNotRegisteredIsNotRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		s := session(t, c, SessionOptions{Lease: LeaseOptions{TTL: ttl}})
		k.set(func() { k.holders["default.payments.a"] = "another" })
		_, _, err := s.Register(t.Context(), payment("a"), Write{})
		wantErr(t, err, ErrExists)
		for r := range s.Registrations() {
			t.Errorf("remembers %s", r.Key)
		}
	})
}

func TestARemovalByAnOperatorIsUndoneAtTheNextUpdate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		s := session(t, c, SessionOptions{Lease: LeaseOptions{TTL: ttl}})
		enter(t, s, "a")
		k.set(func() { clear(k.stored); clear(k.holders) })
		_, _, err := s.Update(t.Context(), payment("a").Key, Change{}, Write{})
		wantErr(t, err, ErrNotFound)
		wantErr(t, s.Registered(), ErrUnavailable)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if err := s.Registered(); err != nil || len(k.instances(s.Lease().Owner())) != 1 {
			t.Errorf("got %v", err)
		}
	})
}

func TestManyRegistrationsComeBackInFewMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		s := session(t, c, SessionOptions{Lease: LeaseOptions{TTL: ttl}})
		const n = backend.MaxBatch + 500
		for i := range n {
			enter(t, s, fmt.Sprint(i))
		}
		k.set(func() { k.expire(s.Lease().Secret()); k.writes = nil })
		time.Sleep(ttl)
		synctest.Wait()
		if got := len(k.instances(s.Lease().Owner())); got != n || len(k.writes) > 4 {
			t.Errorf("%d of %d came back with %d requests", got, n, len(k.writes))
		}
	})
}

func TestAWriteThatOvertakesARestoreIsNotUndoneByIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, k := newKeeper(t)
		s := session(t, c, SessionOptions{Lease: LeaseOptions{TTL: ttl}})
		enter(t, s, "a")
		k.set(func() { k.delay = 100 * time.Millisecond; k.epoch++ })
		for i := range 300 {
			value := Metadata(fmt.Sprintf(`{"i":%d}`, i))
			if _, _, err := s.Update(t.Context(), payment("a").Key, Change{Metadata: &value}, Write{}); err != nil {
				t.Fatal(err)
			}
			if got := k.instances(s.Lease().Owner()); len(got) != 1 || got[0] != "a"+string(value) {
				t.Fatalf("update %d: there is %q", i, got)
			}
		}
	})
}
