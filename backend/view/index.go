package view

import (
	"hash/maphash"

	"github.com/roostbus/roost/backend"
)

// index finds live rows by metadata: path and value to the rows that have it. A service
// gets one when it is first asked for by metadata, and so does the whole table, so that
// nobody pays for what is not used; from then on every change keeps it right.
//
// Postings are found by a hash. Whoever reads them checks each row, as Where has to be
// checked anyway when it has several conditions.
type index struct {
	seed     maphash.Seed
	postings map[uint64]posting

	// An index is built in steps. Rows in front of upto are in it.
	upto position
	done bool
}

// posting is a set of rows. Most values that are not few are unique.
type posting struct {
	one  *row
	many *ordered[*row]
}

func (p posting) len() int {
	switch {
	case p.many != nil:
		return p.many.len()
	case p.one != nil:
		return 1
	}
	return 0
}

func (x *index) ready() bool { return x != nil && x.done }

func (x *index) hash(path string, value backend.Scalar) uint64 {
	var h maphash.Hash
	h.SetSeed(x.seed)
	h.WriteString(path)
	h.WriteByte(0)
	h.WriteString(string(value))
	return h.Sum64()
}

// replace keeps x in step with a change of r from old, if it was live, to next, if it is.
func (x *index) replace(r *row, was bool, old *version, is bool, next *version) {
	if x == nil || !x.done && x.upto.compare(r) <= 0 {
		return
	}
	if was && is && old.Metadata == next.Metadata {
		return
	}
	if was {
		for path, value := range old.Metadata.Scalars() {
			x.remove(x.hash(path, value), r)
		}
	}
	if is {
		x.add(r, next)
	}
}

func (x *index) add(r *row, n *version) {
	for path, value := range n.Metadata.Scalars() {
		h := x.hash(path, value)
		p := x.postings[h]
		switch {
		case p.many != nil:
			p.many.insert(r)
		case p.one == nil:
			x.postings[h] = posting{one: r}
		case p.one != r:
			p.many = &ordered[*row]{}
			p.many.insert(p.one)
			p.many.insert(r)
			x.postings[h] = posting{many: p.many}
		}
	}
}

func (x *index) remove(h uint64, r *row) {
	p := x.postings[h]
	if p.many != nil {
		p.many.remove(r)
		if p.many.len() > 0 {
			return
		}
	} else if p.one != r {
		return
	}
	delete(x.postings, h)
}

// shortest returns a walker over the rows that may match where.
func (x *index) shortest(where map[string]backend.Scalar) walker {
	var best posting
	first := true
	for path, value := range where {
		if p := x.postings[x.hash(path, value)]; first || p.len() < best.len() {
			best, first = p, false
		}
	}
	return best.walk
}

func (p posting) walk(scope backend.Scope, at *position, yield func(*row) bool) {
	if p.one != nil && at.compare(p.one) < 0 && within(scope, p.one.service.Scope) {
		yield(p.one)
	}
	if p.many == nil {
		return
	}
	from := p.many.seek(func(r *row) bool { return at.compare(r) > 0 })
	for r, ok := p.many.at(from); ok && within(scope, r.service.Scope); r, ok = p.many.at(from) {
		if !yield(r) {
			return
		}
		from = p.many.next(from)
	}
}

// builder makes an index of one service or, without one, of everything.
type builder struct {
	service *service
	scope   backend.Scope
}

// build makes the index that b is for, unless c is no longer the table. Rows are added
// in order, so each goes to the end of its postings.
func (v *View) build(c *core, b *builder) {
	for v.buildSome(c, b) {
	}
}

func (v *View) buildSome(c *core, b *builder) (more bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.core.Load() != c {
		return false
	}
	at := &c.index
	if b.service != nil {
		at = &b.service.index
	}
	if *at == nil {
		*at = &index{seed: maphash.MakeSeed(), postings: map[uint64]posting{}, upto: start(b.scope)}
	}
	x := *at
	if x.done {
		return false
	}
	n := 0
	var last *row
	c.walk(b.scope, &x.upto, func(r *row) bool {
		if more = n == v.step; more {
			return false
		}
		x.add(r, r.version.Load())
		last = r
		n++
		return true
	})
	if last != nil {
		x.upto = position{prefix: last.service.prefix, instance: last.instance}
	}
	x.done = !more
	return more
}
