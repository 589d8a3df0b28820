package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/roostbus/roost/bus/client"
)

// troupe is one client at work on objects that many use together. Their names end with the
// life of what is stored.
type troupe struct {
	*guest
	log    *Log
	wire   wire
	random func(int64) int64
	life   func() string
}

// leased does something with one lease after another until ctx is done. Whoever returns from
// do has given the lease up, or is about to.
func (p *troupe) leased(ctx context.Context, do func(ctx context.Context, lease *client.Lease)) {
	for ctx.Err() == nil {
		ttl := mortalTTL
		lease, err := p.c.Grant(ctx, client.LeaseOptions{TTL: ttl, Grace: &ttl})
		if err != nil {
			pause(ctx, 50*time.Millisecond)
			continue
		}
		do(ctx, lease)
		p.quit(ctx, lease)
	}
}

// quit gives a lease up, and notes its end.
func (p *troupe) quit(ctx context.Context, lease *client.Lease) {
	call := p.log.now()
	if r := p.wire.revoke(context.WithoutCancel(ctx), lease.Secret()); r.code == "" && r.revision != 0 {
		add(p.log, &p.log.ends, End{lease.Owner(), r.revision, r.epoch, call, p.log.now()})
	}
	_ = lease.Revoke(ctx) // or it ends by itself
}

// cast notes that owner has a role, as it was told when it asked at call.
func (p *troupe) cast(object, owner string, call time.Duration) {
	add(p.log, &p.log.roles, Role{Object: object, Owners: []string{owner}, Call: call, Return: p.log.now()})
}

// stand has a candidate lead for moments, again and again.
func (p *troupe) stand(ctx context.Context) {
	p.leased(ctx, func(ctx context.Context, lease *client.Lease) {
		for n := 0; n < 20 && ctx.Err() == nil && lease.Err() == nil; n++ {
			name := "reign" + p.life()
			bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
			call := p.log.now()
			led, err := p.c.Election(client.DefaultNamespace, name).Campaign(bounded, lease, client.CampaignOptions{})
			cancel()
			if err != nil {
				return // it may be a candidate, and lead at any time
			}
			object := "election." + name
			p.cast(object, lease.Owner(), call)
			add(p.log, &p.log.reigns, Reign{"", p.number, object, lease.Owner(), led.Term(), string(led.Token()), p.log.now()})
			pauseUpTo(ctx, 200*time.Millisecond, p.random)
			if led.Resign(ctx) != nil {
				return
			}
			pauseUpTo(ctx, 100*time.Millisecond, p.random)
		}
	})
}

// observe follows the election, and that of the next life when there is one.
func (p *troupe) observe(ctx context.Context) {
	for times := 0; ctx.Err() == nil; times++ {
		life := p.life()
		object := "election.reign" + life
		who := fmt.Sprintf("observer %d", p.number)
		if times > 0 {
			who += fmt.Sprintf(", the %dth time,", times+1)
		}
		living, end := context.WithCancel(ctx)
		go func() { // until living is over, which is below
			for living.Err() == nil {
				if pause(living, 50*time.Millisecond); p.life() != life {
					end()
				}
			}
		}()
		for l, err := range p.c.Election(client.DefaultNamespace, "reign"+life).Observe(living) {
			if err != nil {
				break
			}
			add(p.log, &p.log.reigns, Reign{who, p.number, object, l.Owner, l.Term, string(l.Token), p.log.now()})
		}
		end()
	}
}
