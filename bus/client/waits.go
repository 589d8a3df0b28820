package client

import (
	"context"
	"time"
)

// longestWait is how long one sending of a read waits at most. A longer wait is made of
// several, so that a node that has died, or a requester that has, costs no more than that.
const longestWait = 15 * time.Second

// waitUntil has r wait for d from now on; 0 stands for not at all.
func (r *request) waitUntil(d time.Duration) {
	if d > 0 {
		r.until = time.Now().Add(d)
	}
}

func (r *request) waits() bool { return !r.until.IsZero() }

// left is what is left of r's wait.
func (r *request) left() time.Duration {
	if !r.waits() {
		return 0
	}
	return max(time.Until(r.until), 0)
}

// prepare makes the body of the next sending and returns how long it waits: what is left
// of the wait, but no longer than the call or longestWait, and never nothing at all, which
// would be another request.
func (r *request) prepare(ctx context.Context) (wait time.Duration, err error) {
	if r.encode == nil {
		return 0, nil
	}
	if r.waits() {
		part := min(r.left(), longestWait, remaining(ctx))
		ms := max((part + time.Millisecond - 1).Milliseconds(), 1)
		wait, r.waitMs = time.Duration(ms)*time.Millisecond, &ms
	}
	r.body, err = r.encode()
	return wait, err
}

// goesOn reports whether anything is left of r's wait after a part of it was in vain that
// was sent at asked. Parts that end sooner than they should are paced.
func (r *request) goesOn(ctx context.Context, asked time.Time) bool {
	if r.left() == 0 {
		return false
	}
	if time.Since(asked) < firstPause {
		return sleep(ctx, firstPause)
	}
	return true
}
