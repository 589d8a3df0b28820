package memory

import (
	"context"

	"github.com/roostbus/roost/backend"
)

// Owned implements [backend.Reaper].
func (b *Backend) Owned(owner string) int { return b.view.Holds(owner) }

// Remains implements [backend.Reaper]: nothing ever does, since an ending takes out what it
// ends, and what is written late is refused.
func (b *Backend) Remains() []backend.Ending { return b.view.Remains() }

// OnVoid implements [backend.Reaper].
func (b *Backend) OnVoid(func(backend.Ending)) (cancel func()) { return func() {} }

// Reap implements [backend.Reaper].
func (b *Backend) Reap(ctx context.Context, e backend.Ending) (left int, err error) {
	if err := b.ready(ctx); err != nil {
		return b.Owned(e.Owner), err
	}
	if e.Owner == "" || b.lives(e.Owner) {
		return b.Owned(e.Owner), backend.Invalid("owner", "%q lives", e.Owner)
	}
	return b.Owned(e.Owner), nil
}
