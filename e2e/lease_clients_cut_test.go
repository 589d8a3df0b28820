package e2e_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// loss is a way to lose a link, and to get it back.
type loss struct {
	name       string
	lose, mend func(t *testing.T, p *natstest.Proxy)
}

// inSilence is what a cable does, and byClosing what a proxy does that restarts.
var (
	inSilence = loss{
		name: "InSilence",
		lose: func(t *testing.T, p *natstest.Proxy) { t.Helper(); p.Cut(t) },
		mend: func(t *testing.T, p *natstest.Proxy) { t.Helper(); p.Heal(t) },
	}
	byClosing = loss{
		name: "ByClosing",
		lose: func(_ *testing.T, p *natstest.Proxy) { p.Break() },
		mend: func(t *testing.T, p *natstest.Proxy) { t.Helper(); p.Mend(t) },
	}
)

// distant is a program whose link to NATS can be lost, and one that sees what happens to it.
type distant struct {
	*member

	link    *natstest.Proxy
	look    *client.Client
	removed *removals
	events  *nats.Subscription // of payments
	before  client.Registration
}

func distantAt(t *testing.T, o client.LeaseOptions) *distant {
	t.Helper()
	n := singleNode(t, 1)
	c := &distant{link: natstest.Through(t, n.url), look: lookerAt(t, n.url), removed: hearRemovals(t, n.url, "payments")}
	var err error
	if c.events, err = connect(t, n.url).SubscribeSync(keeperPrefix + ".event.default.payments.*"); err != nil {
		t.Fatal(err)
	}
	away := lookerAt(t, c.link.URL(), client.WithNATS(nats.IgnoreDiscoveredServers()))
	if c.member, err = join(t.Context(), away, "payments", "i-1", o); err != nil {
		t.Fatal(err)
	}
	c.before = c.is(t)
	return c
}

// told returns how often it was told so far that something was removed, and registered.
func (c *distant) told(t *testing.T) (n [2]int) {
	t.Helper()
	for {
		m, err := c.events.NextMsg(time.Millisecond)
		if err != nil {
			return n
		}
		switch m.Header.Get(bus.HeaderEvent) {
		case "expired", "unregistered":
			n[0]++
		case "registered":
			n[1]++
		}
	}
}

// is returns the program's registration.
func (c *distant) is(t *testing.T) client.Registration {
	t.Helper()
	r, _, err := c.look.Lookup(t.Context(), c.key, linearizably)
	if err != nil {
		t.Fatalf("look up %s: %v", c.key, err)
	}
	return r
}

// writes fails unless the program can write under its lease.
func (c *distant) writes(t *testing.T) {
	t.Helper()
	natstest.Await(t, "validity of the lease", c.Valid)
	if _, _, err := c.Update(t.Context(), c.key, client.Change{Weight: new(uint16(7))}, client.Write{}); err != nil {
		t.Errorf("write under the lease: %v", err)
	}
}

// TestAClientThatIsCutOffForLessThanItsTTLIsNeverDropped cuts a client off for as long as
// it may be, by the TTL or, where its connection is closed, by the grace. R4.
func TestAClientThatIsCutOffForLessThanItsTTLIsNeverDropped(t *testing.T) {
	t.Parallel()
	const long, reserve = 9 * time.Second, 4 * time.Second
	for _, cut := range []struct {
		loss
		ttl, grace time.Duration
	}{
		{inSilence, long, long / 3},
		{byClosing, time.Minute, long},
	} {
		t.Run(cut.name, func(t *testing.T) {
			t.Parallel()
			c := distantAt(t, client.LeaseOptions{TTL: cut.ttl, Grace: &cut.grace})
			for range 2 {
				keptAlive := c.Lease().Deadline()
				natstest.Await(t, "another keepalive", func() bool { return c.Lease().Deadline().After(keptAlive) })
				cut.lose(t, c.link)
				noSooner(long - reserve)
				cut.mend(t, c.link)
				natstest.Await(t, "validity of the lease", c.Valid)
			}
			noSooner(long)
			c.removed.none(t)
			if diff := cmp.Diff(c.before, c.is(t)); diff != "" {
				t.Errorf("registration (-before +after):\n%s", diff)
			}
			if n := c.renewed.Load(); n != 0 || c.Lease().Owner() != c.owner {
				t.Errorf("%d renewals, owner %s; want none, and %s", n, c.Lease().Owner(), c.owner)
			}
			c.writes(t)
		})
	}
}

