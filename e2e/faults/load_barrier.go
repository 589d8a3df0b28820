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

const (
	// meetSize is how many parties a barrier is for. There is one more who comes.
	meetSize = 3
	// meetWait is how long a party waits for the others.
	meetWait = 2 * time.Second
)

// meet arrives at a barrier, generation after generation. Each arrival is another party's,
// and is sent once, so that one that was told not to count does not.
func (p *troupe) meet(ctx context.Context) {
	n, generation, life := 0, uint64(0), ""
	p.leased(ctx, func(ctx context.Context, lease *client.Lease) {
		for times := 0; times < 50 && ctx.Err() == nil && lease.Err() == nil; times++ {
			if now := p.life(); now != life {
				life, generation = now, 0
			}
			object := bus.Object{Namespace: client.DefaultNamespace, Name: "meet" + life}
			if generation == 0 || times%10 == 9 {
				var ok bool
				if generation, ok = p.look(ctx, object); !ok {
					continue
				}
			}
			n++
			a := Arrival{Object: "barrier." + object.Name, Party: fmt.Sprintf("%d-%d", p.number, n), Size: meetSize, Generation: generation, Call: p.log.now()}
			q := bus.ArriveRequest{User: bus.User{Lease: lease.Secret(), Holder: a.Party}, Size: meetSize, Generation: generation}
			q.WaitMs = new(meetWait.Milliseconds())
			r := p.wire.ask(context.WithoutCancel(ctx), p.wire.subjects.OfObject(bus.KindBarrier, bus.VerbArrive, object), q, meetWait)
			a.Return, a.Fate = p.log.now(), history.Unknown
			var told bus.ArriveReply
			switch {
			case r.fate == history.Undone, r.code == bus.CodeTimeout:
				a.Fate = history.Undone
			case r.fate == history.Done && r.code == "" && json.Unmarshal(r.data, &told) == nil:
				if a.Fate = history.Done; told.Generation != generation || !told.Released {
					p.log.Wrongf("C8: an arrival in generation %d of %s is told %+v", generation, a.Object, told)
				}
				generation++
			}
			if add(p.log, &p.log.met, a); a.Fate == history.Unknown {
				return
			}
			pauseUpTo(ctx, 300*time.Millisecond, p.random)
		}
	})
}

// look notes which generation is the present one.
func (p *troupe) look(ctx context.Context, object bus.Object) (generation uint64, ok bool) {
	m := Meeting{Object: "barrier." + object.Name, Call: p.log.now()}
	record, _, err := p.c.Barrier(object.Namespace, object.Name, meetSize).Get(ctx, client.Read{Consistency: client.Linearizable})
	if err != nil {
		pause(ctx, 50*time.Millisecond)
		return 0, false
	}
	m.Generation, m.Return = record.Generation, p.log.now()
	add(p.log, &p.log.meets, m)
	return record.Generation, true
}
