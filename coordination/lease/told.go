package lease

import (
	"cmp"
	"slices"
	"sync"

	"github.com/roostbus/roost/backend"
)

// told are those who are told of grants and endings.
type told struct {
	mu      sync.Mutex
	grants  []*func(Lease)
	endings []*func(backend.Ending)
}

// OnEnd implements [backend.Liveness].
func (t *Table) OnEnd(f func(backend.Ending)) (cancel func()) {
	return subscribe(&t.told.mu, &t.told.endings, f)
}

// OnGrant has f called for every lease that is seen to be granted from now on, in the order
// of the store; after a snapshot of another store, for every one that lives. f must not
// block. The returned function ends that.
func (t *Table) OnGrant(f func(Lease)) (cancel func()) {
	return subscribe(&t.told.mu, &t.told.grants, f)
}

func subscribe[T any](mu *sync.Mutex, to *[]*func(T), f func(T)) (cancel func()) {
	mu.Lock()
	defer mu.Unlock()
	*to = append(slices.Clip(*to), &f)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		*to = slices.DeleteFunc(slices.Clone(*to), func(g *func(T)) bool { return g == &f })
	}
}

func (t *told) grant(l Lease) { tell(&t.mu, &t.grants, l) }

func (t *told) end(e backend.Ending) { tell(&t.mu, &t.endings, e) }

func tell[T any](mu *sync.Mutex, all *[]*func(T), what T) {
	mu.Lock()
	now := *all
	mu.Unlock()
	for _, f := range now {
		(*f)(what)
	}
}

func compare(a, b uint64) int { return cmp.Compare(a, b) }
