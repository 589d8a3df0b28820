package epoch

import (
	"context"
	"fmt"
	"math"

	"github.com/roostbus/roost/kvstore"
)

// Raise gives the store an epoch greater than above, unless it has one, and returns when
// that is [Guard.Current]. The Guard must be running. ErrInvalid where there is no greater
// one, ErrUnavailable: then the Guard goes on trying, and Raise may be called again.
func (g *Guard) Raise(ctx context.Context, above uint32) (epoch uint32, err error) {
	if above >= math.MaxUint32-1 {
		return 0, fmt.Errorf("%w: there is no epoch above %d", kvstore.ErrInvalid, above)
	}
	for {
		g.mu.Lock()
		g.least = max(g.least, above+1)
		current, news := g.current, g.news
		g.mu.Unlock()
		if current > above {
			return current, nil
		}
		select {
		case g.wake <- struct{}{}:
		default:
		}
		select {
		case <-news:
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: the epoch is not above %d yet: %w", kvstore.ErrUnavailable, above, context.Cause(ctx))
		}
	}
}

// wanting says why the store is to have another epoch, nil if it is not: that of what is
// served is in doubt, or a higher one was asked for. The caller holds mu.
func (g *Guard) wanting() error {
	if cause := g.doubt(); cause != nil {
		return cause
	}
	if g.stored.Epoch < g.least {
		return fmt.Errorf("one of at least %d was asked for", g.least)
	}
	return nil
}
