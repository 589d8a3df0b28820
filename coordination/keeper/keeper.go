package keeper

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// Keeper is one node's part in the election.
type Keeper struct {
	options

	store    kvstore.Store
	tail     *kvstore.Tail
	self     Self
	instance string
	drafts   atomic.Uint64

	ready     chan struct{} // closed when a keeper is known
	readyOnce sync.Once
	wake      chan struct{} // there is something new to look at
	begun     chan struct{} // there is a tenure to announce
	desk      chan struct{} // holds one token: whoever took it may write the record

	mu            sync.Mutex
	running       bool
	sight         sight
	interruptions uint64  // of the feed
	tenure        *tenure // nil while the node is not the keeper
}

var _ kvstore.Subscriber = (*Keeper)(nil)

// New returns a Keeper that is not yet running, subscribed to tail, which must follow store.
func New(store kvstore.Store, tail *kvstore.Tail, self Self, opts ...Option) (*Keeper, error) {
	if self.Node == "" {
		return nil, errors.New("keeper: a node needs a name")
	}
	k := &Keeper{
		options: options{log: slog.New(slog.DiscardHandler)},
		store:   store, tail: tail, self: self, instance: rand.Text(),
		ready: make(chan struct{}), wake: make(chan struct{}, 1), begun: make(chan struct{}, 1),
		desk: make(chan struct{}, 1),
	}
	for _, o := range opts {
		o.apply(&k.options)
	}
	k.desk <- struct{}{}
	tail.Subscribe(Key, k)
	return k, nil
}

// Observe reports what happens to obs too, after those that came before it. It is for
// what is made of a Keeper, and must come before Run.
func (k *Keeper) Observe(obs *Observer) { k.obs = append(k.obs, obs) }

// Run takes part in the election until ctx is done, and then resigns if the node is the
// keeper, which takes a second at the most.
func (k *Keeper) Run(ctx context.Context) error {
	k.mu.Lock()
	running := k.running
	k.running = true
	k.mu.Unlock()
	if running {
		return errors.New("keeper: is running already")
	}
	var tasks sync.WaitGroup
	defer func() {
		tasks.Wait()
		k.mu.Lock()
		k.running = false
		k.mu.Unlock()
	}()
	tasks.Go(func() { k.announce(ctx) })
	for {
		t, err := k.contend(ctx)
		if err != nil {
			return fmt.Errorf("contend: %w", err)
		}
		cause := k.keep(ctx, t)
		k.end(ctx, t, cause)
		if ctx.Err() != nil {
			k.resign(ctx, t)
			return fmt.Errorf("keep: %w", ctx.Err())
		}
	}
}

// Ready waits until a keeper is known: this node, or one that was seen to renew.
// ErrUnavailable when ctx is done.
func (k *Keeper) Ready(ctx context.Context) error {
	select {
	case <-k.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: no keeper is known: %w", kvstore.ErrUnavailable, context.Cause(ctx))
	}
}

func (k *Keeper) becomeReady() { k.readyOnce.Do(func() { close(k.ready) }) }

// Tenure is an unbroken stretch of being the keeper.
type Tenure struct {
	Term uint64
	// Until is when it lapses unless it is renewed before.
	Until time.Time
}

// Tenure returns the node's present tenure, or false: at this instant it is not entitled
// to say or decide anything as the keeper.
func (k *Keeper) Tenure() (Tenure, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.tenure
	if t == nil || !t.serving || k.lost(t, time.Now()) != nil {
		return Tenure{}, false
	}
	return Tenure{Term: t.term, Until: t.until()}, true
}

// Serving reports whether the node is the keeper at this instant; see [Keeper.Tenure].
func (k *Keeper) Serving() bool {
	_, ok := k.Tenure()
	return ok
}

// Holder is who is the keeper.
type Holder struct {
	Node string
	Term uint64
}

// Current returns the keeper as far as this node knows, or false: there is none, or none
// was heard of for [Validity].
func (k *Keeper) Current() (Holder, bool) {
	if t, ok := k.Tenure(); ok {
		return Holder{Node: k.self.Node, Term: t.Term}, true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := &k.sight.record; r.Instance != k.instance && k.sight.known(time.Now()) {
		return Holder{Node: r.Node, Term: r.Term}, true
	}
	return Holder{}, false
}
