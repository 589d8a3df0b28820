package bustest

import (
	"context"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/hybrid"
)

// seen is a Backend that acknowledges a write when its view shows it, so that tests need
// not wait for what they have arranged. There is one node, so nobody reads another view.
type seen struct{ *hybrid.Backend }

var (
	_ backend.Backend    = seen{}
	_ backend.Batcher    = seen{}
	_ backend.Counter    = seen{}
	_ backend.Cataloguer = seen{}
	_ backend.Prompter   = seen{}
	_ backend.Reaper     = seen{}
)

// Register implements backend.Backend.
func (b seen) Register(ctx context.Context, r backend.Registration, w backend.Write) (backend.Registration, backend.Stamp, error) {
	made, stamp, err := b.Backend.Register(ctx, r, w)
	b.await(ctx, stamp, err)
	return made, stamp, err
}

// Update implements backend.Backend.
func (b seen) Update(ctx context.Context, key backend.Key, c backend.Change, w backend.Write) (backend.Registration, backend.Stamp, error) {
	made, stamp, err := b.Backend.Update(ctx, key, c, w)
	b.await(ctx, stamp, err)
	return made, stamp, err
}

// Unregister implements backend.Backend.
func (b seen) Unregister(ctx context.Context, key backend.Key, w backend.Write) (backend.Removal, backend.Stamp, error) {
	removal, stamp, err := b.Backend.Unregister(ctx, key, w)
	b.await(ctx, stamp, err)
	return removal, stamp, err
}

// Batch implements backend.Batcher.
func (b seen) Batch(ctx context.Context, operations []backend.Operation, atomic bool) ([]backend.Result, backend.Stamp, error) {
	results, stamp, err := b.Backend.Batch(ctx, operations, atomic)
	b.await(ctx, stamp, err)
	return results, stamp, err
}

// await returns when the view shows a write that was made at stamp. A wait that fails makes
// no write undone.
func (b seen) await(ctx context.Context, stamp backend.Stamp, err error) {
	if err == nil {
		_, _, _ = b.Count(ctx, backend.Query{Read: backend.Read{MinRevision: stamp.Revision}})
	}
}
