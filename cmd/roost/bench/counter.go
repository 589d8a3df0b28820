package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// counter draws keys and counts what was written.
type counter struct{ drawn, written, doubtful atomic.Int64 }

func (c *counter) next() int { return int(c.drawn.Add(1)) - 1 }

// take draws n keys that follow each other, and returns the first.
func (c *counter) take(n int) int { return int(c.drawn.Add(int64(n))) - n }

// add notes what n writes came to, and returns it.
func (c *counter) add(n int, err error) (int, error) {
	if err != nil {
		c.doubtful.Add(int64(max(n, 1)))
		return 0, err
	}
	c.written.Add(int64(n))
	return n, nil
}

// compare reports that there is not what was written.
func (c *counter) compare(there int, err error) error {
	written, doubtful := int(c.written.Load()), int(c.doubtful.Load())
	if err == nil && (there < written || there > written+doubtful) {
		err = fmt.Errorf("%d were acknowledged and %d not, and there are %d", written, doubtful, there)
	}
	return err
}

// untilSeen repeats a comparison that may be ahead of a view, until it succeeds.
func untilSeen(ctx context.Context, compare func() error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, prepareTime)
	defer cancel()
	for {
		if err = compare(); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