// TestAClientThatIsCutOffForLongerThanItsTTLEndsOnceAndComesBackByItself cuts a client off
// until it is taken for dead. Its lease is not valid any more by then: L1.
func TestAClientThatIsCutOffForLongerThanItsTTLEndsOnceAndComesBackByItself(t *testing.T) {
	t.Parallel()
	for _, cut := range []struct {
		loss
		ttl, grace time.Duration
		reason     string
		earliest   time.Duration
		latest     time.Duration
	}{
		{inSilence, 2 * time.Second, time.Minute, "expired", 2 * time.Second * 6 / 10, 2*time.Second + 250*time.Millisecond},
		{byClosing, time.Minute, time.Second, "closed", time.Second, time.Second + 100*time.Millisecond},
	} {
		t.Run(cut.name, func(t *testing.T) {
			t.Parallel()
			c := distantAt(t, client.LeaseOptions{TTL: cut.ttl, Grace: &cut.grace})
			lease := c.Lease()
			natstest.Await(t, "keepalive", func() bool { return time.Until(lease.Deadline()) < cut.ttl-cut.ttl/100 })
			valid := watchValidity(t, lease)
			begin := time.Now()
			cut.lose(t, c.link)
			end := c.removed.await(t, "i-1")
			took(t, "end of a client that is cut off", begin, end.at, cut.earliest, cut.latest)
			if end.kind != "expired" || end.reason != cut.reason {
				t.Errorf("removed as %s, %s; want expired, %s", end.kind, end.reason, cut.reason)
			}
			if last := valid(); !last.Before(end.at) {
				t.Errorf("the lease was valid %v after its end", last.Sub(end.at))
			}
			if lease.Err() != nil || c.renewed.Load() != 0 {
				t.Errorf("whoever is cut off knows of its end: %v, %d renewals", lease.Err(), c.renewed.Load())
			}
			cut.mend(t, c.link)
			receive(t, "end of the lease", lease.Done())
			natstest.Await(t, "another lease", func() bool { return c.renewed.Load() == 1 })
			is := c.is(t)
			if is.Owner != c.Lease().Owner() || is.Owner == c.owner {
				t.Errorf("registered again as %q; want %q, which is not %q", is.Owner, c.Lease().Owner(), c.owner)
			}
			if is.Metadata != c.before.Metadata || !cmp.Equal(is.Endpoints, c.before.Endpoints) {
				t.Errorf("registered again as %+v; want %+v", is, c.before)
			}
			c.writes(t)
			noSooner(min(cut.ttl, 2*time.Second) + keeperSlack)
			if n, all := c.renewed.Load(), c.told(t); n != 1 || all[0] != 1 || all[1] != 2 {
				t.Errorf("%d renewals, events of %v; want 1, and one removal and two registers", n, all)
			}
		})
	}
}

// watchValidity looks at lease all the time, until the function that it returns is called,
// which returns when it began to look for the last time that found it to be valid.
func watchValidity(t *testing.T, lease *client.Lease) (last func() time.Time) {
	t.Helper()
	stop, newest := make(chan struct{}), make(chan time.Time, 1)
	go func() {
		var last time.Time
		for {
			at := time.Now()
			if lease.Valid() {
				last = at
			}
			select {
			case <-stop:
				newest <- last
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() time.Time {
		close(stop)
		return <-newest
	}
}
