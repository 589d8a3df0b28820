package keeper_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/memkv"
)

// faulty is one node's way to a store that it shares with others.
type faulty struct {
	*memkv.Store

	mu     sync.Mutex
	rng    *rand.Rand
	thaw   chan struct{} // closed when the process goes on; nil while it does
	hear   chan struct{} // closed when the feed goes on; nil while it does
	faults faults
	calls  sync.WaitGroup // that are on their way

	// deafTo is the node whose records silence the feed before it shows one.
	deafTo string
}

// faults are how a write fares. Chances are in percent.
type faults struct {
	latency time.Duration // at most, each way
	refuse  int           // certainly not sent
	lose    int           // sent and lost on the way
	deaf    int           // happens, and the acknowledgement is lost
}

func newFaulty(store *memkv.Store, seed uint64) *faulty {
	return &faulty{Store: store, rng: rand.New(rand.NewPCG(seed, seed))}
}

func (f *faulty) set(faults faults) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = faults
}

// deafen has the feed stand still before it shows a record of node; "" ends that.
func (f *faulty) deafen(node string) {
	f.mu.Lock()
	f.deafTo = node
	f.mu.Unlock()
	f.unsilence()
}

// freeze stops the process as SIGSTOP does: no call of the store returns and nothing of
// the feed comes through, whatever the time.
func (f *faulty) freeze() { f.shut(&f.thaw) }

func (f *faulty) unfreeze() { f.open(&f.thaw) }

// silence makes the feed stand still without a word.
func (f *faulty) silence() { f.shut(&f.hear) }

func (f *faulty) unsilence() { f.open(&f.hear) }

func (f *faulty) shut(gate *chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *gate == nil {
		*gate = make(chan struct{})
	}
}

func (f *faulty) open(gate *chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *gate != nil {
		close(*gate)
		*gate = nil
	}
}

// pass waits while gate is shut.
func (f *faulty) pass(gate *chan struct{}) {
	f.mu.Lock()
	shut := *gate
	f.mu.Unlock()
	if shut != nil {
		<-shut
	}
}

type fate struct {
	there, back         time.Duration
	refused, lost, deaf bool
}

func (f *faulty) draw() fate {
	f.mu.Lock()
	defer f.mu.Unlock()
	within := func() time.Duration {
		if f.faults.latency == 0 {
			return 0
		}
		return time.Duration(f.rng.Int64N(int64(f.faults.latency)))
	}
	happens := func(percent int) bool { return f.rng.IntN(100) < percent }
	return fate{
		there: within(), back: within(),
		refused: happens(f.faults.refuse), lost: happens(f.faults.lose), deaf: happens(f.faults.deaf),
	}
}

type outcome struct {
	revisions []uint64
	err       error
}

// call sends what do does to the store and waits for the answer. What was sent happens,
// if it is not lost, even if nobody waits any more.
func (f *faulty) call(ctx context.Context, do func(context.Context) ([]uint64, error)) ([]uint64, error) {
	f.pass(&f.thaw)
	defer f.pass(&f.thaw)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", kvstore.ErrUnavailable, ctx.Err())
	}
	fate := f.draw()
	if fate.refused {
		return nil, fmt.Errorf("%w: injected", kvstore.ErrUnavailable)
	}
	answer := make(chan outcome, 1)
	f.calls.Go(func() {
		time.Sleep(fate.there)
		if fate.lost {
			return
		}
		revisions, err := do(context.WithoutCancel(ctx))
		if fate.deaf {
			return
		}
		time.Sleep(fate.back)
		answer <- outcome{revisions, err}
	})
	select {
	case o := <-answer:
		return o.revisions, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: injected", kvstore.ErrUnknownOutcome)
	}
}

func (f *faulty) Write(ctx context.Context, w kvstore.Write) (uint64, error) {
	return first(f.call(ctx, func(ctx context.Context) ([]uint64, error) {
		return list(f.Store.Write(ctx, w))
	}))
}

func (f *faulty) Batch(ctx context.Context, writes []kvstore.Write) ([]uint64, error) {
	return f.call(ctx, func(ctx context.Context) ([]uint64, error) { return f.Store.Batch(ctx, writes) })
}

func (f *faulty) Barrier(ctx context.Context) (uint64, error) {
	return first(f.call(ctx, func(ctx context.Context) ([]uint64, error) { return list(f.Store.Barrier(ctx)) }))
}

func list(revision uint64, err error) ([]uint64, error) { return []uint64{revision}, err }

func first(revisions []uint64, err error) (uint64, error) {
	if err != nil || len(revisions) == 0 {
		return 0, err
	}
	return revisions[0], nil
}

func (f *faulty) Feed(ctx context.Context, to kvstore.Follower) error {
	return f.Store.Feed(ctx, &gated{f: f, to: to})
}

// gated is a Follower behind the gates of f.
type gated struct {
	f  *faulty
	to kvstore.Follower
}

func (g *gated) wait() {
	g.f.pass(&g.f.thaw)
	g.f.pass(&g.f.hear)
	time.Sleep(g.f.draw().there / 4)
}

func (g *gated) Begin(generation kvstore.Generation) { g.wait(); g.to.Begin(generation) }
func (g *gated) Live(revision uint64)                { g.wait(); g.to.Live(revision) }
func (g *gated) Stale(cause error)                   { g.wait(); g.to.Stale(cause) }

func (g *gated) Apply(e kvstore.Entry) {
	g.f.mu.Lock()
	deafTo := g.f.deafTo
	g.f.mu.Unlock()
	if r, err := kvstore.Decode[keeper.Record](e); deafTo != "" && err == nil && r.Node == deafTo {
		g.f.silence()
	}
	g.wait()
	g.to.Apply(e)
}
