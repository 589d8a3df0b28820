package kvstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Subscriber is told of the changes of the keys with its prefix, and of how far the feed
// has come. Calls come one at a time and must not block for long.
type Subscriber interface {
	Follower

	// Advance says that everything up to revision has been applied, by every
	// subscriber. It is called after every change, of whatever prefix, outside a
	// snapshot; at the end of one Live says the same. It is the place to publish what
	// Apply has changed.
	Advance(revision uint64)
}

// Tail runs the one feed of a process and hands each change, in order, to those who
// subscribed to its key's prefix.
//
// Every subscriber sees Begin, Live and Stale; Apply it sees for its prefix only.
// Subscribers are called in the order in which they subscribed, all of them for one
// change before the next. Repetitions after an outage are left out, so revisions grow
// except within a snapshot.
type Tail struct {
	store Store
	options

	base      time.Time
	revision  atomic.Uint64 // see Revision
	life      atomic.Uint64 // counts the lives of the store that were seen
	waiting   atomic.Uint64 // the lowest revision that somebody waits for
	echo      atomic.Int64  // when the newest write that came back was sent, since base
	candidate atomic.Bool   // whether an own write is among those waited for

	mu      sync.Mutex
	running bool
	started bool
	// subscribers is not changed but replaced.
	subscribers []*subscription
	again       context.CancelFunc // has the feed begin afresh; nil while there is none
	afresh      bool               // it was called
	status      Status
	next        Generation // of the snapshot that is coming in; "" outside one
	waits       waitHeap
	rebuilds    []*wait // barriers whose revision makes sense only after another snapshot
	round       *wait   // the barrier that whoever arrives now joins; nil if nobody has

	ready     chan struct{} // closed by the first Live
	readyOnce sync.Once
	kick      chan struct{} // there is a round to send
	lively    chan struct{} // the feed has become live
}

type subscription struct {
	prefix string
	Subscriber
	gone atomic.Bool
}

// TailOption injects something into a Tail.
type TailOption interface{ apply(*options) }

type options struct {
	log     *slog.Logger
	probe   time.Duration
	timeout time.Duration
}

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) TailOption { return optionFunc(func(o *options) { o.log = l }) }

// WithProbe makes the Tail send a barrier whenever none, and no own write, has come back
// for d; 0 means never. The default is a second.
func WithProbe(d time.Duration) TailOption { return optionFunc(func(o *options) { o.probe = d }) }

// WithBarrierTimeout bounds the write of one barrier, which several callers share. The
// default is five seconds.
func WithBarrierTimeout(d time.Duration) TailOption {
	return optionFunc(func(o *options) { o.timeout = d })
}

// NewTail returns a Tail of store that is not yet running: Subscribe, then Run.
func NewTail(store Store, opts ...TailOption) *Tail {
	t := &Tail{
		store:   store,
		options: options{log: slog.New(slog.DiscardHandler), probe: time.Second, timeout: 5 * time.Second},
		base:    time.Now().Add(-1), // so that no moment is 0, which stands for none
		ready:   make(chan struct{}),
		kick:    make(chan struct{}, 1),
		lively:  make(chan struct{}, 1),
	}
	for _, o := range opts {
		o.apply(&t.options)
	}
	t.waiting.Store(math.MaxUint64)
	t.status = Status{State: Syncing, Since: time.Now()}
	return t
}

// Subscribe has s told of the keys that begin with prefix; "" is every key. While the Tail
// runs the feed begins afresh, for everybody.
func (t *Tail) Subscribe(prefix string, s Subscriber) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subscribers = append(slices.Clone(t.subscribers), &subscription{prefix: prefix, Subscriber: s})
	if t.again != nil {
		t.afresh = true
		t.again()
	}
}

// Unsubscribe has s told nothing any more, but for a call that is under way.
func (t *Tail) Unsubscribe(s Subscriber) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subscribers = slices.DeleteFunc(slices.Clone(t.subscribers), func(one *subscription) bool {
		if one.Subscriber != s {
			return false
		}
		one.gone.Store(true)
		return true
	})
}

var errRunning = errors.New("kvstore: tail is running already")

// Run follows the store until ctx is done or the store's feed fails. It may be run
// again: subscribers then see everything afresh.
func (t *Tail) Run(ctx context.Context) error {
	if !t.begin() {
		return errRunning
	}
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	tasks.Go(func() { t.sendBarriers(ctx) })
	tasks.Go(func() { t.sendProbes(ctx) })
	err := t.feed(ctx)
	cancel()
	tasks.Wait()
	t.end(err)
	return fmt.Errorf("follow the store: %w", err)
}

// feed follows the store, and begins afresh when there is somebody new.
func (t *Tail) feed(ctx context.Context) error {
	for {
		feeding, stop := context.WithCancel(ctx)
		t.mu.Lock()
		t.again, t.afresh = stop, false
		f := &feed{tail: t, subscribers: t.subscribers}
		t.mu.Unlock()
		err := t.store.Feed(feeding, f)
		stop()
		t.mu.Lock()
		again := t.afresh
		t.again = nil
		t.mu.Unlock()
		if !again || ctx.Err() != nil {
			return err
		}
	}
}

func (t *Tail) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running {
		return false
	}
	t.running, t.started = true, true
	return true
}

func (t *Tail) end(cause error) {
	t.stale(cause)
	t.mu.Lock()
	all := t.subscribers
	t.mu.Unlock()
	for _, s := range all {
		s.Stale(cause)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = false
	t.next = ""
	t.failAll(fmt.Errorf("%w: the feed has ended", ErrUnavailable))
}
