package hybrid

import (
	"context"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/rules"
)

// Owned implements [backend.Reaper].
func (b *Backend) Owned(owner string) int { return b.view.Holds(owner) }

// Remains implements [backend.Reaper].
func (b *Backend) Remains() []backend.Ending { return b.view.Remains() }

// OnVoid implements [backend.Reaper].
func (b *Backend) OnVoid(f func(backend.Ending)) (cancel func()) { return b.feed.OnVoid(f) }

// Reap implements [backend.Reaper].
func (b *Backend) Reap(ctx context.Context, e backend.Ending) (left int, err error) {
	if err := b.begin(ctx, backend.Read{}); err != nil {
		return b.Owned(e.Owner), err
	}
	if err := b.writer.Dead(ctx, e.Owner); err != nil {
		return b.Owned(e.Owner), err
	}
	epoch := b.view.Stamp().Epoch
	var held []rules.State
	for r := range b.view.Owned(e.Owner) {
		held = append(held, rules.State{Present: true, Registration: *r, Revision: r.Revision, Epoch: epoch})
	}
	newest, _, err := b.writer.Reap(ctx, e, held)
	if err != nil {
		return b.Owned(e.Owner), err
	}
	return b.feed.Reaped(ctx, newest, func() int { return b.Owned(e.Owner) })
}
