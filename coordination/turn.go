package coordination

import (
	"fmt"
	"slices"

	"github.com/roostbus/roost/backend"
)

// Turn is what a transition is told of the world.
type Turn struct {
	// Epoch is that of the store.
	Epoch uint32

	// Floor is, for a record that is made from nothing, the revision that the store had
	// reached when there was none; otherwise it does not matter.
	//
	// A record's counter grows by at most one with each writing, and so does the store's
	// revision, by one at least. So no token of a record that was there before, and is
	// gone, is greater than its Floor.
	Floor uint64

	// Ended reports whether an owner's lease has ended.
	Ended func(owner string) bool
}

// living returns those of all whose owners' leases have not ended; all itself if that is
// everybody.
func living[T any](turn *Turn, all []T, owner func(*T) string) []T {
	dead := func(one T) bool { return turn.Ended(owner(&one)) }
	if !slices.ContainsFunc(all, dead) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), dead)
}

// Party is who uses an object: one of the users of one lease.
type Party struct {
	Owner string `json:"owner"`
	// Holder tells several users of one lease apart. It may be "".
	Holder string `json:"holder,omitempty"`
}

// MaxHolder is the greatest length of a Holder, in characters.
const MaxHolder = 64

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
