package clock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
)

// ErrNotKeeper means that the node is not, or no longer, the keeper, or has only just
// become it. Whoever answers requests then says nothing, so that the client asks again.
var ErrNotKeeper = keeper.ErrNotKeeper

// Office is what the Clock needs of the node's [keeper.Keeper].
type Office interface {
	Tenure() (keeper.Tenure, bool)
	Fenced(ctx context.Context, batch func(ctx context.Context, fence kvstore.Write, term uint64) (uint64, error)) error
	Observe(obs *keeper.Observer)
}

var _ Office = (*keeper.Keeper)(nil)

// Clock knows which leases live and decides which have ended, while its node is the keeper.
type Clock struct {
	options

	cfg    Config
	store  kvstore.Store
	table  *lease.Table
	office Office
	door   Door
	base   time.Time // that instants are counted from

	session atomic.Pointer[session] // nil while the node serves no tenure
	wake    chan struct{}           // the tenure is another

	mu      sync.Mutex
	running bool
	tenure  *tenure // nil while the node is not the keeper
}

// tenure is one of the node's.
type tenure struct {
	term   uint64
	over   chan struct{} // closed at its end
	served bool          // Run has served it before, and was restarted
}

// New returns a Clock that is not yet running. It observes office, which must not run yet.
func New(store kvstore.Store, table *lease.Table, office Office, door Door, cfg Config, opts ...Option) (*Clock, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("clock: config: %w", err)
	}
	c := &Clock{
		options: optionsOf(opts), cfg: cfg, store: store, table: table, office: office, door: door,
		base: time.Now(), wake: make(chan struct{}, 1),
	}
	office.Observe(&keeper.Observer{Begun: c.begun, Ended: c.ended})
	return c, nil
}

func (c *Clock) begun(term uint64) {
	c.mu.Lock()
	c.tenure = &tenure{term: term, over: make(chan struct{})}
	c.mu.Unlock()
	notify(c.wake)
}

func (c *Clock) ended(uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tenure != nil {
		close(c.tenure.over)
	}
	c.tenure = nil
	c.session.Store(nil)
}

// Run serves whenever the node is the keeper, until ctx is done.
func (c *Clock) Run(ctx context.Context) error {
	c.mu.Lock()
	running := c.running
	c.running = true
	c.mu.Unlock()
	if running {
		return errors.New("clock: is running already")
	}
	defer func() {
		c.mu.Lock()
		c.running = false
		c.mu.Unlock()
	}()
	for {
		c.mu.Lock()
		t := c.tenure
		c.mu.Unlock()
		if t != nil {
			c.serve(ctx, t)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("clock: %w", ctx.Err())
		}
		if t == nil {
			select {
			case <-c.wake:
			case <-ctx.Done():
			}
		}
	}
}

// publish makes s what is served, unless t is over.
func (c *Clock) publish(t *tenure, s *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tenure != t {
		return false
	}
	c.session.Store(s)
	return true
}

// withdraw ends that s is served.
func (c *Clock) withdraw(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session.CompareAndSwap(s, nil)
}

// serving returns the session in which something can be acknowledged at this instant.
func (c *Clock) serving() (*session, error) {
	if s := c.session.Load(); s != nil && c.entitled(s) {
		return s, nil
	}
	return nil, ErrNotKeeper
}

// entitled reports whether the tenure of s is valid at this instant.
//
// A keepalive that was received before an instant at which it was may be acknowledged at
// any time: the tenure of any successor begins later, and its clocks run for longer.
func (c *Clock) entitled(s *session) bool {
	t, ok := c.office.Tenure()
	return ok && t.Term == s.term
}

// now returns the present instant.
func (c *Clock) now() time.Duration { return time.Since(c.base) }

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
