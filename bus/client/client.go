package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// Client is a registry at the far end of a NATS connection. Make one with [Connect] or
// [New].
type Client struct {
	options

	nc       *nats.Conn
	link     transport // for requests; nc itself
	line     line      // for leases; nc itself
	air      air       // for following; nc itself
	owned    bool
	subjects bus.Subjects
	seen     seen
	haste    haste
	known    map[string]string // secrets of others' leases, by owner
	leases   keeping
	partings partings

	mu     sync.Mutex
	calls  map[*call]struct{} // under way
	closed bool
}

var (
	_ backend.Backend    = (*Client)(nil)
	_ backend.Batcher    = (*Client)(nil)
	_ backend.Counter    = (*Client)(nil)
	_ backend.Cataloguer = (*Client)(nil)
)

// Connect connects to the NATS servers at url, several joined by commas, and returns a
// client whose Close ends the connection. It fails if no server accepts; after that the
// connection is restored for ever. That a registry answers is not checked; the first
// call waits for it. A process that may start before NATS adds
// WithNATS(nats.RetryOnFailedConnect(true)).
func Connect(ctx context.Context, url string, opts ...Option) (*Client, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("connect: %w: %w", backend.ErrUnavailable, context.Cause(ctx))
	}
	nc, err := dial(ctx, url, append(o.connection(), o.nats...))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w: %w", redact(url), backend.ErrUnavailable, err)
	}
	c, err := open(nc, o)
	if err != nil {
		nc.Close()
		return nil, err
	}
	c.owned = true
	return c, nil
}

// New returns a client on a connection that stays the caller's: Close leaves it open.
// Connections that buffer while they are away (nats.ReconnectBufSize, which is so by
// default) may send a write late; [Connect] makes one that does not.
func New(nc *nats.Conn, opts ...Option) (*Client, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if nc == nil {
		return nil, errors.New("client: the connection must not be nil")
	}
	return open(nc, o)
}

func open(nc *nats.Conn, o options) (*Client, error) {
	subjects, err := bus.NewSubjects(o.prefix)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	known, err := ownersOf(o.secrets)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return &Client{
		options: o, nc: nc, link: nc, line: nc, air: nc, subjects: subjects,
		leases: newKeeping(), known: known, calls: make(map[*call]struct{}),
	}, nil
}

// Close ends every call and every Watch with ErrClosed, and the connection if [Connect]
// made it. What is permanent stays registered. Leases are not revoked, but nobody keeps them
// alive any more: they are Done, and the registry ends them after their grace where their
// connection was closed, else when their TTL has passed. [Lease.Revoke] and [Session.Close]
// end them at once. Close is idempotent.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	for call := range c.calls {
		call.cancel()
	}
	c.mu.Unlock()
	c.leases.close()
	if c.owned {
		c.nc.Close()
	}
	return nil
}

func (c *Client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// call is a call under way, for Close to end.
type call struct{ cancel context.CancelFunc }

// errDeadline is why a call ends whose context would have allowed it more time.
var errDeadline = errors.New("the client's own timeout has passed")

// begin returns a context that ends with ctx, after limit (0: never), and with Close.
// The returned function must be called.
func (c *Client) begin(ctx context.Context, limit time.Duration) (context.Context, func(), error) {
	if ctx.Err() != nil {
		return nil, nil, fmt.Errorf("%w: %w", backend.ErrUnavailable, context.Cause(ctx))
	}
	var cancel context.CancelFunc
	if limit > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, limit, errDeadline)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	under := &call{cancel: cancel}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		cancel()
		return nil, nil, backend.ErrClosed
	}
	c.calls[under] = struct{}{}
	return ctx, func() {
		c.mu.Lock()
		delete(c.calls, under)
		c.mu.Unlock()
		cancel()
	}, nil
}
