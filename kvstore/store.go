package kvstore

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The errors of a Store.
var (
	// ErrNotFound means that the key has no message, not even that of its removal.
	ErrNotFound = errors.New("key not found")
	// ErrConflict means that the key is not at the expected revision; [ConflictError]
	// carries what is there. The write did not happen.
	ErrConflict = errors.New("wrong revision")
	// ErrUnavailable means that the store cannot be reached or has no quorum; a write
	// certainly did not happen.
	ErrUnavailable = errors.New("store unavailable")
	// ErrUnknownOutcome means that a write was sent and its fate is not known.
	ErrUnknownOutcome = errors.New("outcome of the write unknown")
	// ErrTooLarge means that the store does not take a value of that size.
	ErrTooLarge = errors.New("value too large for the store")
	// ErrInvalid means that no store takes such a write: a mistake of the caller.
	ErrInvalid = errors.New("invalid write")
	// ErrClosed means that the store was closed. It is an ErrUnavailable.
	ErrClosed = fmt.Errorf("store closed: %w", ErrUnavailable)
	// ErrFellBack is the cause of a [Follower.Stale] before a snapshot of a store that has
	// lost, in the same life, what the follower was shown: it was rolled back. Its revisions
	// may have outgrown again what they were.
	ErrFellBack = errors.New("the store has fallen back")
)

// ConflictError is an ErrConflict.
type ConflictError struct {
	Key string
	// Current is the newest entry of the key, or the zero Entry if there is none, where
	// Known; else the store could not tell in time.
	Current Entry
	Known   bool
}

func (e *ConflictError) Error() string {
	if !e.Known {
		return fmt.Sprintf("%s is not at the expected revision", e.Key)
	}
	return fmt.Sprintf("%s is not at the expected revision but at %d", e.Key, e.Current.Revision)
}

// Unwrap returns [ErrConflict].
func (e *ConflictError) Unwrap() error { return ErrConflict }

// Labels are what a write says beside its value. They stay with the entry and go out
// with its publication. The zero value of a field is not stored; outer spaces may be lost
// and line breaks are ErrInvalid.
type Labels struct {
	Operation string // tells one write from another; see Write.Operation
	Event     string // what happened, "registered"
	Reason    string // why
}

// Entry is the newest state of a key.
type Entry struct {
	// Torn says of an entry of a feed that changes before it were left out, since newer
	// ones that are yet to come have replaced them: what has been applied so far was never
	// the store's state.
	Torn bool

	Key      string
	Value    []byte // shared: not to be changed
	Revision uint64
	// Removed says that this is the marker of a removal, with the value that was given
	// to it.
	Removed bool
	Labels
	Time time.Time // when the store took it, by its clock
}

// Write is one conditional change of one key.
type Write struct {
	Key   string
	Value []byte
	// Expect is the revision of the key's newest entry, markers included; 0 if it has none.
	Expect uint64
	// Seen, where Expect is 0, is a revision that its maker's feed had shown when that was
	// found; 0 is not said. A store that was exchanged since takes the write for a conflict.
	Seen uint64
	// Remove leaves a marker with Value behind, which the store forgets after Keep.
	Remove bool
	Keep   time.Duration // at least a second; 0 keeps the marker for ever
	// Labels.Operation tells this write from every other of its key. Given, it makes a
	// repeat recognisable: a write whose key is not at Expect but bears this operation
	// has happened before, and returns the revision that it made then. Without one the
	// store makes one up where it needs one to resolve a lost acknowledgement.
	Labels
}

// ProbePrefix begins the keys that Barrier writes; the name of the node follows. No two
// nodes that share a store have the same.
const ProbePrefix = "probe."

// MaxBatch is the greatest number of writes in one batch.
const MaxBatch = 1000

// Info describes a store.
type Info struct {
	// Generation tells one life of the store from another: it differs after the store
	// was deleted and made again.
	Generation Generation
	// Last is the revision of the newest change.
	Last uint64
	// Keys is the number of keys that have an entry, markers included.
	Keys uint64
}

// Generation identifies one life of a store. It is comparable and has no order.
type Generation string

// Store keeps bytes under keys. Keys are non-empty tokens joined by dots. Methods are
// safe for concurrent use and return soon after ctx is done: reads with ErrUnavailable,
// writes with ErrUnavailable if they were not sent, else with ErrUnknownOutcome. Any may
// return ErrUnavailable.
type Store interface {
	// Get returns the newest entry of key, a marker included, as the store's leader
	// knows it, or ErrNotFound.
	Get(ctx context.Context, key string) (Entry, error)

	// Scan returns the newest entries of all keys that match one of patterns, as one server
	// knows them that has seen every change up to revision atLeast; it waits for one that
	// has. A pattern is a key with "*" for any token, or ">" for all that may follow. Where
	// it cannot show everything it fails: ErrInvalid.
	Scan(ctx context.Context, patterns []string, atLeast uint64) (Scanned, error)

	// Write applies w and returns the revision that it made: ErrInvalid, ErrConflict,
	// ErrTooLarge, ErrUnknownOutcome. It does not keep w.Value.
	Write(ctx context.Context, w Write) (uint64, error)

	// Batch applies writes to distinct keys, at most MaxBatch, all or none, and returns
	// the revisions that they made, which follow each other: ErrInvalid, ErrConflict,
	// ErrTooLarge, ErrUnknownOutcome. A repeat is recognised as one of Write is. A ConflictError may be unable to say which write it was; Key is
	// then "".
	Batch(ctx context.Context, writes []Write) ([]uint64, error)

	// Barrier writes a key of the store's own and returns its revision. Whoever has seen
	// that revision in the feed has seen every write acknowledged before the call.
	Barrier(ctx context.Context) (uint64, error)

	// Info describes the store as its leader knows it.
	Info(ctx context.Context) (Info, error)

	// Feed shows the newest state of every key and then its changes to f, one call at a
	// time, until ctx is done, and returns ctx's error; it goes on over every outage and
	// returns another error only where going on is no use. A process needs one: see Tail.
	Feed(ctx context.Context, f Follower) error

	// Close frees what the store holds; it is idempotent. Running calls return ErrClosed.
	Close() error
}

// Follower receives a feed. Calls come one at a time and must not block for long. The
// order is Begin, Apply…, Live, Apply…, and after Stale either Live again or, if changes
// may have been missed, Begin again.
type Follower interface {
	// Begin announces a complete snapshot of the store: every entry that is applied from
	// now until Live. What a follower holds and the snapshot does not has been removed;
	// it should go on answering from what it holds until Live.
	Begin(g Generation)

	// Apply shows one entry. Its revision is greater than that of the entry before,
	// except that a snapshot's and a repetition after an outage may be lower: an entry
	// not newer than what is held of its key changes nothing.
	Apply(e Entry)

	// Live says that everything up to revision has been applied and that changes follow
	// as they happen.
	Live(revision uint64)

	// Stale says that nothing newer may arrive for a while, and why. What was applied
	// stays true as of its revision, but where the cause is ErrFellBack.
	Stale(cause error)
}

// Lineage is the ability of a [Store] to move, with everything in it.
type Lineage interface {
	// Succeeds reports whether the life next began with everything that was in old when
	// that ended.
	Succeeds(old, next Generation) bool
}
