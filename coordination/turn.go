package coordination

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/roostbus/roost/backend"
)

// Turn is what a transition is told of the world.
type Turn struct {
	// Epoch is that of the store.
	Epoch uint32

	// Floor is, for a record that is made from nothing, the revision that the store had
	// reached when there was none; otherwise it does not matter.
	//
	// A record's counter grows by at most one in a transition, and the store's revision by
	// at least one with the writing of it. So no token's counter is greater than the
	// revision at which it was written, and none of a record that was there before, and is
	// gone, is greater than Floor.
	Floor uint64

	// Ended reports whether an owner's lease has ended.
	Ended func(owner string) bool
}

// without returns those of all that are not out; all itself if that is everybody.
func without[T any](all []T, out func(*T) bool) []T {
	first := 0
	for first < len(all) && !out(&all[first]) {
		first++
	}
	if first == len(all) {
		return all
	}
	rest := make([]T, first, len(all)-1)
	copy(rest, all)
	for i := first + 1; i < len(all); i++ {
		if !out(&all[i]) {
			rest = append(rest, all[i])
		}
	}
	if len(rest) == 0 {
		return nil
	}
	return rest
}

// Party is who uses an object: one of the users of one lease.
type Party struct {
	Owner string `json:"owner"`
	// Holder tells several users of one lease apart. It may be "".
	Holder string `json:"holder,omitempty"`
}

// maxOwner is the greatest length of an owner, in bytes.
const maxOwner = 64

// MaxHolder is the greatest length of a Holder, in characters.
const MaxHolder = 64

// Validate reports a Holder that is too long or not to be read.
func (p Party) Validate() error {
	switch {
	case !utf8.ValidString(p.Holder):
		return backend.Invalid("holder", "is not valid UTF-8")
	case utf8.RuneCountInString(p.Holder) > MaxHolder:
		return backend.Invalid("holder", "is longer than %d characters", MaxHolder)
	case strings.ContainsFunc(p.Holder, unicode.IsControl):
		return backend.Invalid("holder", "contains a control character")
	}
	return nil
}

// Ticket is the request that waits for what a party wants. Only the end of that very
// request takes the party out of the queue.
type Ticket struct {
	// Node is where the request waits: when the node has gone, so has the request.
	Node string `json:"node"`
	ID   string `json:"id"`
}

// The limits of records.
const (
	// MaxWaiters is how many may wait at one object.
	MaxWaiters = 1000
	// MaxVoters is how many may vote on one proposal: what they say, with reasons, has room
	// in one record.
	MaxVoters = 500
	// MaxRecord is the size of an encoded record in bytes.
	MaxRecord = 256 << 10
	// MaxValue is the size of a candidate's or a proposal's value in bytes.
	MaxValue = 4 << 10
	// Remembered is how many past leaderships and proposals a record remembers.
	Remembered = 16
)

func tooMany(what string) error { return &backend.LimitError{Quota: what, Limit: MaxWaiters} }

func conflict(format string, args ...any) error {
	return fmt.Errorf("%w: %s", backend.ErrConflict, fmt.Sprintf(format, args...))
}

// latest appends one to all and forgets the oldest beyond Remembered.
func latest[T any](all []T, one T) []T {
	all = append(slices.Clone(all), one)
	return all[max(len(all)-Remembered, 0):]
}
