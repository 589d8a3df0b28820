package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// TestAKeepaliveAndAnEndingAtTheEdgeNeverContradictEachOtherOverNATS sends keepalives when
// leases are about to end: whichever is answered to have come in time counts, for a whole
// TTL, and whichever is answered to have come late finds nothing any more. L1, R3, R4.
func TestAKeepaliveAndAnEndingAtTheEdgeNeverContradictEachOtherOverNATS(t *testing.T) {
	t.Parallel()
	const programs, rounds = 60, 6
	n := singleNode(t, 1)
	look := lookerAt(t, n.url)
	removed := hearRemovals(t, n.url, "payments")
	var inTime, late atomic.Int64
	var all sync.WaitGroup
	for i := range programs {
		all.Go(func() {
			// When to send the keepalive, after the grant. It comes nearer and nearer to the edge.
			edge := time.Second + time.Duration(i)*time.Millisecond
			for round := range rounds {
				instance := fmt.Sprintf("i-%d-%d", i, round)
				switch onTheEdge(t, n.url, look, removed, instance, edge) {
				case cameInTime:
					inTime.Add(1)
					edge += 4 * time.Millisecond
				case cameTooLate:
					late.Add(1)
					edge -= 4 * time.Millisecond
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d keepalives in time, %d too late", inTime.Load(), late.Load())
	if inTime.Load() < programs/4 || late.Load() < programs/4 {
		t.Errorf("%d keepalives in time, %d too late; want some of both, or it was not at the edge", inTime.Load(), late.Load())
	}
}

// How a keepalive came.
const (
	neverCame   = iota // the machine is too busy
	cameInTime         // and was acknowledged
	cameTooLate        // and was told so
)

// onTheEdge grants a lease of a second, keeps it alive once, that long after, and returns
// how that came.
func onTheEdge(t *testing.T, url string, c *client.Client, removed *removals, instance string, after time.Duration) int {
	t.Helper()
	const ttl = time.Second
	granted := time.Now()
	lease, err := c.GrantLoose(t.Context(), client.LeaseOptions{TTL: ttl})
	if err != nil {
		t.Errorf("grant: %v", err)
		return neverCame
	}
	as := lookerAt(t, url, client.WithSecrets(lease.Secret))
	defer as.Close()
	if _, _, err := as.Register(t.Context(), payments(instance), client.Write{Owner: lease.Owner}); err != nil {
		if time.Since(granted) < ttl {
			t.Errorf("register %s: %v", instance, err)
		}
		return neverCame
	}
	noSooner(time.Until(granted.Add(after)))
	sent := time.Now()
	expired, err := c.KeepAlive(t.Context(), lease.Secret)
	if err != nil {
		t.Errorf("keep %s alive: %v", instance, err)
		return neverCame
	}
	is, _, err := c.Lookup(t.Context(), paymentsKey(instance), linearizably)
	if len(expired) == 1 {
		if !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("%s, whose lease has ended, is there: %+v, %v", instance, is, err)
		}
		if end := removed.seek(t, instance); end.at.Sub(granted) < ttl {
			t.Errorf("%s ended %v after its lease was granted for %v", instance, end.at.Sub(granted), ttl)
		}
		return cameTooLate
	}
	if looked := time.Since(sent); err != nil && looked < ttl {
		t.Errorf("%s, which was kept alive, is not there %v later: %v", instance, looked, err)
	}
	if end := removed.seek(t, instance); end.at.Sub(sent) < ttl {
		t.Errorf("%s ended %v after a keepalive was sent that was acknowledged", instance, end.at.Sub(sent))
	}
	return cameInTime
}

// seek is await for one of many who wait.
func (r *removals) seek(t *testing.T, instance string) (found removal) {
	t.Helper()
	natstest.Await(t, "removal of "+instance, func() (ok bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		found, ok = r.all[instance]
		return ok
	})
	return found
}

// TestNothingOfALeaseIsThereOnceItsRevokeWasAnsweredWhateverItsOwnerRegisters revokes leases
// while their owners register. R3.
func TestNothingOfALeaseIsThereOnceItsRevokeWasAnsweredWhateverItsOwnerRegisters(t *testing.T) {
	t.Parallel()
	const rounds, programs = 50, 4
	n := singleNode(t, 1)
	look := lookerAt(t, n.url)
	watched := watchOwners(t, look)
	var all sync.WaitGroup
	for i := range programs {
		all.Go(func() {
			for round := range rounds {
				r := revokedWhileItRegisters(t, n.url, look, fmt.Sprintf("p%d-%d", i, round), time.Duration(round)*time.Millisecond/4)
				watched.await(t, r)
			}
		})
	}
	all.Wait()
}

// revokedWhileItRegisters has the owner of a lease register many names, again and again,
// and revokes the lease meanwhile, after a while. It returns the owner.
func revokedWhileItRegisters(t *testing.T, url string, look *client.Client, name string, after time.Duration) (owner string) {
	t.Helper()
	lease, err := look.GrantLoose(t.Context(), client.LeaseOptions{TTL: time.Hour})
	if err != nil {
		t.Errorf("grant: %v", err)
		return ""
	}
	c := lookerAt(t, url, client.WithSecrets(lease.Secret))
	defer c.Close()
	var revoked atomic.Bool
	var writers sync.WaitGroup
	begun := make(chan struct{}, 1)
	names := make([]string, 5)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", name, i)
		writers.Go(func() {
			for weight := uint16(0); ; weight++ {
				r := payments(names[i])
				r.Weight = weight // or nothing would be written
				late := revoked.Load()
				_, _, err := c.Register(t.Context(), r, client.Write{Owner: lease.Owner})
				switch {
				case err == nil && late:
					t.Errorf("%s was registered after the revoke had been answered", names[i])
				case err == nil:
					select {
					case begun <- struct{}{}:
					default:
					}
					continue
				case !errors.Is(err, backend.ErrLeaseExpired) && !errors.Is(err, backend.ErrUnknownOutcome):
					t.Errorf("register %s: %v", names[i], err)
				}
				return
			}
		})
	}
	defer writers.Wait()
	<-begun
	noSooner(after)
	_, err = look.RevokeSecret(t.Context(), lease.Secret)
	revoked.Store(true)
	if err != nil && !errors.Is(err, backend.ErrLeaseExpired) { // which is the answer to one that is sent again
		t.Errorf("revoke: %v", err)
		return lease.Owner
	}
	for again := range 3 {
		for _, one := range names {
			if r, _, err := look.Lookup(t.Context(), paymentsKey(one), linearizably); !errors.Is(err, backend.ErrNotFound) {
				t.Errorf("%s is found (look %d): %+v, %v", one, again, r, err)
			}
		}
		for _, read := range []client.Read{{}, linearizably} {
			for r, err := range look.All(t.Context(), client.Query{Scope: allPayments, Read: read}) {
				if err != nil {
					t.Errorf("list: %v", err)
				} else if r.Owner == lease.Owner {
					t.Errorf("%s is listed (look %d)", r.Key, again)
				}
			}
		}
	}
	return lease.Owner
}

var allPayments = client.Scope{Namespace: "default", Service: "payments"}

// watchedOwners is what somebody who watches all payments sees of owners.
type watchedOwners struct {
	mu    sync.Mutex
	state map[string]string // instance → owner
}

func watchOwners(t *testing.T, c *client.Client) *watchedOwners {
	t.Helper()
	w := &watchedOwners{state: map[string]string{}}
	ctx, cancel := context.WithCancel(t.Context())
	events := c.Watch(ctx, client.Query{Scope: allPayments}, 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e, err := range events {
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("watch: %v", err)
				}
				return
			}
			w.mu.Lock()
			switch {
			case e.Registration == nil:
			case e.Kind == client.Registered || e.Kind == client.Updated:
				w.state[e.Registration.Instance] = e.Registration.Owner
			default:
				delete(w.state, e.Registration.Instance)
			}
			w.mu.Unlock()
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// await waits until nothing of owner is to be seen any more: what was written as the lease
// ended is void, but may have been told of.
func (w *watchedOwners) await(t *testing.T, owner string) {
	t.Helper()
	natstest.Await(t, "end of what "+owner+" has registered", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, is := range w.state {
			if is == owner {
				return false
			}
		}
		return true
	})
}
