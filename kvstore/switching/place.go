package switching

import (
	"context"
	"errors"
	"fmt"

	"github.com/roostbus/roost/kvstore"
)

// The kinds of a [Place].
const (
	Memory = "memory" // of the one process that uses it
	Bucket = "bucket"
)

// Place says where a store lies.
type Place struct {
	Kind string `json:"kind"`
	// Bucket is the name of a Bucket, and URL that of the NATS which has it; "" for the one
	// that the nodes are connected to anyway. It may hold a password.
	Bucket string `json:"bucket,omitempty"`
	URL    string `json:"url,omitempty"`
}

// Home is an opened store with the counters beside it.
type Home struct {
	Store    kvstore.Store
	Counters kvstore.Counters
	// Close frees both; nil if nothing is to be freed.
	Close func() error
}

// Free frees h.
func (h *Home) Free() error {
	if h.Close == nil {
		return h.Store.Close()
	}
	return h.Close()
}

// Found is what lies at a Place.
type Found struct {
	Exists bool
	// Keys is how many entries there are, and Counters whether anything was counted.
	Keys   uint64
	Record Record // zero if there is none
}

// Opener opens stores. Its methods return soon after ctx is done.
type Opener interface {
	// Look says what lies at p, and changes nothing.
	Look(ctx context.Context, p Place) (Found, error)
	// Open opens what lies at p, which must exist.
	Open(ctx context.Context, p Place) (Home, error)
	// Make makes an empty store at p in the place of whatever lies there, whose revisions
	// begin at first and whose changes are not published.
	Make(ctx context.Context, p Place, first uint64) (Home, error)
	// Publish has the changes of the store at p published, or not any more.
	Publish(ctx context.Context, p Place, on bool) error
	// Delete deletes what Make has made at p.
	Delete(ctx context.Context, p Place) error
	// Remember keeps, beyond the life of the process, that the node's store lies at p.
	Remember(p Place) error
}

// The errors of a move.
var (
	// ErrBusy means that a move is under way.
	ErrBusy = errors.New("a switch is under way")
	// ErrNone means that no move is under way.
	ErrNone = errors.New("no switch is under way")
	// ErrCommitted means that the move cannot be aborted any more.
	ErrCommitted = errors.New("the switch is done already")
	// ErrThere means that the store is where it is to be moved to.
	ErrThere = errors.New("the registry is there already")
	// ErrUnreachable means that there is no way to the place to move to.
	ErrUnreachable = errors.New("this node does not reach it")
	// ErrOccupied means that the place to move to holds something else.
	ErrOccupied = errors.New("holds something else")
)

func (p Place) check() error {
	switch {
	case p.Kind == Memory:
		return fmt.Errorf("%w: a store in memory ends with its process; nothing is moved there", kvstore.ErrInvalid)
	case p.Kind != Bucket || p.Bucket == "":
		return fmt.Errorf("%w: a place to move to is a bucket with a name", kvstore.ErrInvalid)
	}
	return nil
}
