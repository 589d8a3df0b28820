package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus/client"
)

const (
	// peopleTTL is that of the leases of those who are to live. Their grace is as long, so
	// that a lease that was certain to live until some time is, whatever comes.
	peopleTTL = 3 * time.Second
	// mortalTTL is that of those who die.
	mortalTTL = 1500 * time.Millisecond
	// sampling is how often it is looked until when a lease is certain to live.
	sampling = 40 * time.Millisecond
)

// Services of registrations that end with leases.
const (
	people  = "people"
	mortals = "mortals"
)

// person is registered with a lease.
type person struct {
	*guest
	log    *Log
	random *rand.Rand
}

func keyOf(service, instance string) client.Key {
	return client.Key{Namespace: client.DefaultNamespace, Service: service, Instance: instance}
}

// born notes a lease.
func (p *person) born(owner, name, text string) *Life {
	life := &Life{Owner: owner, Name: name, Text: text}
	add(p.log, &p.log.lives, life)
	return life
}

// sure notes until when lease is certain to live.
func (l *Life) sure(log *Log, lease *client.Lease) {
	now := log.now()
	deadline := lease.Deadline()
	log.mu.Lock()
	defer log.mu.Unlock()
	if deadline.IsZero() || lease.Owner() != l.Owner {
		return
	}
	until := now + time.Until(deadline)
	switch n := len(l.Sure); {
	case until <= now:
	case n > 0 && l.Sure[n-1].To >= now:
		l.Sure[n-1].To = max(l.Sure[n-1].To, until)
	default:
		l.Sure = append(l.Sure, Span{now, until})
	}
}

// live is registered until ctx is done, and does nothing to be so but to have a Session.
func (p *person) live(ctx context.Context) {
	name := fmt.Sprintf("p-%d", p.number)
	var mu sync.Mutex
	var life *Life
	session, err := p.session(ctx, peopleTTL, func(r client.Renewal) {
		mu.Lock()
		defer mu.Unlock()
		p.log.mu.Lock()
		if errors.Is(r.Cause, client.ErrLeaseExpired) {
			life.Expired = p.log.now()
		}
		p.log.mu.Unlock()
		life = p.born(r.New, people+"/"+name, name)
		if r.Err == nil {
			p.log.mu.Lock()
			life.Since = p.log.now()
			p.log.mu.Unlock()
		}
	})
	if err != nil {
		return
	}
	mu.Lock()
	life = p.born(session.Lease().Owner(), people+"/"+name, name)
	mine := life
	mu.Unlock()
	p.register(ctx, session, mine)
	for ctx.Err() == nil {
		mu.Lock()
		now := life
		mu.Unlock()
		now.sure(p.log, session.Lease())
		pause(ctx, sampling)
	}
}

// session has a lease granted, however long that takes.
func (p *person) session(ctx context.Context, ttl time.Duration, renewed func(client.Renewal)) (*client.Session, error) {
	for {
		s, err := p.c.NewSession(ctx, client.SessionOptions{Lease: client.LeaseOptions{TTL: ttl, Grace: &ttl}, OnRenewed: renewed})
		if err == nil || ctx.Err() != nil {
			return s, err
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// register registers the owner of life, who must be that of the session's lease all the time
// for it to count.
func (p *person) register(ctx context.Context, s *client.Session, life *Life) {
	_, instance, _ := strings.Cut(life.Name, "/")
	metadata, err := client.MetadataOf(map[string]string{"written": life.Text})
	if err != nil {
		p.log.Wrongf("%v", err)
		return
	}
	for ctx.Err() == nil {
		made, _, err := s.Register(ctx, client.Registration{Key: keyOf(serviceOf(life.Name), instance), Metadata: metadata}, client.Write{})
		if err == nil {
			p.log.mu.Lock()
			if made.Owner == life.Owner {
				life.Since = p.log.now()
			}
			p.log.mu.Unlock()
			return
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// die is somebody else again and again, who lives for a moment and ends well or badly.
func (p *person) die(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		p.once(ctx, fmt.Sprintf("m-%d-%d", p.number, n))
	}
}

// once is one short life.
func (p *person) once(ctx context.Context, name string) {
	var through []string
	for _, link := range p.links {
		through = append(through, link.URL())
	}
	nc, err := nats.Connect(strings.Join(through, ","), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.ReconnectBufSize(-1), nats.IgnoreDiscoveredServers(), nats.PingInterval(time.Second), nats.Timeout(2*time.Second))
	if err != nil {
		pause(ctx, 100*time.Millisecond)
		return
	}
	defer nc.Close()
	prefix := client.WithPrefix(p.prefix)
	c, err := client.New(nc, prefix, client.WithWriteTimeout(writeTimeout), client.WithReadTimeout(readTimeout))
	if err != nil {
		p.log.Wrongf("%v", err)
		return
	}
	defer func() { _ = c.Close() }()
	mortal := &person{guest: &guest{number: p.number, nc: nc, c: c, prefix: p.prefix}, log: p.log, random: p.random}
	bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	session, err := mortal.session(bounded, mortalTTL, nil)
	if err != nil {
		return
	}
	lease := session.Lease()
	life := mortal.born(lease.Owner(), mortals+"/"+name, name)
	mortal.register(bounded, session, life)
	for end := time.Now().Add(time.Duration(p.random.Int64N(int64(2 * time.Second)))); time.Now().Before(end) && ctx.Err() == nil; {
		life.sure(p.log, lease)
		pause(ctx, sampling)
	}
	p.log.mu.Lock()
	gone := p.log.now()
	life.Gone = gone
	p.log.mu.Unlock()
	if p.random.IntN(2) == 0 {
		return // the connection closes, and no word is said
	}
	err = session.Close(bounded)
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	if life.cut(gone); err == nil {
		life.Revoked = p.log.now()
	}
}

// cut takes back what was certain after at, when the lease was given up.
func (l *Life) cut(at time.Duration) {
	for i := range l.Sure {
		l.Sure[i].To = min(l.Sure[i].To, at)
	}
}

// tokens holds a lock for moments, again and again, and notes its tokens.
func (p *person) tokens(ctx context.Context) {
	const name = "stable"
	lock := p.c.Lock(client.DefaultNamespace, name)
	for ctx.Err() == nil {
		ttl := mortalTTL
		lease, err := p.c.Grant(ctx, client.LeaseOptions{TTL: ttl, Grace: &ttl})
		if err != nil {
			pause(ctx, 50*time.Millisecond)
			continue
		}
		for ctx.Err() == nil && lease.Err() == nil {
			call := p.log.now()
			hold, err := lock.Lock(ctx, lease, client.LockOptions{Wait: time.Second})
			if err == nil {
				add(p.log, &p.log.tokens, Token{"lock." + name, string(hold.Token()), call, p.log.now()})
				pauseUpTo(ctx, 100*time.Millisecond, p.random.Int64N)
				_ = hold.Release(ctx) // or it ends with its lease
			}
			pauseUpTo(ctx, 200*time.Millisecond, p.random.Int64N)
		}
		_ = lease.Revoke(ctx) // it has ended, or does so by itself
	}
}
