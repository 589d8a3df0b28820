package client

import (
	"context"
	"sync"
)

// partings are the releases that go on in the background.
type partings struct {
	mu   sync.Mutex
	done map[string]chan struct{} // by whose claim of what; closed when it is over
}

// begin takes note that one begins, and returns what ends it; false if one goes on already.
func (p *partings) begin(id string) (end func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done[id] != nil {
		return nil, false
	}
	if p.done == nil {
		p.done = make(map[string]chan struct{})
	}
	done := make(chan struct{})
	p.done[id] = done
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.done, id)
		close(done)
	}, true
}

// wait returns when none of id goes on, or with the reason why ctx is over.
func (p *partings) wait(ctx context.Context, id string) error {
	p.mu.Lock()
	done := p.done[id]
	p.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// background has work done until it returns or the client is closed, which waits for it.
// Of one id nothing is begun while another goes on.
func (c *Client) background(ctx context.Context, id string, work func(ctx context.Context)) {
	k := &c.leases
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	over, ok := c.partings.begin(id)
	if !ok {
		return
	}
	ctx, end, err := c.begin(ctx, 0)
	if err != nil {
		over()
		return
	}
	k.work.Go(func() {
		defer over()
		defer end()
		work(ctx)
	})
}
