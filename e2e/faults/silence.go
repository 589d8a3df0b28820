package faults

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/e2e/history"
)

const (
	// silentTTL is that of leases whose keepalives stop, closedGrace the grace of those whose
	// connection is closed.
	silentTTL   = time.Second
	closedGrace = 200 * time.Millisecond
	// soon and closedSoon are how much later than that they end at the latest, and tardy how
	// late a busy machine may be beside.
	soon       = 250 * time.Millisecond
	closedSoon = 100 * time.Millisecond
	tardy      = 2 * time.Second

	// crowd is how many leases fall silent together: more than holdShare of all that there
	// are at the same time.
	crowd     = 120
	crowdTTL  = 2 * time.Second
	holdShare = 0.7
)

// probe has leases fall silent, alone and together with many, and notes when they end: L2, L4
// and L5. Nothing is wrong meanwhile. What says nothing, since the keeper was exchanged or
// did not answer, is not noted. spare has those who are many be heard in time.
func (w *world) probe(pick uint64, spare bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.tb.Context()), patience)
	defer cancel()
	p := &probe{wire: wire{w.admin, w.subjects}, log: w.log, stood: w.d.StoodStill()}
	witness := p.grant(ctx, 20*time.Second, 20*time.Second, nil)
	p.alone(ctx)
	p.closed(ctx, w, pick)
	p.together(ctx, spare)
	for ctx.Err() == nil && !p.restless && p.look(ctx) {
		pause(ctx, 100*time.Millisecond)
		p.keep(ctx, []string{witness})
	}
	p.wire.revoke(ctx, witness)
	if p.restless {
		w.tb.Logf("  the keeper was restless, and no lease is judged")
		return
	}
	still := w.d.StoodStill() - p.stood // clocks stand still with their process, and with NATS
	for _, s := range p.all {
		if s.Ends != 0 {
			s.Ends += still
		}
		add(w.log, &w.log.silent, *s)
	}
	w.tb.Logf("  %d leases fell silent, while clocks stood still for %v", len(p.all), still.Round(time.Millisecond))
}

// probe is leases that fall silent while one keeper serves.
type probe struct {
	wire  wire
	log   *Log
	stood time.Duration

	mu       sync.Mutex
	term     uint64 // the keeper's
	restless bool   // it was not one that answered all the time
	all      []*Silence
	watched  []*Silence // those that are looked at until they end
}

// serves notes whether a reply is the keeper's that answered first.
func (p *probe) serves(ok bool, term uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.term == 0 {
		p.term = term
	}
	if !ok || term != p.term {
		p.restless = true
	}
}

// grant has a lease granted, and returns its secret.
func (p *probe) grant(ctx context.Context, ttl, grace time.Duration, c *bus.Connection) (secret string) {
	secret = rand.Text()
	r := p.wire.ask(ctx, p.wire.subjects.LeaseGrant(), bus.GrantRequest{
		Lease: secret, TTLMs: new(ttl.Milliseconds()), GraceMs: new(grace.Milliseconds()), Connection: c,
	}, 0)
	var granted bus.GrantReply
	p.serves(r.code == "" && json.Unmarshal(r.data, &granted) == nil, granted.Term)
	return secret
}

// keep keeps leases alive, and returns which have ended.
func (p *probe) keep(ctx context.Context, secrets []string) (expired []string) {
	r := p.wire.ask(ctx, p.wire.subjects.LeaseKeepalive(), bus.KeepaliveRequest{Leases: secrets}, 0)
	var kept bus.KeepalivesReply
	p.serves(r.code == "" && json.Unmarshal(r.data, &kept) == nil, kept.Term)
	return kept.Expired
}

// falls notes that a lease falls silent. It is looked at until it ends, if it is to end.
func (p *probe) falls(promise, secret string, within time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &Silence{Promise: promise, Owner: bus.Owner(secret), From: p.log.now()}
	p.all = append(p.all, s)
	if within != 0 {
		s.Ends = s.From + within + tardy
		p.watched = append(p.watched, s)
	}
}

// alone has one lease granted, and nothing said of it any more.
func (p *probe) alone(ctx context.Context) {
	p.falls("L2", p.grant(ctx, silentTTL, silentTTL, nil), silentTTL+soon)
}

// deafTries is how many closed connections in a row may not be heard of. What a NATS server
// tells others of them is lost where they have just found each other again.
const deafTries = 5

// closed has one lease granted, and its connection closed, where that is heard.
func (p *probe) closed(ctx context.Context, w *world, pick uint64) {
	if r, err := w.look.Report(ctx); err != nil || r.ConnectionEvents == nil || !*r.ConnectionEvents {
		return
	}
	url := w.d.URLs()[pick%uint64(len(w.d.URLs()))]
	for try := range deafTries {
		nc := dial(w.tb, []string{url})
		number, err := nc.GetClientID()
		if err != nil {
			nc.Close()
			return
		}
		secret := p.grant(ctx, 20*time.Second, closedGrace, &bus.Connection{ServerID: nc.ConnectedServerId(), ClientID: number})
		nc.Close()
		p.falls("L4", secret, closedGrace+closedSoon)
		s := p.all[len(p.all)-1]
		for p.look(ctx) && p.log.now() < s.Ends {
			pause(ctx, 50*time.Millisecond)
		}
		if s.Ended != 0 || try == deafTries-1 {
			return
		}
		w.tb.Logf("  nobody has heard that a connection to %s was closed", url)
		p.all = slices.DeleteFunc(p.all, func(other *Silence) bool { return other == s })
		p.watched = slices.DeleteFunc(p.watched, func(other *Silence) bool { return other == s })
	}
}

// together has many fall silent, for less than they are held back or for good.
func (p *probe) together(ctx context.Context, spare bool) {
	secrets := make([]string, crowd)
	var tasks sync.WaitGroup
	for few := range slices.Chunk(secrets, crowd/8) {
		tasks.Go(func() {
			for i := range few {
				few[i] = p.grant(ctx, crowdTTL, crowdTTL, nil)
			}
		})
	}
	tasks.Wait()
	if len(p.keep(ctx, secrets)) > 0 {
		p.serves(false, 0) // granting took longer than some of them live
	}
	if !spare {
		for _, secret := range secrets[:5] {
			p.falls("L5", secret, 2*crowdTTL+soon)
		}
		return
	}
	for _, secret := range secrets {
		p.falls("L5", secret, 0)
	}
	<-time.After(crowdTTL + crowdTTL/2)
	expired := p.keep(ctx, secrets)
	now := p.log.now()
	for _, s := range p.all {
		if s.Promise == "L5" && now-s.From > 2*crowdTTL-soon {
			p.serves(false, 0) // they were not heard in time
		}
		if slices.Contains(expired, s.Owner) {
			s.Ended = now
		}
	}
}

// look looks at all that is to end, and reports whether some of it is to be looked at again.
func (p *probe) look(ctx context.Context) bool {
	p.watched = slices.DeleteFunc(p.watched, func(s *Silence) bool {
		call := p.log.now()
		r := p.wire.ask(ctx, p.wire.subjects.LeaseGet(s.Owner), struct{}{}, 0)
		switch {
		case r.fate == history.Done && r.code == "":
			s.Lived = call
		case r.code == bus.CodeNotFound:
			s.Ended = p.log.now()
		}
		return s.Ended != 0 || s.Lived > s.Ends+patience/4
	})
	return len(p.watched) > 0
}
