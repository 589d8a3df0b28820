package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// hands is how many records are gone on with at a time.
	hands = 32
	// tick is how often there is a look at the clock.
	tick = 250 * time.Millisecond
	// round is how often idle records and forgotten markers are looked for.
	round = time.Minute
	// effort bounds one try.
	effort = 10 * time.Second
)

// Run takes the requests of this node out of queues whose ends could not be written, and
// those of a process before this one; and while the node is the keeper, it goes on with every
// record from which somebody's lease has ended, takes out the requests of nodes that have
// gone, aborts the proposals whose time is over, counting from when this keeper first saw
// them, and removes the records that nobody uses. It returns when ctx is done.
func (e *Engine) Run(ctx context.Context) error {
	if !e.begin() {
		return errors.New("engine: is running already")
	}
	d := &desk{Engine: e}
	d.clear()
	var tasks sync.WaitGroup
	defer func() {
		tasks.Wait()
		e.mu.Lock()
		e.running = false
		e.mu.Unlock()
		e.keeping.Store(false)
	}()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	now := time.Now()
	for {
		d.look(now)
		for _, j := range d.take() {
			tasks.Go(func() {
				d.done(ctx, j, d.do(ctx, j))
				notify(e.wake)
			})
		}
		select {
		case <-e.wake:
			now = time.Now()
		case now = <-ticker.C:
			d.clock(now)
		case <-ctx.Done():
			return fmt.Errorf("coordinate: %w", ctx.Err())
		}
	}
}

func (e *Engine) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running {
		return false
	}
	e.running, e.fresh = true, true
	return true
}
