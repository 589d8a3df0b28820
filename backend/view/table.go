package view

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/roostbus/roost/backend"
)

// table finds rows by key. One goroutine at a time changes it, any number read it
// without a lock: the slots are stored atomically, a row's key never changes, and growing
// publishes a new array. A sync.Map would box every key, which is an allocation a
// look-up; a sharded map weighs five times as much.
type table struct {
	seed  maphash.Seed
	slots atomic.Pointer[[]slot]
	used  int // slots that are not empty, those of deleted rows included
	rows  int
}

// slot holds a row and the tag of its key, so that probing looks at the rows of other
// keys almost never. The row is stored before its tag. Its version is there, too, for
// look-ups: each part of memory less that they touch is a wait less.
type slot struct {
	tag     atomic.Uint64 // a hash, empty or deleted
	row     atomic.Pointer[row]
	version atomic.Pointer[version] // nil until it is shown
}

const (
	empty   = 0
	deleted = 1 // probing goes on behind it

	minSlots = 64
)

func (t *table) init() {
	t.seed = maphash.MakeSeed()
	slots := make([]slot, minSlots)
	t.slots.Store(&slots)
}

// tag returns the hash of a key, neither empty nor deleted.
func (t *table) tag(namespace, service, instance string) uint64 {
	const odd = 0x9e3779b97f4a7c15
	h := maphash.String(t.seed, instance)
	h = (h ^ h>>29) * odd
	h += maphash.String(t.seed, service)
	h = (h ^ h>>29) * odd
	h += maphash.String(t.seed, namespace)
	h ^= h >> 32
	return max(h, deleted+1)
}

// find returns the version of key, or nil.
func (t *table) find(key *backend.Key) *version {
	slots := *t.slots.Load()
	mask := uint64(len(slots) - 1)
	tag := t.tag(key.Namespace, key.Service, key.Instance)
	for i := tag & mask; ; i = (i + 1) & mask {
		switch slots[i].tag.Load() {
		case empty:
			return nil
		case tag:
			if v := slots[i].version.Load(); v != nil && v.Key == *key {
				return v
			}
		}
	}
}

// get returns the row of key, or nil.
func (t *table) get(key *backend.Key) *row {
	slots := *t.slots.Load()
	mask := uint64(len(slots) - 1)
	tag := t.tag(key.Namespace, key.Service, key.Instance)
	for i := tag & mask; ; i = (i + 1) & mask {
		switch slots[i].tag.Load() {
		case empty:
			return nil
		case tag:
			r := slots[i].row.Load()
			if r != nil && r.instance == key.Instance && r.service.Service == key.Service && r.service.Namespace == key.Namespace {
				return r
			}
		}
	}
}

// insert adds r, whose key the table does not have.
func (t *table) insert(r *row) {
	slots := *t.slots.Load()
	if 4*(t.used+1) > 3*len(slots) {
		slots = t.grow()
	}
	r.tag = t.tag(r.service.Namespace, r.service.Service, r.instance)
	if occupy(slots, r.tag, r, nil) == empty {
		t.used++
	}
	t.rows++
}

// occupy puts r into the first slot that is free, and returns what that was.
func occupy(slots []slot, tag uint64, r *row, v *version) (was uint64) {
	mask := uint64(len(slots) - 1)
	for i := tag & mask; ; i = (i + 1) & mask {
		if was = slots[i].tag.Load(); was <= deleted {
			slots[i].row.Store(r)
			slots[i].version.Store(v)
			slots[i].tag.Store(tag)
			return was
		}
	}
}

// grow publishes a new array without the slots of deleted rows, at most half full.
func (t *table) grow() []slot {
	size := minSlots
	for size < 2*(t.rows+1) {
		size *= 2
	}
	old := *t.slots.Load()
	slots := make([]slot, size)
	for i := range old {
		if tag := old[i].tag.Load(); tag > deleted {
			occupy(slots, tag, old[i].row.Load(), old[i].version.Load())
		}
	}
	t.used = t.rows
	t.slots.Store(&slots)
	return slots
}

// remove takes r out.
func (t *table) remove(r *row) {
	if s := t.slot(r); s != nil {
		s.tag.Store(deleted)
		s.row.Store(nil)
		s.version.Store(nil)
		t.rows--
	}
}

// show has look-ups find v at r's key.
func (t *table) show(r *row, v *version) {
	r.version.Store(v)
	t.slot(r).version.Store(v)
}

// slot returns where r is, nil if it is not there.
func (t *table) slot(r *row) *slot {
	slots := *t.slots.Load()
	mask := uint64(len(slots) - 1)
	for i := r.tag & mask; slots[i].tag.Load() != empty; i = (i + 1) & mask {
		if slots[i].row.Load() == r {
			return &slots[i]
		}
	}
	return nil
}

// all yields every row, in no order.
func (t *table) all(yield func(*row) bool) {
	slots := *t.slots.Load()
	for i := range slots {
		if slots[i].tag.Load() > deleted && !yield(slots[i].row.Load()) {
			return
		}
	}
}
