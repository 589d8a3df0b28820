package kvstore

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"
)

// Barrier returns when every write that was acknowledged before the call, by whatever
// process, has been applied. A caller joins only a barrier that is sent after it
// arrived; all who wait meanwhile share the next one. ErrUnavailable.
func (t *Tail) Barrier(ctx context.Context) error {
	t.mu.Lock()
	if t.started && !t.running {
		t.mu.Unlock()
		return fmt.Errorf("barrier: %w: the feed has ended", ErrUnavailable)
	}
	if t.round == nil {
		t.round = &wait{done: make(chan struct{}), index: -1}
		notify(t.kick)
	}
	w := t.round
	t.mu.Unlock()
	return t.await(ctx, w, "barrier")
}

// sendBarriers sends one barrier after the other while somebody waits for one. It does
// not wait for the feed in between.
func (t *Tail) sendBarriers(ctx context.Context) {
	for {
		select {
		case <-t.kick:
		case <-ctx.Done():
			return
		}
		t.mu.Lock()
		w := t.round
		t.round = nil
		t.mu.Unlock()
		if w != nil {
			t.sendBarrier(ctx, w)
		}
	}
}

func (t *Tail) sendBarrier(ctx context.Context, w *wait) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	sent := t.Sent()
	revision, err := t.store.Barrier(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		// The cause is not wrapped: that the barrier itself may have been written is
		// nobody's unknown outcome.
		t.over(w, fmt.Errorf("%w: %v", ErrUnavailable, err)) //nolint:errorlint // see above
		return
	}
	w.revision, w.sent = revision, sent.at
	if revision <= sent.revision && sent.life == t.life.Load() {
		t.rebuilds = append(t.rebuilds, w) // of a store that is yet to be seen
		return
	}
	t.push(w)
}

// Mark is a moment at which a write was sent.
type Mark struct {
	at       time.Duration // since base
	life     uint64        // of the store, as this node has seen
	revision uint64
}

// Sent marks the present, as that of the sending of a write; see [Tail.Wrote].
func (t *Tail) Sent() Mark {
	m := Mark{at: time.Since(t.base), life: t.life.Load()}
	m.revision = t.revision.Load() // after life, which is counted after the revision has gone back
	return m
}

// Wrote says that a write sent at sent was acknowledged with revision, so that its coming
// back through the feed counts for [Tail.Age].
func (t *Tail) Wrote(sent Mark, revision uint64) {
	switch {
	case revision <= sent.revision: // in another life of the store
	case revision <= t.revision.Load():
		t.echoed(sent.at)
	case t.candidate.CompareAndSwap(false, true):
		t.mu.Lock()
		t.push(&wait{revision: revision, sent: sent.at})
		t.mu.Unlock()
	}
}

func (t *Tail) echoed(at time.Duration) {
	for {
		old := t.echo.Load()
		if int64(at) <= old || t.echo.CompareAndSwap(old, int64(at)) {
			return
		}
	}
}

// Age returns how long ago the newest own write that has come back through the feed,
// probes included, was sent: an upper bound on how long ago what was applied was the
// newest. It is the greatest duration if none has come back yet.
func (t *Tail) Age() time.Duration {
	echo := time.Duration(t.echo.Load())
	if echo == 0 {
		return math.MaxInt64
	}
	return time.Since(t.base) - echo
}

// sendProbes sends barriers so that Age stays near the probe interval.
func (t *Tail) sendProbes(ctx context.Context) {
	if t.probe <= 0 {
		return
	}
	timer := time.NewTimer(t.probe)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.lively:
			t.sendProbe(ctx)
		case <-timer.C:
			if t.Age() >= t.probe {
				t.sendProbe(ctx)
			}
		}
		timer.Reset(max(t.probe-t.Age(), t.probe/8))
	}
}

func (t *Tail) sendProbe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	if err := t.Barrier(ctx); err != nil {
		t.log.LogAttrs(ctx, slog.LevelDebug, "probe did not come back", slog.Any("err", err))
	}
}
