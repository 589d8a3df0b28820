package observed

import (
	"context"
	"time"

	"github.com/roostbus/roost/backend"
)

// Owned implements [backend.Reaper].
func (b *Backend) Owned(owner string) int { return backend.ReaperOf(b.inner).Owned(owner) }

// Remains implements [backend.Reaper].
func (b *Backend) Remains() []backend.Ending { return backend.ReaperOf(b.inner).Remains() }

// OnVoid implements [backend.Reaper].
func (b *Backend) OnVoid(f func(backend.Ending)) (cancel func()) {
	return backend.ReaperOf(b.inner).OnVoid(f)
}

// Reap implements [backend.Reaper].
func (b *Backend) Reap(ctx context.Context, e backend.Ending) (left int, err error) {
	start := time.Now()
	left, err = backend.ReaperOf(b.inner).Reap(ctx, e)
	b.done(reap, start, err)
	return left, err
}
