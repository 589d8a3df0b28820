package memory_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/modules/memory"
)

const mib = 1 << 20

// process is one that holds and allocates so much.
type process struct {
	mu         sync.Mutex
	held, live uint64
	pace       uint64 // that it allocates between two looks
	allocated  uint64
	released   int
	after      uint64 // what is held when it has been given back
}

func (p *process) look() memory.Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allocated += p.pace
	return memory.UsageOf(p.held, p.live).Allocate(p.allocated)
}

func (p *process) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.released++
	p.held = p.after
}

// becomes has p hold and allocate so much from now on.
func (p *process) becomes(held, pace uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held, p.pace = held, pace
}

// times is how often something was given back.
func (p *process) times() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.released
}

// watch has a Releaser look after p, until the test ends.
func watch(t *testing.T, p *process) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- memory.NewOf(p.look, p.release).Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err == nil {
			t.Error("Run() = nil before anything was wrong")
		}
	})
}

func TestWhatABusyTimeHasLeftIsGivenBackOnceItIsQuiet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &process{held: 1600 * mib, live: 700 * mib, pace: 500 * mib, after: 1200 * mib}
		watch(t, p)
		time.Sleep(time.Minute)
		if p.times() > 0 {
			t.Error("memory is given back while it is used again and again")
		}
		p.becomes(1600*mib, mib)
		time.Sleep(10 * time.Second)
		if p.times() != 1 {
			t.Errorf("10 s after it has become quiet memory was given back %d times; want once", p.times())
		}
		time.Sleep(time.Hour)
		if p.times() != 1 {
			t.Errorf("what is left was given back again: %d times", p.times())
		}
		p.becomes(1600*mib, mib)
		time.Sleep(4 * time.Second)
		if p.times() != 2 {
			t.Errorf("after another busy time memory was given back %d times in all; want 2", p.times())
		}
		p.becomes(1600*mib, mib)
		time.Sleep(5 * time.Second)
		if p.times() != 2 {
			t.Error("memory is given back again at once")
		}
	})
}

func TestALittleIsNotWorthACollection(t *testing.T) {
	t.Parallel()
	for _, p := range []*process{
		{held: 100 * mib, live: 40 * mib, pace: 1}, {held: 1600 * mib, live: 1300 * mib, pace: 1}, {held: 30 * mib, live: 50 * mib, pace: 1}, {},
	} {
		synctest.Test(t, func(t *testing.T) {
			watch(t, p)
			time.Sleep(time.Hour)
			if p.times() > 0 {
				t.Errorf("with %d MiB held and %d live memory is given back", p.held/mib, p.live/mib)
			}
		})
	}
}

func TestTheRuntimeSaysWhatAProcessUses(t *testing.T) {
	t.Parallel()
	_, _, before := memory.Look()
	kept := make([]byte, 8*mib)
	runtime.GC()
	held, live, allocated := memory.Look()
	runtime.KeepAlive(kept)
	if allocated < before+8*mib || live < 8*mib || held < live {
		t.Errorf("with 8 MiB more in use %d bytes are held, %d live, and %d were allocated, %d before", held, live, allocated, before)
	}
}
