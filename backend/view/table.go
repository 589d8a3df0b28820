package view

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/roostbus/roost/backend"
)

// table finds rows by key. One goroutine at a time changes it, any number read it
// without a lock: the slots hold pointers that are stored atomically, a row's key never
// changes, and growing publishes a new array. A sync.Map would box every key, which is
// an allocation a look-up; a sharded map weighs five times as much.
type table struct {
	seed  maphash.Seed
	slots atomic.Pointer[[]atomic.Pointer[row]]
	used  int // slots that are not nil, those of deleted rows included
	rows  int
	dead  *row // marks the slot of a deleted row, so that probing goes on behind it
}

const minSlots = 64

func (t *table) init() {
	t.seed = maphash.MakeSeed()
	t.dead = &row{service: &service{}, instance: "\x00"} // no valid key
	slots := make([]atomic.Pointer[row], minSlots)
	t.slots.Store(&slots)
}

func (t *table) hash(namespace, service, instance string) uint64 {
	const odd = 0x9e3779b97f4a7c15
	h := maphash.String(t.seed, instance)
	h = (h ^ h>>29) * odd
	h += maphash.String(t.seed, service)
	h = (h ^ h>>29) * odd
	h += maphash.String(t.seed, namespace)
	return h ^ h>>32
}

// get returns the row of key, or nil.
func (t *table) get(key *backend.Key) *row {
	slots := *t.slots.Load()
	mask := uint64(len(slots) - 1)
	for i := t.hash(key.Namespace, key.Service, key.Instance) & mask; ; i = (i + 1) & mask {
		r := slots[i].Load()
		if r == nil {
			return nil
		}
		if r.instance == key.Instance && r.service.Service == key.Service && r.service.Namespace == key.Namespace {
			return r
		}
	}
}

// insert adds r, whose key the table does not have.
func (t *table) insert(r *row) {
	slots := *t.slots.Load()
	if 4*(t.used+1) > 3*len(slots) {
		slots = t.grow()
	}
	mask := uint64(len(slots) - 1)
	i := t.hash(r.service.Namespace, r.service.Service, r.instance) & mask
	for ; ; i = (i + 1) & mask {
		held := slots[i].Load()
		if held == nil {
			t.used++
			break
		}
		if held == t.dead {
			break
		}
	}
	slots[i].Store(r)
	t.rows++
}

// grow publishes a new array without the slots of deleted rows, at most half full.
func (t *table) grow() []atomic.Pointer[row] {
	size := minSlots
	for size < 2*(t.rows+1) {
		size *= 2
	}
	slots := make([]atomic.Pointer[row], size)
	mask := uint64(size - 1)
	for r := range t.all {
		i := t.hash(r.service.Namespace, r.service.Service, r.instance) & mask
		for slots[i].Load() != nil {
			i = (i + 1) & mask
		}
		slots[i].Store(r)
	}
	t.used = t.rows
	t.slots.Store(&slots)
	return slots
}

// remove takes r out.
func (t *table) remove(r *row) {
	slots := *t.slots.Load()
	mask := uint64(len(slots) - 1)
	for i := t.hash(r.service.Namespace, r.service.Service, r.instance) & mask; ; i = (i + 1) & mask {
		switch slots[i].Load() {
		case nil:
			return
		case r:
			slots[i].Store(t.dead)
			t.rows--
			return
		}
	}
}

// all yields every row, in no order.
func (t *table) all(yield func(*row) bool) {
	slots := *t.slots.Load()
	for i := range slots {
		if r := slots[i].Load(); r != nil && r != t.dead && !yield(r) {
			return
		}
	}
}
