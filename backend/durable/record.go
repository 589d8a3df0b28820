package durable

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/kvstore"
)

// Prefix is what the store's keys of registrations begin with. What follows is
// backend.Key.String.
const Prefix = "event."

// MarkerLife is how long the store remembers that a registration was removed.
const MarkerLife = 40 * time.Minute

// Record is what the store holds of one registration.
type Record struct {
	Key backend.Key

	// Registration is the stored one, complete; of a removal, the one that was removed.
	Registration backend.Registration

	Removed   bool
	Kind      backend.EventKind
	Reason    string
	Revision  backend.Revision // of the entry, a marker's included
	Operation backend.OperationID
	Time      time.Time
}

// Parse reads an entry under [Prefix]. An entry that no Backend wrote is an error.
func Parse(e kvstore.Entry) (Record, error) {
	key, err := backend.ParseKey(strings.TrimPrefix(e.Key, Prefix))
	if err != nil {
		return Record{}, fmt.Errorf("stored key %q: %w", e.Key, err)
	}
	record := Record{
		Key: key, Removed: e.Removed, Revision: backend.Revision(e.Revision), Reason: e.Reason, Time: e.Time,
		Kind: backend.ParseEventKind(e.Event),
	}
	if record.Operation, err = backend.ParseOperationID(e.Operation); err != nil {
		record.Operation = backend.OperationID{} // somebody else's write; nothing repeats it
	}
	if e.Removed && len(e.Value) == 0 { // removed by something that is not Roost
		record.Registration = backend.Registration{Key: key}
	} else if record.Registration, err = backend.ParseRegistration(e.Value); err != nil {
		return Record{}, fmt.Errorf("stored registration %s: %w", key, err)
	}
	if record.Registration.Key != key {
		return Record{}, fmt.Errorf("stored registration %s says that it is %s: %w", key, record.Registration.Key, backend.ErrInvalid)
	}
	record.complete()
	return record, nil
}

// complete fills in what the message knows better than its body.
func (r *Record) complete() {
	switch {
	case r.Removed:
		if !r.Kind.Removes() {
			r.Kind = backend.Unregistered
		}
		return
	case r.Kind != backend.Registered && r.Kind != backend.Updated:
		r.Kind = backend.Registered
		if r.Registration.CreatedRevision != 0 {
			r.Kind = backend.Updated
		}
	}
	r.Registration.Revision = r.Revision
	if r.Registration.CreatedRevision == 0 {
		r.Registration.CreatedRevision = r.Revision
	}
}

// translate turns an error of the store into one of a Backend.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kvstore.ErrUnknownOutcome):
		return fmt.Errorf("%w: %w", backend.ErrUnknownOutcome, err)
	case errors.Is(err, kvstore.ErrTooLarge):
		return fmt.Errorf("%w: %w", &backend.TooLargeError{Field: "registration", Limit: backend.MaxBody}, err)
	case errors.Is(err, kvstore.ErrClosed):
		return fmt.Errorf("%w: %w", backend.ErrClosed, err)
	}
	return fmt.Errorf("%w: %w", backend.ErrUnavailable, err)
}
