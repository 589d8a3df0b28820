package durable

import (
	"context"
	"fmt"

	"github.com/roostbus/roost/backend"
)

// MaxUnderWay is how many operations of all batches are under way at once. A stream takes
// ten thousand messages in the air before it refuses more, and several nodes may share it.
const MaxUnderWay = 4000

// room bounds what batches do at once: not their number, but their operations.
type room struct {
	next  chan struct{} // held by the one batch that is taking slots
	slots chan struct{}
}

func newRoom() *room {
	return &room{next: make(chan struct{}, 1), slots: make(chan struct{}, MaxUnderWay)}
}

// enter waits for room for n operations. Its error says that there was none in time.
func (r *room) enter(ctx context.Context, n int) (leave func(), err error) {
	n = min(n, MaxUnderWay)
	taken := 0
	leave = func() {
		for range taken {
			<-r.slots
		}
	}
	select {
	case r.next <- struct{}{}:
	case <-ctx.Done():
		return nil, noRoom(ctx)
	}
	defer func() { <-r.next }()
	for ; taken < n; taken++ {
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			leave()
			return nil, noRoom(ctx)
		}
	}
	return leave, nil
}

func noRoom(ctx context.Context) error {
	return fmt.Errorf("%w: other batches are under way: %w", backend.ErrUnavailable, context.Cause(ctx))
}
