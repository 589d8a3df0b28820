package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// How long sendings of a keepalive wait for their replies: the first, and those after many
// that were in vain. It may be sent any number of times, and only the newest counts.
const (
	firstBeatTry = 500 * time.Millisecond
	lastBeatTry  = 2 * time.Second
)

// keeping is what keeps the leases of a client alive: one goroutine that sends, and one
// that hears of the connection, while there are leases.
type keeping struct {
	work sync.WaitGroup

	mu      sync.Mutex
	held    map[string]*Lease // by owner; those that have not ended
	running bool
	closed  bool
	wake    chan struct{}      // has an entry when there is something to look at
	shaken  chan struct{}      // closed when the connection is lost
	losses  uint64             // counts lost connections
	stop    context.CancelFunc // ends the sending under way; nil without one
}

func newKeeping() keeping {
	return keeping{held: make(map[string]*Lease), wake: make(chan struct{}, 1), shaken: make(chan struct{})}
}

// hold has l kept alive, and returns it, or the same lease where it is held already.
func (c *Client) hold(ctx context.Context, l *Lease) (*Lease, error) {
	k := &c.leases
	k.mu.Lock()
	defer k.mu.Unlock()
	if held := k.held[l.owner]; held != nil {
		return held, nil
	}
	if k.closed {
		return nil, fmt.Errorf("lease grant: %w", backend.ErrClosed)
	}
	if !k.running {
		ctx, end, err := c.begin(context.WithoutCancel(ctx), 0)
		if err != nil {
			return nil, fmt.Errorf("lease grant: %w", err)
		}
		k.running = true
		k.work.Go(func() {
			defer end()
			c.keep(ctx)
		})
	}
	k.held[l.owner] = l
	k.poke()
	return l, nil
}

// poke has the keeping look at its leases. The caller holds the lock or needs none.
func (k *keeping) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// end ends l because of err, and returns why it had ended already, if it had.
func (k *keeping) end(l *Lease, err error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	k.finish(l, err)
	k.poke()
	return nil
}

// finish ends l. The caller holds the lock.
func (k *keeping) finish(l *Lease, err error) {
	l.err = err
	delete(k.held, l.owner)
	close(l.done)
}

// close ends every lease, and returns when nothing is sent any more.
func (k *keeping) close() {
	k.mu.Lock()
	k.closed = true
	k.finishAll(backend.ErrClosed)
	k.poke()
	k.mu.Unlock()
	k.work.Wait()
}

// finishAll is finish for all leases.
func (k *keeping) finishAll(err error) {
	for _, l := range k.held {
		k.finish(l, err)
	}
}

// secret returns the secret of owner's lease.
func (k *keeping) secret(owner string) (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l, ok := k.held[owner]
	if !ok {
		return "", false
	}
	return l.secret, true
}

// doubt has the keeper asked about owner's lease, of which somebody has said that it has
// ended.
func (k *keeping) doubt(owner string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l, ok := k.held[owner]; ok {
		l.next = time.Now()
		k.poke()
	}
}

// due returns the leases that are to be kept alive now: those whose time has come, and
// those for which it soon will, at most a message full. If there are none it says how long
// there will be none, and false when no lease is left and nothing runs any more.
func (k *keeping) due(now time.Time, most int) (leases []*Lease, wait time.Duration, more bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.held) == 0 {
		k.running = false
		return nil, 0, false
	}
	wait = time.Duration(1<<63 - 1)
	for _, l := range k.held {
		wait = min(wait, l.next.Sub(now))
		if l.next.Sub(now) <= l.ttl/6 {
			leases = append(leases, l)
		}
	}
	if wait > 0 {
		return nil, wait, true
	}
	slices.SortFunc(leases, func(a, b *Lease) int { return a.next.Compare(b.next) })
	return leases[:min(len(leases), most)], 0, true
}

// keep keeps leases alive until none is left or ctx is over.
func (c *Client) keep(ctx context.Context) {
	k := &c.leases
	deaf := c.hearken()
	defer deaf()
	var pause backoff
	each := firstBeatTry
	var failing bool
	for {
		most := min(bus.MaxKeepalive, max(int(c.link.MaxPayload()-roomInPart)/(bus.MaxSecret+3), 1))
		leases, wait, more := k.due(time.Now(), most)
		if !more {
			return
		}
		if len(leases) == 0 {
			if !k.rest(ctx, wait) {
				break
			}
			continue
		}
		ttl := shortest(leases)
		each = min(each, lastBeatTry, ttl/3)
		asked := time.Now()
		err := c.beat(ctx, leases, each)
		if err == nil {
			if failing {
				c.log.LogAttrs(ctx, slog.LevelInfo, "leases are kept alive again", slog.Int("leases", len(leases)))
			}
			pause, each, failing = backoff{}, firstBeatTry, false
			continue
		}
		if errors.Is(err, backend.ErrClosed) || ctx.Err() != nil {
			break
		}
		if !failing {
			c.log.LogAttrs(ctx, slog.LevelWarn, "leases are not kept alive", slog.Int("leases", len(leases)), slog.Any("err", err))
			failing = true
		}
		each = longer(each, asked)
		if !k.rest(ctx, min(pause.step(), ttl/6)) {
			break
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running = false
	k.finishAll(fmt.Errorf("%w: nobody keeps the lease alive any more", backend.ErrClosed))
}

func shortest(leases []*Lease) time.Duration {
	ttl := leases[0].ttl
	for _, l := range leases {
		ttl = min(ttl, l.ttl)
	}
	return ttl
}

// rest returns after d, or sooner when there is something to look at. It reports whether
// ctx goes on.
func (k *keeping) rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.wake:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// signal returns what is closed when the connection is lost.
func (k *keeping) signal() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.shaken
}
