package e2e_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// tokens are those that a lock and an election have given, the newest last.
type tokens struct {
	c              *client.Client
	lock, election []client.Token
	terms          []uint64
}

// gain has a new lease hold the lock and lead, a few times, and give both up.
func (g *tokens) gain(t *testing.T) {
	t.Helper()
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		lease, err := g.c.Grant(ctx, client.LeaseOptions{TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		held, err := g.c.Lock("default", "l").Lock(ctx, lease, client.LockOptions{})
		if err != nil {
			t.Fatal(err)
		}
		led, err := g.c.Election("default", "e").Campaign(ctx, lease, client.CampaignOptions{})
		if err != nil {
			t.Fatal(err)
		}
		g.lock, g.election, g.terms = append(g.lock, held.Token()), append(g.election, led.Token()), append(g.terms, led.Term())
		if err := lease.Revoke(ctx); err != nil { // which gives up both
			t.Fatal(err)
		}
		cancel()
	}
}

// grow fails unless every token is greater than the one before it.
func (g *tokens) grow(t *testing.T) {
	t.Helper()
	for what, all := range map[string][]client.Token{"lock": g.lock, "election": g.election} {
		for i := 1; i < len(all); i++ {
			if !all[i-1].Before(all[i]) {
				t.Errorf("the tokens of the %s do not grow: %s, then %s", what, all[i-1], all[i])
			}
		}
	}
}

// C1, C2: the node dies, and NATS inside of it, and both come back with what was stored.
func TestTokensAndTermsGrowAcrossDeathsOfTheNodeAndOfNATS(t *testing.T) {
	t.Parallel()
	n := restartable(t)
	g := &tokens{c: lookerAt(t, n.url)}
	g.gain(t)
	for range rounds(5) {
		n.kill(t)
		n.start(t)
		g.gain(t)
	}
	g.grow(t)
	for i, term := range g.terms {
		if term != uint64(i+1) {
			t.Fatalf("the terms were %v; want each to follow the one before it", g.terms)
		}
	}
}

// C1: the bucket is deleted and made anew, with nothing in it.
func TestTokensGrowAlthoughTheBucketIsDeletedAndMadeAnew(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.Listen)
	url := srv.URL()
	nodesOn(t, 2, []string{url})
	l := lookOut(t, connect(t, url))
	g := &tokens{c: lookerAt(t, url)}
	g.gain(t)
	for range rounds(5) {
		epoch := l.await(t, "a keeper", anyBeacon).Epoch
		if err := streams(t, url).DeleteStream(t.Context(), "KV_"+bucketOf(t, keeperPrefix)); err != nil {
			t.Fatal(err)
		}
		l.await(t, "a higher epoch", func(b bus.Beacon) bool { return b.Epoch > epoch })
		g.gain(t)
	}
	g.grow(t)
	epochs := map[string]bool{}
	for _, token := range slices.Concat(g.lock, g.election) {
		epochs[string(token[:8])] = true
	}
	if want := rounds(5) + 1; len(epochs) < want {
		t.Errorf("the tokens are of the epochs %v; want %d", epochs, want)
	}
}

// C1: NATS restarts under nodes that stay.
func TestTokensGrowAcrossRestartsOfNATS(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, listenAgain(t))
	nodesOn(t, 2, []string{srv.URL()})
	g := &tokens{c: lookerAt(t, srv.URL())}
	g.gain(t)
	for range rounds(5) {
		srv.Stop()
		srv.Restart(t)
		g.gain(t)
	}
	g.grow(t)
}
