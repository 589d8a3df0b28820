package backendtest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/roostbus/roost/backend"
)

// Leases is a backend.Liveness in memory: owners live from Grant to End. It knows no
// revisions, so its endings have none.
type Leases struct {
	ending sync.Mutex // held while an ending is told, so that endings are told in order

	mu    sync.Mutex
	live  map[string]bool // false: has ended
	told  map[int]func(backend.Ending)
	added int
}

var _ backend.Liveness = (*Leases)(nil)

// NewLeases returns a table in which nobody lives.
func NewLeases() *Leases {
	return &Leases{live: map[string]bool{}, told: map[int]func(backend.Ending){}}
}

// Grant lets owner live. An owner that has ended does not live again.
func (l *Leases) Grant(owner string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.live[owner]; !known {
		l.live[owner] = true
	}
}

// End ends owner, if it lives, and returns when everybody has been told.
func (l *Leases) End(owner, reason string) {
	l.ending.Lock()
	defer l.ending.Unlock()
	for _, f := range l.end(owner) {
		f(backend.Ending{Owner: owner, Reason: reason})
	}
}

// end marks owner as ended and returns whom to tell, in the order of their coming.
func (l *Leases) end(owner string) []func(backend.Ending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.live[owner] {
		return nil
	}
	l.live[owner] = false
	told := make([]func(backend.Ending), 0, len(l.told))
	for i := range l.added {
		if f, still := l.told[i]; still {
			told = append(told, f)
		}
	}
	return slices.Clip(told)
}

// Lives implements backend.Liveness.
func (l *Leases) Lives(owner string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.live[owner]
}

// Confirm implements backend.Liveness; this table has always seen everything.
func (l *Leases) Confirm(ctx context.Context, owner string) (bool, error) {
	if ctx.Err() != nil {
		return false, fmt.Errorf("confirm owner %q: %w: %w", owner, backend.ErrUnavailable, context.Cause(ctx))
	}
	return l.Lives(owner), nil
}

// OnEnd implements backend.Liveness.
func (l *Leases) OnEnd(f func(backend.Ending)) (cancel func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.added
	l.added++
	l.told[i] = f
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.told, i)
	}
}
