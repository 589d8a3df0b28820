package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ask is a plan that waits for its turn to be written.
type ask[T any] struct {
	*plan[T]
	next *state[T]     // what it leaves, once that is decided
	done chan struct{} // closed when it has been told what has become of it
	crew *crew         // of those who are served with it

	mu   sync.Mutex
	over bool // it was told, or nobody waits for that: it must not be decided any more
	sent bool // a write for it may be under way
	told outcome[T]
}

// outcome is what has become of a plan.
type outcome[T any] struct {
	s     *state[T]
	wrote bool
	err   error // errUnsure: it has to be decided again, after a barrier
}

// crew are asks that are served together, for as long as one of them waits.
type crew struct {
	waiting atomic.Int64
	stop    context.CancelFunc
}

func (c *crew) less() {
	if c != nil && c.waiting.Add(-1) == 0 {
		c.stop()
	}
}

// tell says what has become of a, if anybody waits for that.
func (a *ask[T]) tell(out outcome[T]) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return
	}
	a.over, a.told = true, out
	close(a.done)
	a.crew.less()
}

// quit says that nobody waits for a any more, because of ctx, and returns what a is told then:
// what it was before, if it was. From then on nothing of its plan may be used: somebody may be
// at it.
func (a *ask[T]) quit(ctx context.Context, key string) outcome[T] {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.over:
	case a.sent:
		a.told.err = unknown(fmt.Errorf("%s is being written: %w", key, context.Cause(ctx)))
	default:
		a.told.err = busy(ctx, key)
	}
	if !a.over {
		a.over = true
		a.crew.less()
	}
	return a.told
}

// enlist has a be one of c.
func (a *ask[T]) enlist(c *crew) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.crew = c
	if a.over {
		c.less()
	}
}

// decided returns the state that a leaves when now is what it finds; nil if that is now. live
// is false if nobody waits for a any more.
func (o *Objects[T]) decided(a *ask[T], now *state[T]) (next *state[T], live bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return nil, false, nil
	}
	if next = a.draft; next == nil || a.from != now {
		next, err = o.decide(a.plan, now)
	}
	a.from, a.draft = nil, nil
	a.sent = a.sent || next != nil // from now on, for all that a knows
	return next, true, err
}

// turn has p written when it is its turn, together with whatever else waits for that then.
func (o *Objects[T]) turn(ctx context.Context, key string, p *plan[T]) outcome[T] {
	a := &ask[T]{plan: p, done: make(chan struct{}), sent: p.doubt}
	t := o.turns.join(key, a)
	select {
	case t.held <- struct{}{}:
		o.linger(ctx, key, t)
		asks := o.turns.collect(t, a)
		if len(asks) > 1 {
			o.begin(ctx, key, t, asks)
			o.turns.leave(key, t)
			break
		}
		if len(asks) == 1 {
			o.serve(ctx, key, t, asks)
		}
		o.turns.give(key, t)
	case <-a.done:
		o.turns.leave(key, t)
	case <-ctx.Done():
		waited := o.turns.withdraw(t, a)
		o.turns.leave(key, t)
		if waited {
			return outcome[T]{err: p.failed(busy(ctx, key))}
		}
	}
	select {
	case <-a.done:
		return a.told
	case <-ctx.Done():
		return a.quit(ctx, key)
	}
}

// begin has asks served by a goroutine of its own, so that none of them has to wait for longer
// than it wants to. It ends when all have been told, or nobody waits any more.
func (o *Objects[T]) begin(ctx context.Context, key string, t *turn[T], asks []*ask[T]) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	c := &crew{stop: stop}
	c.waiting.Store(int64(len(asks)))
	for _, a := range asks {
		a.enlist(c)
	}
	go func() {
		defer o.turns.give(key, t)
		defer stop()
		o.serve(ctx, key, t, asks)
	}()
}

const (
	// lingering is how long somebody who only comes to wait does not write that, so that it
	// is written together with what somebody does for whom others wait.
	lingering = time.Millisecond
	// brisk is how long ago a record must have been written for that to be worth while.
	brisk = 2 * time.Millisecond
)

// linger returns when somebody waits for the turn t, which the caller has, who does not only
// want to queue in a record that is written all the time, or when it would be too long.
func (o *Objects[T]) linger(ctx context.Context, key string, t *turn[T]) {
	now, in := o.mirror.peek(key)
	now = t.newest(now, in)
	if time.Since(now.seen) > brisk {
		return
	}
	queues := func(a *ask[T]) bool { return a.queues != nil && a.queues(&now.value) }
	var over <-chan time.Time
	for o.turns.all(t, queues) {
		if over == nil {
			timer := time.NewTimer(lingering)
			defer timer.Stop()
			over = timer.C
		}
		select {
		case <-t.more:
		case <-over:
			return
		case <-ctx.Done():
			return
		}
	}
}
