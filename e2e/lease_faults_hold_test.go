package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// holdShare and many are such that all of many are held back.
const (
	holdShare = 0.3
	many      = 200
)

// reported waits until the node says something of its leases, and returns what it says.
func reported(t *testing.T, c *client.Client, what string, is func(r *bus.HealthReply) bool) *bus.HealthReply {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < reportPatience; {
		r, err := c.Report(t.Context())
		if err == nil && r.Held != nil && r.Suspects != nil && is(r) {
			return r
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Fatalf("no %s after %v", what, reportPatience)
	return nil
}

// reportPatience is longer than the TTL of whoever is cut off, by more than a new keeper
// adds to it: such a one does not know the connections of those who have not been heard
// since, and holds them back only when their time is over.
const reportPatience = 90 * time.Second

// TestNothingIsRemovedWhenTheLinksOfAllAreLostForLessThanTheHold cuts many clients off at
// once, in silence and by closing their connections, until they are held. L5.
func TestNothingIsRemovedWhenTheLinksOfAllAreLostForLessThanTheHold(t *testing.T) {
	t.Parallel()
	for _, lost := range []struct {
		name       string
		ttl        time.Duration // which is the hold: long, so that a busy machine connects all in less
		lose, mend func(t *testing.T, p *natstest.Proxy)
	}{
		{"InSilence", 12 * time.Second, func(t *testing.T, p *natstest.Proxy) { p.Cut(t) }, func(t *testing.T, p *natstest.Proxy) { p.Heal(t) }},
		{"Closed", 30 * time.Second, func(_ *testing.T, p *natstest.Proxy) { p.Break() }, func(t *testing.T, p *natstest.Proxy) { p.Mend(t) }},
	} {
		t.Run(lost.name, func(t *testing.T) {
			n := singleNode(t, holdShare)
			link := natstest.Through(t, n.url)
			o := client.LeaseOptions{TTL: lost.ttl, Grace: new(time.Second)}
			f := fleetAt(t, link.URL(), "many", many, many, o)
			looker, err := client.Connect(t.Context(), n.url, client.WithPrefix(keeperPrefix))
			if err != nil {
				t.Fatal(err)
			}
			defer looker.Close()
			ends := hearRemovals(t, n.url, "many")
			before := listed(t, looker, "many")
			reported(t, looker, "trust in all", func(r *bus.HealthReply) bool { return *r.Suspects == 0 && *r.Held == 0 && r.Leases == many })

			lost.lose(t, link)
			r := reported(t, looker, "hold", func(r *bus.HealthReply) bool { return *r.Held > 0 })
			t.Logf("%d held, %d suspects, %v", *r.Held, *r.Suspects, r.Problems)
			if len(r.Problems) == 0 {
				t.Error("the node reports no problem while leases are held back")
			}
			noSooner(2 * time.Second)
			ends.none(t)
			lost.mend(t, link)
			reported(t, looker, "end of the hold", func(r *bus.HealthReply) bool { return *r.Held == 0 && *r.Suspects == 0 })
			f.valid(t)
			ends.none(t)
			f.unharmed(t)
			same(t, looker, "many", before)
			f.work(t)
		})
	}
}

// TestWhatIsHeldEndsAfterTheHold: a hold is once. L5.
func TestWhatIsHeldEndsAfterTheHold(t *testing.T) {
	t.Parallel()
	n := singleNode(t, holdShare)
	ends := hearRemovals(t, n.url, "few")
	f := fleetAt(t, n.url, "few", 20, 20, client.LeaseOptions{TTL: 3 * time.Second, Grace: new(200 * time.Millisecond)})
	at, _ := f.die()
	for _, m := range f.members {
		end := ends.await(t, m.key.Instance)
		if took := end.at.Sub(at); took < 3*time.Second || end.kind != "expired" {
			t.Errorf("%s was %s, %s, after %v; want it held for one TTL, and then expired", m.key, end.kind, end.reason, took)
		}
	}
}

// TestProgramsThatAreKilledAreGoneWithinTheirGrace kills three of twenty programs with a
// long TTL. L4.
//
// The promise is their grace and 100 ms. The upper bound here leaves a busy machine more,
// and is far below the TTL; the lower one is exact.
func TestProgramsThatAreKilledAreGoneWithinTheirGrace(t *testing.T) {
	t.Parallel()
	n := singleNode(t, holdShare)
	ends := hearRemovals(t, n.url, "program")
	const killed, grace = 3, time.Second // of memberMain
	var killers []func()
	for i := range killed {
		p := memberAt(t, n.url, "program", fmt.Sprint("killed-", i))
		killers = append(killers, func() {
			if err := p.Kill(); err != nil {
				t.Error(err)
			}
		})
	}
	f := fleetAt(t, n.url, "program", 17, 17, client.LeaseOptions{TTL: time.Minute, Grace: new(grace)})
	before := listed(t, f.clients[0], "program")
	var at [killed]time.Time
	for i, kill := range killers {
		at[i] = time.Now()
		kill()
	}
	for i := range killed {
		instance := fmt.Sprint("killed-", i)
		end := ends.await(t, instance)
		took := end.at.Sub(at[i])
		t.Logf("%s was gone after its grace and %v", instance, took-grace)
		if took < grace || took > grace+100*time.Millisecond+endSlack {
			t.Errorf("%s was gone %v after it was killed; want its grace of %v and at most 100ms", instance, took, grace)
		}
		if end.kind != "expired" || end.reason != "closed" {
			t.Errorf("%s was %s, %s; want expired, closed", instance, end.kind, end.reason)
		}
		delete(before, instance)
	}
	same(t, f.clients[0], "program", before)
	f.unharmed(t)
	f.work(t)
}

// TestWhoFallsSilentIsGoneWithinItsTTL cuts one of twenty off, in silence. L1, L2.
//
// The promise is its TTL and 250 ms from the last keepalive that was received. The upper
// bound here leaves a busy machine more; the lower one is exact, and what the program itself
// knows.
func TestWhoFallsSilentIsGoneWithinItsTTL(t *testing.T) {
	t.Parallel()
	n := singleNode(t, holdShare)
	link := natstest.Through(t, n.url)
	o := client.LeaseOptions{TTL: faultTTL}
	silent, f := fleetAt(t, link.URL(), "silent", 1, 1, o), fleetAt(t, n.url, "program", 19, 19, o)
	gone, ends := hearRemovals(t, n.url, "silent"), hearRemovals(t, n.url, "program")
	before := listed(t, f.clients[0], "program")

	link.Cut(t)
	cut := time.Now()
	end := gone.await(t, "m-0")
	m := silent.members[0]
	if m.Valid() {
		t.Error("a program whose lease has ended thinks that it lives")
	}
	// Its last keepalive was sent before the cut, and received after it was sent.
	until := m.Lease().Deadline()
	t.Logf("gone %v after its deadline, %v after the cut", end.at.Sub(until), end.at.Sub(cut))
	if end.at.Before(until) {
		t.Errorf("its lease ended %v before it might", until.Sub(end.at))
	}
	if took := end.at.Sub(cut); took > faultTTL+250*time.Millisecond+endSlack {
		t.Errorf("it was gone %v after the cut; want its TTL and at most 250ms", took)
	}
	if end.kind != "expired" || end.reason != "expired" {
		t.Errorf("it was %s, %s; want expired, expired", end.kind, end.reason)
	}
	ends.none(t)
	f.unharmed(t)
	same(t, f.clients[0], "program", before)
}
