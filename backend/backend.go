package backend

import (
	"context"
	"iter"
)

// Backend keeps registrations and orders every change of them with a [Revision].
// It is the only way to them: what serves, caches, indexes, counts or moves
// registrations is a Backend or wraps one.
//
// Methods are safe for concurrent use and return soon after ctx is done: a read and a
// write that was not begun with [ErrUnavailable], a write that was begun with
// [ErrUnknownOutcome]; both wrap the context's cause. Any method may also return
// [ErrUnavailable], and [ErrClosed] after Close. The errors named below match with
// errors.Is, and carry details in the type named beside the sentinel.
//
// A Stamp is returned with a nil error and with ErrNotFound, and says how far the
// answer reaches.
//
// Optional abilities have interfaces of their own: [Batcher], [Counter], [Cataloguer].
// Use them through [Batch], [Count] and [Services], which do without where they must.
type Backend interface {
	// Register stores r under r.Key, for the owner w.Owner, if the key is free, is
	// that owner's already, or belongs to an owner that no longer lives; else it
	// returns ErrExists. It keeps a copy of what a caller sets of r and returns the whole.
	// If nothing differs from what is stored, nothing is written and the revision
	// stays.
	//
	// Errors, checked in this order: ErrInvalid, ErrTooLarge, ErrLeaseExpired,
	// ErrExists, ErrConflict.
	Register(ctx context.Context, r Registration, w Write) (Registration, Stamp, error)

	// Lookup returns the live registration at key, or ErrNotFound; with read.Wait it
	// waits for one, or returns ErrTimeout when that has passed. ErrInvalid,
	// ErrCompacted.
	Lookup(ctx context.Context, key Key, read Read) (Registration, Stamp, error)

	// Update changes what c names of the registration at key and keeps its owner. A
	// permanent one may be changed by anybody, another only by its owner.
	//
	// Errors, in this order: ErrInvalid, ErrTooLarge, ErrLeaseExpired, ErrNotFound,
	// ErrNotOwner, ErrConflict.
	Update(ctx context.Context, key Key, c Change, w Write) (Registration, Stamp, error)

	// Unregister removes the registration at key. An absent one is no error, unless
	// w.If names a revision. ErrInvalid, ErrLeaseExpired, ErrNotOwner, ErrConflict.
	Unregister(ctx context.Context, key Key, w Write) (Removal, Stamp, error)

	// List returns one page of what q selects, ordered by the bytes of Key.String.
	// The page is shared and must not be changed. [All] walks every page. With q.Since
	// it is what changed after that revision; whoever applies every page of it has the
	// state as of the first page's Stamp, or newer of single keys, and goes on from
	// there. ErrInvalid, ErrTooLarge, ErrCompacted.
	List(ctx context.Context, q Query) (*Page, Stamp, error)

	// Watch yields the changes after revision since in q's scope, in order, until ctx
	// is done, the consumer stops, or an error, which is the last pair. since 0 means
	// from now on. A key whose change does not match q is yielded as Unmatched. Where
	// single changes were lost or merged an event of kind Gap precedes the newest
	// state of what changed. ErrInvalid, ErrCompacted (nothing was yielded that skips
	// a change: list again).
	Watch(ctx context.Context, q Query, since Revision) iter.Seq2[Event, error]

	// Health says how the backend is. An error means that it could not find out.
	Health(ctx context.Context) (Health, error)

	// Close ends every Watch and every waiting call and frees what the backend holds.
	// It is idempotent and does not remove registrations.
	Close() error
}
