package natskv

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/kvstore"
)

var (
	// errLost means that a message was sent and nothing came back.
	errLost = errors.New("no acknowledgement")
	// errNotSent means that a message was certainly not sent, or reached nobody.
	errNotSent = errors.New("not sent")
)

// publisher sends messages and matches their acknowledgements, any number in flight. It
// does what nats.Conn's requests do, and also gives up on everything in flight at once
// when the connection is lost.
type publisher struct {
	nc     *nats.Conn
	prefix string
	sub    *nats.Subscription
	calls  sync.Pool

	mu      sync.Mutex
	next    uint64
	pending map[uint64]*call
	closed  bool
}

// call is one message in flight. It may be used again only by whoever has taken it out of
// pending, or received from it.
type call struct {
	answer chan *nats.Msg // nil is sent when the answer is given up
	timer  *time.Timer

	// Of one of many, instead of these:
	flight *flight
	index  int
	id     uint64
}

// give hands over the answer, or nil when it is given up.
func (c *call) give(m *nats.Msg) {
	switch {
	case c.flight == nil:
		c.answer <- m
	case m == nil:
		c.flight.land(c.index, landing{err: errLost})
	default:
		c.flight.land(c.index, landing{answer: m})
	}
}

func newPublisher(nc *nats.Conn) (*publisher, error) {
	p := &publisher{nc: nc, prefix: nc.NewInbox() + ".", pending: map[uint64]*call{}}
	p.calls.New = func() any {
		timer := time.NewTimer(time.Hour)
		timer.Stop()
		return &call{answer: make(chan *nats.Msg, 1), timer: timer}
	}
	var err error
	if p.sub, err = nc.Subscribe(p.prefix+"*", p.receive); err != nil {
		return nil, err
	}
	// What is in flight is bounded by the callers.
	return p, p.sub.SetPendingLimits(-1, -1)
}

func (p *publisher) receive(m *nats.Msg) {
	id, err := strconv.ParseUint(m.Subject[len(p.prefix):], 36, 64)
	if err != nil {
		return
	}
	if c := p.take(id); c != nil {
		c.give(m)
	}
}

func (p *publisher) take(id uint64) *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.pending[id]
	delete(p.pending, id)
	return c
}

// interrupt gives up waiting for what is in flight.
func (p *publisher) interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, c := range p.pending {
		delete(p.pending, id)
		c.give(nil)
	}
}

func (p *publisher) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.sub.Unsubscribe() // fails only if the connection is closed already
	p.interrupt()
}

// request publishes m and waits for the answer until ctx is done or patience has passed,
// which is errLost.
func (p *publisher) request(ctx context.Context, m *nats.Msg, patience time.Duration) (*nats.Msg, error) {
	c := p.calls.Get().(*call)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, kvstore.ErrClosed
	}
	p.next++
	id := p.next
	p.pending[id] = c
	p.mu.Unlock()

	var buf [64]byte
	m.Reply = string(strconv.AppendUint(append(buf[:0], p.prefix...), id, 36))
	if err := p.nc.PublishMsg(m); err != nil {
		if p.take(id) != nil {
			p.calls.Put(c)
		}
		return nil, publishError(err)
	}
	c.timer.Reset(patience)
	select {
	case answer := <-c.answer:
		c.timer.Stop()
		p.calls.Put(c)
		if answer == nil {
			return nil, errLost
		}
		return answered(answer)
	case <-c.timer.C:
	case <-ctx.Done():
		c.timer.Stop()
	}
	if p.take(id) != nil {
		p.calls.Put(c)
	}
	return nil, errLost
}

// answered returns m, unless it says that nobody was there to answer.
func answered(m *nats.Msg) (*nats.Msg, error) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return nil, fmt.Errorf("%w: %w", errNotSent, nats.ErrNoResponders)
	}
	return m, nil
}

// publishError says what it means that a message could not be handed to the connection.
func publishError(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", kvstore.ErrTooLarge, err)
	}
	return fmt.Errorf("%w: %w", errNotSent, err)
}

// connected waits until the connection is there, so that nothing is sent late from the
// connection's own buffer.
func (p *publisher) connected(ctx context.Context) error {
	if p.nc.IsConnected() {
		return nil
	}
	status := p.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer p.nc.RemoveStatusListener(status)
	for !p.nc.IsConnected() {
		if p.nc.IsClosed() {
			return fmt.Errorf("%w: %w", kvstore.ErrClosed, nats.ErrConnectionClosed)
		}
		select {
		case <-status:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w: %w", errNotSent, nats.ErrDisconnected, context.Cause(ctx))
		}
	}
	return nil
}
