package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
)

// waiting is a request that waits for what its record will say.
type waiting[T any] struct {
	name  Name
	owner string
	entry string // among those that are pending
	from  uint64 // the revision that first has it
	until time.Time

	// stands returns the entry with which who asks is pending, or that it has been served,
	// or neither: it has been taken out.
	stands func(*T) (entry string, served bool)
}

// Why a wait ends with nothing.
var (
	errOver = errors.New("the wait is over")
	errOut  = fmt.Errorf("%w: taken out of the queue", backend.ErrUnavailable)
)

// await returns the state in which w has been served: errOver, errOut, ErrLeaseExpired, or
// the cause of ctx.
func (o *Objects[T]) await(ctx context.Context, w *waiting[T]) (*state[T], error) {
	key := o.key(w.name)
	me := &watcher{wake: make(chan struct{}, 1), entry: w.entry, owner: w.owner, from: w.from}
	o.mirror.watch(key, me)
	defer o.mirror.unwatch(key, me)
	_, begun := o.mirror.peek(key)
	timer := time.NewTimer(time.Until(w.until))
	defer timer.Stop()
	o.waiters.Add(1)
	defer o.waiters.Add(-1)
	for entry := w.entry; ; {
		s, in := o.mirror.peek(key)
		if in != begun && o.tail.Succeeds(begun, in) {
			begun = in // and revisions go on growing
		}
		if in != begun {
			return s, fmt.Errorf("%w: the store was made anew", backend.ErrUnavailable)
		}
		if s.revision >= w.from {
			now, served := w.stands(&s.value)
			switch {
			case served:
				return s, nil
			case !o.leases.Lives(w.owner):
				return s, expired(w.owner)
			case now == "":
				return s, errOut
			case now != entry: // another request of the same party has come
				entry = now
				o.mirror.rewatch(me, entry)
				continue
			}
		} else if !o.leases.Lives(w.owner) {
			return s, expired(w.owner)
		}
		select {
		case <-me.wake:
		case <-timer.C:
			return s, errOver
		case <-ctx.Done():
			return s, context.Cause(ctx)
		}
	}
}

func expired(owner string) error { return fmt.Errorf("owner %q: %w", owner, backend.ErrLeaseExpired) }

// certain returns when this node's feed has passed s, which has given something to owner,
// without an end of owner's lease: ErrLeaseExpired, ErrUnknownOutcome.
func (o *Objects[T]) certain(ctx context.Context, owner string, s *state[T]) error {
	if err := o.tail.Wait(ctx, s.revision); err != nil {
		return unknown(err)
	}
	if !o.leases.Lives(owner) {
		return expired(owner)
	}
	return nil
}

// stamps returns what gives a request that begins now the stamp of its answer, which is s.
//
// The epoch is that of the beginning: by the end another may have begun, to which a revision
// that was seen before does not belong. Whoever took it for one would think to know of all
// that is yet to be written. The other way about nobody is misled, since nothing comes after
// an epoch that is over.
func (o *Objects[T]) stamps() func(s *state[T]) backend.Stamp {
	epoch, ok := o.epochs.Current()
	return func(s *state[T]) backend.Stamp {
		if !ok {
			return backend.Stamp{} // which says nothing
		}
		stamp := backend.Stamp{Epoch: backend.Epoch(epoch)}
		if s != nil {
			stamp.Revision = backend.Revision(s.revision)
		}
		if stamp.Revision == 0 { // there is no record
			stamp.Revision = backend.Revision(o.tail.Revision())
		}
		return stamp
	}
}

// leaving are the tickets of this node's requests that have ended and are yet to be taken
// out. Whoever's turn it is takes out all of one record.
type leaving struct {
	next atomic.Uint64

	mu   sync.Mutex
	keys map[string]map[coordination.Ticket]time.Time // when they were added
}

func (l *leaving) add(key string, t coordination.Ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys[key] == nil {
		l.keys[key] = map[coordination.Ticket]time.Time{}
	}
	l.keys[key][t] = time.Now()
}

func (l *leaving) remove(key string, t coordination.Ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.keys[key], t)
	if len(l.keys[key]) == 0 {
		delete(l.keys, key)
	}
}

func (l *leaving) has(key string, t coordination.Ticket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.keys[key][t]
	return ok
}

// any reports whether there are some at key.
func (l *leaving) any(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.keys[key]) > 0
}

// before returns those that were added before then, by their keys.
func (l *leaving) before(then time.Time) map[string][]coordination.Ticket {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := map[string][]coordination.Ticket{}
	for key, tickets := range l.keys {
		for t, at := range tickets {
			if at.Before(then) {
				old[key] = append(old[key], t)
			}
		}
	}
	return old
}

// ticket returns a new one for a request at this node.
func (o *Objects[T]) ticket() coordination.Ticket {
	return coordination.Ticket{Node: o.node, ID: o.instance + strconv.FormatUint(o.left.next.Add(1), 36)}
}

// ending bounds what a request still does when its time has passed.
const ending = 5 * time.Second

// giveUp takes a request that has ended out of the queue, and returns the state that this
// has left. Where it fails, Run tries on.
func (o *Objects[T]) giveUp(ctx context.Context, n Name, t coordination.Ticket) (*state[T], error) {
	key := o.key(n)
	o.left.add(key, t)
	s, _, err := o.do(ctx, &change[T]{name: n, apply: func(x T, turn *coordination.Turn) (T, error) {
		return o.kind.giveUp(x, turn, func(t coordination.Ticket) bool { return o.left.has(key, t) }), nil
	}})
	if err != nil {
		o.mirror.changed(key)
		return nil, unknown(err)
	}
	o.left.remove(key, t)
	return s, nil
}
