package journal

import (
	"context"
	"errors"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// ErrConflict means that something was appended by somebody else.
var ErrConflict = errors.New("the journal has gone on")

// Kind says what a [Record] is.
type Kind string

// The kinds.
const (
	Change Kind = "change" // of a key
	// Begin says that nothing was recorded before.
	Begin Kind = "begin"
	// Gap says that changes after From and up to To may be missing. It stands before them.
	Gap Kind = "gap"
	// Anew says that the store was made anew or fell back: nothing of before is there.
	Anew Kind = "anew"
	// Alive says that every change up to Revision is recorded.
	Alive Kind = "alive"
)

// Record is one thing that happened.
type Record struct {
	Kind       Kind
	Epoch      uint32
	Generation kvstore.Generation
	// Entry is the entry that a change made; of other kinds, its Revision and Time count.
	kvstore.Entry
	// From and To are a Gap's: changes after From and up to To may be missing.
	From, To uint64
	// Sequence is the record's own place in the Log, which the Log gives to it.
	Sequence uint64
}

// Place is how far a Log has come. The zero Place is that of an empty one.
type Place struct {
	Sequence   uint64 // of the newest record
	Epoch      uint32
	Generation kvstore.Generation
	Revision   uint64
	Time       time.Time // of the newest record
}

// covers reports whether a revision of a life of the store has been recorded, or never will.
func (p Place) covers(g kvstore.Generation, revision uint64) bool {
	return p.Generation == g && revision <= p.Revision
}

// Range selects records.
type Range struct {
	// Pattern is that of the keys of changes; see [kvstore.Matches]. "" is every key. Records
	// of other kinds are always among them, but for those that are Alive.
	Pattern string
	After   uint64    // a Sequence
	Since   time.Time // when they were recorded; the zero Time is from the beginning
	Limit   int       // at least 1
}

// Page is a part of a Log.
type Page struct {
	Records []Record
	Next    uint64 // what After is for the next page; 0 after the last
	// First is the oldest record that is left, of whatever kind and key; nil if there is none.
	First *Record
}

// MaxAppend is the greatest number of records in one append.
const MaxAppend = 500

// Log keeps records, the oldest of which it forgets when they are too old or too many.
// Methods are safe for concurrent use, return soon after ctx is done, and may return
// [kvstore.ErrUnavailable].
type Log interface {
	// Last returns the place of the newest record, as the Log's leader knows it.
	Last(ctx context.Context) (Place, error)

	// Append appends records, 1 to MaxAppend, all or none, if at is the place of the newest,
	// and returns where they end. ErrConflict, kvstore.ErrUnknownOutcome.
	Append(ctx context.Context, at Place, records []Record) (Place, error)

	// Read returns the records that r selects, in their order.
	Read(ctx context.Context, r Range) (Page, error)
}

// PlaceOf returns the place behind a record.
func PlaceOf(r *Record) Place {
	return Place{Sequence: r.Sequence, Epoch: r.Epoch, Generation: r.Generation, Revision: r.Revision, Time: r.Time}
}
