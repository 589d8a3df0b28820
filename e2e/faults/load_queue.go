package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/history"
)

// queueWait is how long is waited in the queue.
const queueWait = 1500 * time.Millisecond

// wait has requests wait for a lock, and be served, one after the other. Each is another
// holder's, and is sent once, so that none has two places in the queue.
func (p *troupe) wait(ctx context.Context) {
	n := 0
	p.leased(ctx, func(ctx context.Context, lease *client.Lease) {
		for ctx.Err() == nil && lease.Err() == nil {
			n++
			object := bus.Object{Namespace: client.DefaultNamespace, Name: "queue" + p.life()}
			user := bus.User{Lease: lease.Secret(), Holder: fmt.Sprintf("%d-%d", p.number, n)}
			q := bus.LockRequest{User: user, Mode: bus.ModeExclusive}
			q.WaitMs = new(queueWait.Milliseconds())
			call := p.log.now()
			r := p.wire.ask(context.WithoutCancel(ctx), p.wire.subjects.OfObject(bus.KindLock, bus.VerbAcquire, object), q, queueWait)
			var held bus.HeldReply
			switch {
			case r.fate == history.Undone, r.code == bus.CodeTimeout, r.code == bus.CodeUnavailable, r.code == bus.CodeLimitExceeded:
				pause(ctx, 20*time.Millisecond)
				continue
			case r.fate != history.Done, r.code != "", json.Unmarshal(r.data, &held) != nil:
				return // it may be held, or waited for
			}
			name := "lock." + object.Name
			add(p.log, &p.log.roles, Role{name, []string{lease.Owner()}, r.revision, r.epoch, call, p.log.now()})
			add(p.log, &p.log.served, Served{name, user.Holder, held.Token, p.log.now()})
			pauseUpTo(ctx, 60*time.Millisecond, p.random)
			r = p.wire.ask(context.WithoutCancel(ctx), p.wire.subjects.OfObject(bus.KindLock, bus.VerbRelease, object), bus.ReleaseRequest{User: user}, 0)
			if r.fate != history.Done || r.code != "" {
				return
			}
			pauseUpTo(ctx, 60*time.Millisecond, p.random)
		}
	})
}

// survey looks at the queue again and again, and at who has a role.
func (p *troupe) survey(ctx context.Context) {
	for ctx.Err() == nil {
		pauseUpTo(ctx, 100*time.Millisecond, p.random)
		object := bus.Object{Namespace: client.DefaultNamespace, Name: "queue" + p.life()}
		q := Queue{Object: "lock." + object.Name, Call: p.log.now()}
		r := p.wire.ask(context.WithoutCancel(ctx), p.wire.subjects.OfObject(bus.KindLock, bus.VerbGet, object), struct{}{}, 0)
		q.Return = p.log.now()
		var record bus.QueueRecord
		if r.fate != history.Done || r.code != "" || json.Unmarshal(r.data, &record) != nil {
			continue
		}
		shown := Role{q.Object, nil, r.revision, r.epoch, q.Call, q.Return}
		for _, h := range record.Holders {
			q.Holders, shown.Owners = append(q.Holders, h.Holder), append(shown.Owners, h.Owner)
			add(p.log, &p.log.served, Served{q.Object, h.Holder, h.Token, q.Return})
		}
		for _, w := range record.Waiters {
			q.Waiters = append(q.Waiters, w.Holder)
		}
		add(p.log, &p.log.queues, q)
		add(p.log, &p.log.roles, shown)
	}
}
