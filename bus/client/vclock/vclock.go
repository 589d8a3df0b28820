// Package vclock has vector clocks: they say of two things that happened in different
// processes which came before the other, or that neither can have known of the other. They
// need no registry, no network and no time.
//
//	mine := vclock.Clock{}.Tick("orders-1")  // something happens here
//	…                                        // mine travels with a message
//	theirs = theirs.Merge(mine).Tick("payments-2")
//	mine.Compare(theirs)                     // vclock.Before
//
// A Clock counts, for each process, the events of it that are known. It is what was known,
// not when: two clocks that are [Concurrent] belong to events of which either may have come
// first.
//
// A process that is started again and has forgotten its Clock needs another name, or it
// counts what it has counted before. The owner of a lease is such a name.
package vclock

import (
	"encoding/json"
	"maps"
)

// Clock is how many events of each process are known. The zero value knows none, and may be
// used. A Clock is a value: no method changes it, and none may be changed that another
// goroutine reads. As JSON it is an object of numbers.
type Clock map[string]uint64

// Order is how two clocks stand to each other.
type Order uint8

// The orders.
const (
	Equal      Order = iota + 1 // both know the same
	Before                      // the second knows all that the first does, and more
	After                       // the first knows all that the second does, and more
	Concurrent                  // each knows something that the other does not
)

// String returns the word.
func (o Order) String() string {
	switch o {
	case Equal:
		return "equal"
	case Before:
		return "before"
	case After:
		return "after"
	case Concurrent:
		return "concurrent"
	}
	return "unknown"
}

// Tick returns c with one more event of process.
func (c Clock) Tick(process string) Clock {
	next := c.clone()
	next[process]++
	return next
}

// Merge returns what c and d know together.
func (c Clock) Merge(d Clock) Clock {
	merged := c.clone()
	for process, n := range d {
		merged[process] = max(merged[process], n)
	}
	return merged
}

// Compare returns how c stands to d. A process that a clock does not name is one of which it
// knows 0 events.
func (c Clock) Compare(d Clock) Order {
	switch less, more := c.lacks(d), d.lacks(c); {
	case less && more:
		return Concurrent
	case less:
		return Before
	case more:
		return After
	}
	return Equal
}

// lacks reports whether d knows something that c does not.
func (c Clock) lacks(d Clock) bool {
	for process, n := range d {
		if n > c[process] {
			return true
		}
	}
	return false
}

// Knows reports whether c knows all that d does: whether d is before c, or equal.
func (c Clock) Knows(d Clock) bool { return !c.lacks(d) }

// MarshalJSON implements json.Marshaler. A Clock that knows nothing is {}.
func (c Clock) MarshalJSON() ([]byte, error) {
	if c == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]uint64(c))
}

func (c Clock) clone() Clock {
	clone := make(Clock, len(c)+1)
	maps.Copy(clone, c)
	return clone
}
