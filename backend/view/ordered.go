package view

import (
	"slices"
	"sort"
)

// chunkSize is the greatest number of items in one chunk: 2 KB of pointers, which is
// what an insertion moves at most.
const chunkSize = 256

// ordered is a sorted set: a directory of sorted chunks. It weighs little more than its
// pointers, iterates at the speed of a slice, and a million items cost one search in
// the directory and one in a chunk.
type ordered[T interface{ compare(T) int }] struct {
	chunks [][]T
	n      int
}

// place is an index into an ordered set.
type place struct{ chunk, item int }

func (o *ordered[T]) len() int { return o.n }

// seek returns the first place whose item is not in front; in front are all items for
// which the function says so, which must be a prefix of the set.
func (o *ordered[T]) seek(inFront func(T) bool) place {
	c := sort.Search(len(o.chunks), func(i int) bool { return !inFront(o.chunks[i][len(o.chunks[i])-1]) })
	if c == len(o.chunks) {
		return place{chunk: c}
	}
	return place{c, sort.Search(len(o.chunks[c]), func(i int) bool { return !inFront(o.chunks[c][i]) })}
}

// at returns the item at p, and whether there is one.
func (o *ordered[T]) at(p place) (item T, ok bool) {
	if p.chunk >= len(o.chunks) {
		return item, false
	}
	return o.chunks[p.chunk][p.item], true
}

// next returns the place behind p.
func (o *ordered[T]) next(p place) place {
	if p.item++; p.item >= len(o.chunks[p.chunk]) {
		return place{chunk: p.chunk + 1}
	}
	return p
}

// insert adds x, once.
func (o *ordered[T]) insert(x T) {
	p := place{chunk: len(o.chunks)}
	if !o.endsBefore(x) {
		p = o.seek(func(y T) bool { return y.compare(x) < 0 })
	}
	if y, ok := o.at(p); ok && y.compare(x) == 0 {
		return
	}
	o.n++
	switch {
	case len(o.chunks) == 0:
		o.chunks = [][]T{{x}}
		return
	case p.chunk == len(o.chunks): // behind everything: what arrives in order fills its chunks
		p.chunk--
		if p.item = len(o.chunks[p.chunk]); p.item == chunkSize {
			o.chunks = append(o.chunks, append(make([]T, 0, chunkSize), x))
			return
		}
	}
	chunk := slices.Insert(o.chunks[p.chunk], p.item, x)
	if len(chunk) <= chunkSize {
		o.chunks[p.chunk] = chunk
		return
	}
	half := len(chunk) / 2
	upper := append(make([]T, 0, chunkSize), chunk[half:]...)
	clear(chunk[half:])
	o.chunks[p.chunk] = chunk[:half]
	o.chunks = slices.Insert(o.chunks, p.chunk+1, upper)
}

// endsBefore reports whether all items are in front of x.
func (o *ordered[T]) endsBefore(x T) bool {
	if len(o.chunks) == 0 {
		return true
	}
	last := o.chunks[len(o.chunks)-1]
	return last[len(last)-1].compare(x) < 0
}

// remove takes x out, if it is there.
func (o *ordered[T]) remove(x T) {
	p := o.seek(func(y T) bool { return y.compare(x) < 0 })
	if y, ok := o.at(p); !ok || y.compare(x) != 0 {
		return
	}
	o.n--
	chunk := slices.Delete(o.chunks[p.chunk], p.item, p.item+1)
	o.chunks[p.chunk] = chunk
	switch {
	case len(chunk) == 0:
		o.chunks = slices.Delete(o.chunks, p.chunk, p.chunk+1)
	case p.chunk+1 < len(o.chunks) && len(chunk)+len(o.chunks[p.chunk+1]) <= chunkSize/2:
		o.chunks[p.chunk] = append(chunk, o.chunks[p.chunk+1]...)
		o.chunks = slices.Delete(o.chunks, p.chunk+1, p.chunk+2)
	}
}
