package epoch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// Key is the store's key that holds the epoch.
const Key = "epoch"

// record is the value under Key.
type record struct {
	Epoch uint32 `json:"epoch"`
	// Generation is the life of the store that the epoch was given to.
	Generation kvstore.Generation `json:"generation"`
}

// Guard follows and, where it must, raises the epoch of a store.
type Guard struct {
	store  kvstore.Store
	memory Memory
	log    *slog.Logger
	wake   chan struct{} // there is an epoch to write or something to remember

	mu         sync.Mutex
	remembered Remembered
	boot       string             // what Remembered.Boot is to be while the Guard runs
	raise      string             // why there is to be a new epoch, once; "" if there need not be
	raised     uint32             // what raise has led to; 0 before it was tried
	generation kvstore.Generation // of what is being applied
	stored     record             // the newest one seen; zero if there is none
	revision   uint64             // of stored; 0 if there is none
	last       uint64             // how far the feed has come
	settled    bool               // outside a snapshot
	current    uint32             // 0 while it is being decided
	fallen     uint32             // that the store was in when it fell back
	highest    uint32             // that was ever current or remembered
	least      uint32             // that the store is to have; see Raise
	news       chan struct{}      // closed when current may have changed
}

// Option injects something into a Guard.
type Option func(*Guard)

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) Option { return func(g *Guard) { g.log = l } }

// WithRaise makes the Guard give the store a new epoch at its start, whatever it finds.
func WithRaise() Option { return func(g *Guard) { g.raise = "a new one was asked for" } }

// WithBoot says which life of its machine, by any name for it, the node runs in. unsynced
// says that the store acknowledges what only the machine's cache has. Then the end of that
// life, unless the Guard's Run has returned before, may lose what was written last, which is
// more than any memory knows of: the next Guard gives the store a new epoch.
func WithBoot(boot string, unsynced bool) Option {
	return func(g *Guard) {
		if was := g.remembered.Boot; boot != "" && was != "" && was != boot {
			g.raise = "the machine has stopped before this node had"
		}
		if unsynced {
			g.boot = boot
		}
	}
}

// NewGuard returns a Guard that starts from what memory holds. Subscribe it to [Key]
// before whoever serves, and Run it.
func NewGuard(store kvstore.Store, memory Memory, opts ...Option) (*Guard, error) {
	remembered, err := memory.Load()
	if err != nil {
		return nil, fmt.Errorf("read what is remembered of the epoch: %w", err)
	}
	g := &Guard{
		store: store, memory: memory, remembered: remembered, highest: remembered.Epoch,
		log: slog.New(slog.DiscardHandler), wake: make(chan struct{}, 1),
		news: make(chan struct{}),
	}
	for _, o := range opts {
		o(g)
	}
	return g, nil
}

var _ kvstore.Subscriber = (*Guard)(nil)

// Current returns the epoch of what the feed shows, and whether there is one: none while
// it is being decided.
func (g *Guard) Current() (epoch uint32, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.current, g.current != 0
}

// Begin implements [kvstore.Follower].
func (g *Guard) Begin(generation kvstore.Generation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.generation, g.stored, g.revision, g.settled = generation, record{}, 0, false
}

