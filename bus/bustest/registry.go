package bustest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
)

// patience is how long anything may take.
const patience = 30 * time.Second

// reconnectWait is short, since a test waits for it.
const reconnectWait = 20 * time.Millisecond

// Registry is a registry that runs until its test ends. Make one with [Start].
type Registry struct {
	options
	subjects bus.Subjects
	dir      string // of JetStream, and of what a node remembers
	place    string // names dir

	mu   sync.Mutex
	nats *natsServer
	node *node // nil while stopped
}

// Start starts a registry that answers when Start returns, and stops when the test ends.
func Start(tb testing.TB, opts ...Option) *Registry {
	tb.Helper()
	r := &Registry{options: newOptions(opts), dir: tb.TempDir(), place: rand.Text()}
	var err error
	if r.subjects, err = bus.NewSubjects(r.prefix); err != nil {
		tb.Fatalf("bustest: %v", err)
	}
	r.nats = newNATS(r.dir)
	tb.Cleanup(func() {
		if err := r.stop(); err != nil {
			tb.Errorf("bustest: %v", err)
		}
	})
	r.Restart(tb)
	return r
}

// URL is where NATS listens: what the program under test connects to. It stays the same
// over [Registry.Restart].
func (r *Registry) URL() string { return r.nats.url }

// Prefix is what the registry's subjects begin with.
func (r *Registry) Prefix() string { return r.prefix }

// Subjects are the registry's subjects, for tests that speak plain NATS.
func (r *Registry) Subjects() bus.Subjects { return r.subjects }

// Client returns a client of the registry that is closed when the test ends, or earlier by
// the test, which the registry takes for the end of its process.
func (r *Registry) Client(tb testing.TB, opts ...client.Option) *client.Client {
	tb.Helper()
	c, err := client.Connect(context.WithoutCancel(tb.Context()), r.URL(), r.clientOptions(opts)...)
	if err != nil {
		tb.Fatalf("bustest: connect: %v", err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func (r *Registry) clientOptions(opts []client.Option) []client.Option {
	return slices.Concat([]client.Option{
		client.WithPrefix(r.prefix),
		client.WithNATS(nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(0, 0)),
	}, opts)
}

// Connect returns a connection to NATS that is closed when the test ends. Unless opts say
// otherwise it comes back for ever.
func (r *Registry) Connect(tb testing.TB, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(r.URL(), slices.Concat([]nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(0, 0),
	}, opts)...)
	if err != nil {
		tb.Fatalf("bustest: connect: %v", err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

// EndLease ends owner's lease as if its TTL had passed without a keepalive. When it returns
// the end is committed, and nothing of the lease is there any more for whoever asks. Its
// events, expired for the reason expired, follow at once. Its holder learns of it with the
// next keepalive: those come about every third of the TTL, which tests may want to be a
// second. EndLease fails the test if there is no such lease.
func (r *Registry) EndLease(tb testing.TB, owner string) {
	tb.Helper()
	ctx, cancel := bounded(tb)
	defer cancel()
	if err := r.ask(ctx, func(c *client.Client) error {
		_, err := c.AdminRevoke(ctx, owner, backend.ReasonExpired)
		return err
	}); err != nil {
		tb.Fatalf("bustest: end the lease of %s: %v", owner, err)
	}
}

// Stop has the registry be away, and NATS with it, until [Registry.Restart]: every
// connection is lost, and nobody listens at the URL. No lease ends of it. Stopping twice
// is fine.
func (r *Registry) Stop(tb testing.TB) {
	tb.Helper()
	if err := r.stop(); err != nil {
		tb.Fatalf("bustest: %v", err)
	}
}

// Restart brings back what [Registry.Stop] has stopped, with everything that was stored,
// and returns when it answers. Clients come back by themselves, a moment later. A registry
// that runs goes on running.
func (r *Registry) Restart(tb testing.TB) {
	tb.Helper()
	ctx, cancel := bounded(tb)
	defer cancel()
	if err := r.start(ctx); err != nil {
		tb.Fatalf("bustest: %v", err)
	}
}

// bounded returns a context for what may also be done in a test's clean-up, when its own
// has ended.
func bounded(tb testing.TB) (context.Context, context.CancelFunc) {
	tb.Helper()
	return context.WithTimeout(context.WithoutCancel(tb.Context()), patience)
}

func (r *Registry) start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.node != nil {
		return nil
	}
	if err := r.nats.start(ctx); err != nil {
		return fmt.Errorf("start NATS: %w", err)
	}
	n, err := r.startNode(ctx)
	if err != nil {
		r.nats.stop()
		return fmt.Errorf("start the registry: %w", err)
	}
	r.node = n
	// Requests about leases are heard a moment after the rest.
	if err := r.ask(ctx, func(c *client.Client) error {
		_, _, err := c.LeaseList(ctx, client.LeaseQuery{Limit: 1})
		return err
	}); err != nil {
		return fmt.Errorf("start the registry: %w", err)
	}
	return nil
}

func (r *Registry) stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.node == nil {
		return nil
	}
	err := r.node.stop()
	r.node = nil
	r.nats.stop()
	return err
}

// ask calls f with a client of its own.
func (r *Registry) ask(ctx context.Context, f func(*client.Client) error) error {
	c, err := client.Connect(ctx, r.URL(), r.clientOptions(nil)...)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return f(c)
}
