package kvstore

import (
	"context"
	"sync"
)

// Pipeliner is the ability of a [Store] to make many writes side by side for less than as
// many calls of Write cost.
type Pipeliner interface {
	// WriteEach does for each of writes, which are to distinct keys, what Write does:
	// each happens or fails by itself. It returns when all are over, in their order.
	WriteEach(ctx context.Context, writes []Write) []Written
}

// Written is what became of one write.
type Written struct {
	Revision uint64
	Err      error
}

// sideBySide is how many writes are under way at once where the store does not say.
const sideBySide = 256

// WriteEach uses s's [Pipeliner], or else calls Write for each.
func WriteEach(ctx context.Context, s Store, writes []Write) []Written {
	if p, ok := s.(Pipeliner); ok {
		return p.WriteEach(ctx, writes)
	}
	results := make([]Written, len(writes))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(sideBySide, len(writes)) {
		workers.Go(func() {
			for i := range next {
				results[i].Revision, results[i].Err = s.Write(ctx, writes[i])
			}
		})
	}
	for i := range writes {
		next <- i
	}
	close(next)
	workers.Wait()
	return results
}
