package e2e_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// shiftOptions are short, for a test that waits for the role to pass on.
func shiftOptions() client.SingletonOptions {
	return client.SingletonOptions{StopTime: 500 * time.Millisecond, TTL: 3 * time.Second}
}

// worked is a time for which one of a fleet was certain that it may work.
type worked struct {
	Owner    string
	Token    client.Token
	From, To time.Time
}

// works works until ctx ends, looking before each piece of work whether it may, and tells
// after each when that began.
func works(ctx context.Context, s *client.Shift, tell func(worked)) {
	w := worked{Owner: s.Owner(), Token: s.Token()}
	for ctx.Err() == nil {
		now := time.Now()
		if ctx.Err() == nil && s.Valid() { // what follows would be the work
			if w.From.IsZero() {
				w.From = now
			}
			w.To = now
			tell(w)
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// rota is who worked when, by all who did.
type rota struct {
	mu     sync.Mutex
	shifts []worked
}

func (r *rota) note(w worked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.shifts, func(s worked) bool { return s.Owner == w.Owner && s.Token == w.Token && s.From.Equal(w.From) })
	if i < 0 {
		r.shifts = append(r.shifts, w)
		return
	}
	r.shifts[i] = w
}

// after waits for somebody who works with a token after that of before, and returns who.
func (r *rota) after(t *testing.T, before worked) worked {
	t.Helper()
	var found worked
	natstest.Await(t, "work after that of "+before.Owner, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, w := range r.shifts {
			if before.Token.Before(w.Token) {
				found = w
				return true
			}
		}
		return false
	})
	if before.Owner == "" {
		return found
	}
	t.Logf("%s worked until %v before %s began", before.Owner, found.From.Sub(r.end(before)), found.Owner)
	return found
}

func (r *rota) end(of worked) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.shifts {
		if w.Owner == of.Owner && w.Token == of.Token {
			of.To = w.To
		}
	}
	return of.To
}

// neverTwo fails if two worked at one instant, or not in the order of their tokens.
func (r *rota) neverTwo(t *testing.T, least int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortFunc(r.shifts, func(a, b worked) int { return a.From.Compare(b.From) })
	owners := map[string]bool{}
	for i, w := range r.shifts {
		owners[w.Owner] = true
		if i == 0 {
			continue
		}
		before := r.shifts[i-1]
		if before.Owner != w.Owner && !before.To.Before(w.From) {
			t.Errorf("%s was certain until %v after %s began", before.Owner, before.To.Sub(w.From), w.Owner)
		}
		if w.Token.Before(before.Token) {
			t.Errorf("%s worked with %s after %s did with %s", w.Owner, w.Token, before.Owner, before.Token)
		}
	}
	if len(owners) < least {
		t.Errorf("%d have worked; want %d or more", len(owners), least)
	}
}

// hand is one of a fleet, behind a link of its own.
type hand struct {
	c    *client.Client
	link *natstest.Proxy
	end  context.CancelFunc

	mu    sync.Mutex
	owner string // of its last shift
}

// handsAt starts a fleet.
func handsAt(t *testing.T, url string, n int, r *rota) []*hand {
	t.Helper()
	var hands []*hand
	var tasks sync.WaitGroup
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	for range n {
		h := &hand{link: natstest.Through(t, url)}
		h.c = lookerAt(t, h.link.URL(), client.WithNATS(nats.IgnoreDiscoveredServers(), nats.ReconnectWait(50*time.Millisecond)))
		hands = append(hands, h)
		var own context.Context
		own, h.end = context.WithCancel(ctx)
		tasks.Go(func() {
			err := h.c.Singleton(own, "default", "work", func(ctx context.Context, s *client.Shift) error {
				h.mu.Lock()
				h.owner = s.Owner()
				h.mu.Unlock()
				works(ctx, s, r.note)
				return errors.New("the shift is over")
			}, shiftOptions())
			if own.Err() == nil && !errors.Is(err, backend.ErrClosed) {
				t.Errorf("singleton: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		end()
		tasks.Wait()
	})
	return hands
}

func handOf(t *testing.T, hands []*hand, owner string) *hand {
	t.Helper()
	for _, h := range hands {
		h.mu.Lock()
		its := h.owner == owner
		h.mu.Unlock()
		if its {
			return h
		}
	}
	t.Fatalf("%s is nobody's", owner)
	return nil
}

// Of a fleet of five one works; another follows when its client is killed, cut off in
// silence, or stopped, and never do two work with certainty.
func TestOneOfAFleetWorksWhateverHappensToIt(t *testing.T) {
	t.Parallel()
	n := singleNode(t, 1)
	r := &rota{}
	hands := handsAt(t, n.url, 5, r)
	now := r.after(t, worked{})
	for range rounds(3) {
		for _, fault := range []struct {
			name         string
			happen, mend func(h *hand)
		}{
			{"loses its connection", func(h *hand) { h.link.Break() }, func(h *hand) { h.link.Mend(t) }},
			{"is cut off", func(h *hand) { h.link.Cut(t) }, func(h *hand) { h.link.Heal(t) }},
		} {
			h := handOf(t, hands, now.Owner)
			t.Logf("%s %s", now.Owner, fault.name)
			fault.happen(h)
			now = r.after(t, now)
			fault.mend(h)
		}
	}
	for range 2 { // as the ends of their processes
		h := handOf(t, hands, now.Owner)
		_ = h.c.Close()
		now = r.after(t, now)
	}
	h := handOf(t, hands, now.Owner)
	h.end()
	now = r.after(t, now)
	r.neverTwo(t, 2*rounds(3)+4)
}