// Apply implements [kvstore.Follower].
func (g *Guard) Apply(e kvstore.Entry) {
	if e.Key != Key {
		return
	}
	var r record
	if err := json.Unmarshal(e.Value, &r); err != nil || e.Removed {
		r = record{} // no epoch of ours: another is given
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stored, g.revision, g.last = r, e.Revision, e.Revision
	if g.settled {
		g.decide()
	}
}

// Live implements [kvstore.Follower].
func (g *Guard) Live(revision uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.settled {
		g.last = max(g.last, revision)
		return
	}
	g.last, g.settled = revision, true
	g.decide()
}

// Advance implements [kvstore.Subscriber].
func (g *Guard) Advance(revision uint64) {
	g.mu.Lock()
	g.last = revision
	g.mu.Unlock()
}

// Stale implements [kvstore.Follower]. A store that has fallen back is told from what it was
// by another epoch, however far its revisions have come since.
func (g *Guard) Stale(cause error) {
	if !errors.Is(cause, kvstore.ErrFellBack) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fallen = max(g.fallen, g.current)
}

// decide takes the stored epoch where it is good and asks for another where it is not.
// The caller holds mu.
func (g *Guard) decide() {
	g.current = 0
	if g.doubt() == nil {
		g.current = g.stored.Epoch
		g.highest = max(g.highest, g.current)
	}
	close(g.news)
	g.news = make(chan struct{})
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// doubt says why the stored epoch is not good; nil if it is. The caller holds mu.
func (g *Guard) doubt() error {
	switch r := g.remembered; {
	case g.stored.Epoch == 0:
		return errors.New("the store has none")
	case g.stored.Generation != g.generation:
		return errors.New("the store was made anew")
	case g.raise != "" && (g.raised == 0 || g.stored.Epoch < g.raised):
		return errors.New(g.raise)
	case g.stored.Epoch <= g.fallen:
		return errors.New("the store has lost what this node has seen")
	case g.stored.Epoch < g.highest:
		return fmt.Errorf("the store's is %d, below the %d that this node has seen", g.stored.Epoch, g.highest)
	case g.stored.Epoch == r.Epoch && r.Generation != "" && r.Generation != g.generation:
		return errors.New("the store was exchanged for another of the same epoch")
	case g.stored.Epoch == r.Epoch && g.last < r.Last:
		return fmt.Errorf("the store has fallen back to revision %d, behind the %d that this node has seen", g.last, r.Last)
	}
	return nil
}

// rememberEvery is how often at the most a Guard writes to its memory.
const rememberEvery = time.Second

// Run gives the store new epochs where they are needed and keeps the memory, until ctx is
// done.
func (g *Guard) Run(ctx context.Context) error {
	if err := g.risk(); err != nil {
		g.log.LogAttrs(ctx, slog.LevelWarn, "epoch is not remembered", slog.Any("err", err)) // and is tried again
	}
	ticker := time.NewTicker(rememberEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), g.remember(""))
		case <-g.wake:
			g.renew(ctx)
		case <-ticker.C:
			g.renew(ctx)
			if err := g.remember(g.boot); err != nil {
				g.log.LogAttrs(ctx, slog.LevelWarn, "epoch is not remembered", slog.Any("err", err))
			}
		}
	}
}

// renew writes a new epoch if the stored one is in doubt. Whether it succeeds or another
// node was faster, the feed shows what came of it.
func (g *Guard) renew(ctx context.Context) {
	g.mu.Lock()
	cause := g.wanting()
	if !g.settled || cause == nil {
		g.mu.Unlock()
		return
	}
	next := record{Epoch: max(g.stored.Epoch, g.highest, max(g.least, 1)-1, uint32(time.Now().Unix())) + 1, Generation: g.generation} //nolint:gosec // Unix seconds fit until 2106
	expect := g.revision
	if g.raise != "" {
		g.raised = next.Epoch
	}
	g.mu.Unlock()
	value, err := json.Marshal(next)
	if err != nil {
		g.log.LogAttrs(ctx, slog.LevelError, "epoch cannot be encoded", slog.Any("err", err))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err = g.store.Write(ctx, kvstore.Write{Key: Key, Value: value, Expect: expect})
	switch {
	case err == nil:
		g.log.LogAttrs(ctx, slog.LevelInfo, "store has a new epoch", slog.Uint64("epoch", uint64(next.Epoch)), slog.Any("cause", cause))
	case !errors.Is(err, kvstore.ErrConflict):
		g.log.LogAttrs(ctx, slog.LevelWarn, "store gets no new epoch yet", slog.Any("err", err))
	}
}

// risk saves, before anything is served, what life of the machine the store now depends on.
// Where a new epoch is to be given for the loss of another life, that is remembered until it
// is given.
func (g *Guard) risk() error {
	g.mu.Lock()
	now := g.remembered
	g.mu.Unlock()
	if now.Boot == g.boot || g.raise != "" {
		return nil
	}
	now.Boot = g.boot
	return g.save(now)
}

// remember saves what the node has seen and the life of the machine, if that is more than
// what is saved.
func (g *Guard) remember(boot string) error {
	g.mu.Lock()
	now := Remembered{Epoch: g.current, Generation: g.generation, Last: g.last, Boot: boot}
	news := g.settled && g.current != 0 && now != g.remembered
	g.mu.Unlock()
	if !news {
		return nil
	}
	return g.save(now)
}

func (g *Guard) save(now Remembered) error {
	if err := g.memory.Save(now); err != nil {
		return err
	}
	g.mu.Lock()
	g.remembered = now
	g.mu.Unlock()
	return nil
}
