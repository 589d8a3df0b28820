//go:build !linux

package child

import "context"

// Reap waits until ctx is done: this system gives orphans to its first process.
func (r *Runner) Reap(ctx context.Context) { <-ctx.Done() }
