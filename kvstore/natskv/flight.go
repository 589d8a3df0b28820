package natskv

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/kvstore"
)

// flight is many messages of which one goroutine awaits the answers.
type flight struct {
	p      *publisher
	calls  []call
	landed []landing
	up     atomic.Int64 // how many are in the air
	enough atomic.Int64 // how many may be left for await to return
	wake   chan struct{}
	timer  *time.Timer
}

// landing is what came back of one message: an answer or an error.
type landing struct {
	answer *nats.Msg
	err    error
}

// requestEach is request for many messages, of which at most window are in the air.
// patience is how long none of those that are may be answered.
func (p *publisher) requestEach(ctx context.Context, messages []*nats.Msg, window int, patience time.Duration) []landing {
	f := &flight{p: p, calls: make([]call, len(messages)), landed: make([]landing, len(messages)), wake: make(chan struct{}, 1)}
	f.timer = time.NewTimer(patience)
	defer f.timer.Stop()
	for sent := 0; sent < len(messages); {
		room := window - int(f.up.Load())
		if room < max(window/2, 1) {
			if !f.await(ctx, window/2, patience) {
				f.fail(sent, errNotSent)
				break
			}
			continue
		}
		n := min(room, len(messages)-sent)
		if !f.launch(messages, sent, n) {
			f.fail(sent, kvstore.ErrClosed)
			break
		}
		sent += n
	}
	if !f.await(ctx, 0, patience) {
		f.giveUp()
	}
	return f.landed
}

// fail says of all messages from i on that they were not sent.
func (f *flight) fail(i int, err error) {
	for ; i < len(f.landed); i++ {
		f.landed[i].err = err
	}
}

// launch sends n messages from i on. It reports whether the publisher is open.
func (f *flight) launch(messages []*nats.Msg, i, n int) bool {
	p := f.p
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return false
	}
	id := p.next + 1
	p.next += uint64(n) //nolint:gosec // it is not negative
	for k := range n {
		c := &f.calls[i+k]
		c.flight, c.index, c.id = f, i+k, id+uint64(k)
		p.pending[c.id] = c
	}
	p.mu.Unlock()
	f.up.Add(int64(n))
	reply := append(make([]byte, 0, len(p.prefix)+16), p.prefix...)
	for k := range n {
		m := messages[i+k]
		m.Reply = string(strconv.AppendUint(reply, id+uint64(k), 36))
		if err := p.nc.PublishMsg(m); err != nil && p.take(id+uint64(k)) != nil {
			f.land(i+k, landing{err: publishError(err)})
		}
	}
	return true
}

// land takes in what came back of message i. It is called once for each that was launched.
func (f *flight) land(i int, l landing) {
	f.landed[i] = l
	if f.up.Add(-1) <= f.enough.Load() {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

// await returns when no more than enough messages are in the air. It reports false when
// ctx is done before, or nothing has landed for as long as patience.
func (f *flight) await(ctx context.Context, enough int, patience time.Duration) bool {
	f.enough.Store(int64(enough))
	f.timer.Reset(patience)
	last := f.up.Load()
	for f.up.Load() > int64(enough) {
		select {
		case <-f.wake:
		case <-f.timer.C:
			now := f.up.Load()
			if now == last {
				return false
			}
			last = now
			f.timer.Reset(patience)
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// giveUp lands what is still in the air as lost. An answer that is just coming in counts.
func (f *flight) giveUp() {
	f.enough.Store(0)
	for i := range f.calls {
		if c := &f.calls[i]; c.flight != nil && f.p.take(c.id) != nil {
			f.land(i, landing{err: errLost})
		}
	}
	for f.up.Load() > 0 {
		<-f.wake
	}
}
