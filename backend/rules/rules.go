// Package rules decides what a write does to one registration: who may make it, on what
// condition, and what is stored then. Its functions are pure; every Backend that stores
// registrations itself decides through them, so that all decide alike.
//
//	o, err := rules.Register(state, r, w, time.Now())
//	// store o.Registration if o.Action is rules.Store, and try again if somebody was faster
package rules

import (
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
)

// State is what is known of one key when a write is decided.
type State struct {
	// Present says that a registration is stored, whether its owner lives or not.
	Present bool

	// Alive says that the stored registration is permanent or that its owner lives.
	Alive bool

	// Registration is the stored one, or after a removal the one that was removed.
	Registration backend.Registration

	// Operation is that of the newest change of the key, removals included, and Revision
	// its revision; 0 if nothing is remembered.
	Operation backend.OperationID
	Revision  backend.Revision

	// Epoch is the current one, and Seen a revision of it that had been shown, if Revision
	// is 0; 0 is not said.
	Epoch backend.Epoch
	Seen  backend.Revision
}

// live returns the registration that counts, or nil.
func (s *State) live() *backend.Registration {
	if s.Present && s.Alive {
		return &s.Registration
	}
	return nil
}

// repeats reports whether w is the write that made the newest change.
func (s *State) repeats(w backend.Write) bool {
	return w.ID != (backend.OperationID{}) && w.ID == s.Operation
}

// Action says what is to be done.
type Action uint8

// The actions.
const (
	Keep   Action = iota + 1 // nothing: the answer is there already
	Store                    // store Outcome.Registration
	Remove                   // remove the registration, leaving Outcome.Registration as its marker
)

// Outcome is what a write comes to.
type Outcome struct {
	Action Action

	// Registration is what to store, or what is stored. Of one to be stored, Revision is
	// not known yet, and CreatedRevision is 0 where it will be the same.
	Registration backend.Registration

	// Kind and Reason are those of the event.
	Kind   backend.EventKind
	Reason string

	// Removal answers an unregister that has nothing to do.
	Removal backend.Removal
}

// Register decides a register. r has been validated and normalized, and w.Owner lives.
// Errors: ErrExists, ErrConflict.
func Register(now State, r backend.Registration, w backend.Write, at time.Time) (Outcome, error) {
	if now.Present && now.repeats(w) {
		return Outcome{Action: Keep, Registration: now.Registration}, nil
	}
	if err := undecided(now, w, r.Key); err != nil {
		return Outcome{}, err
	}
	held := now.live()
	if held != nil && held.Owner != w.Owner && !w.Force {
		return Outcome{}, &backend.ExistsError{Holder: *held}
	}
	if err := condition(now, w, r.Key); err != nil {
		return Outcome{}, err
	}
	at = at.UTC().Truncate(time.Millisecond)
	r.Owner, r.Revision, r.CreatedRevision, r.CreatedAt, r.UpdatedAt = w.Owner, 0, 0, at, at
	if held == nil {
		o := Outcome{Action: Store, Registration: r, Kind: backend.Registered, Reason: w.Reason}
		if now.Present {
			o.Reason = backend.ReasonReplaced
		}
		return timely(o, now, w, r.Key)
	}
	r.Owner = held.Owner
	return timely(change(held, r, w), now, w, r.Key)
}

// Update decides an update. c has been validated, and w.Owner lives or is "". Errors:
// ErrInvalid, ErrTooLarge, ErrNotFound, ErrNotOwner, ErrConflict.
func Update(now State, key backend.Key, c backend.Change, w backend.Write, at time.Time) (Outcome, error) {
	if now.Present && now.repeats(w) {
		return Outcome{Action: Keep, Registration: now.Registration}, nil
	}
	if err := undecided(now, w, key); err != nil {
		return Outcome{}, err
	}
	held := now.live()
	if held == nil {
		return Outcome{}, fmt.Errorf("%s: %w", key, backend.ErrNotFound)
	}
	if err := owns(held, w); err != nil {
		return Outcome{}, err
	}
	if err := condition(now, w, key); err != nil {
		return Outcome{}, err
	}
	r, err := c.Apply(*held)
	if err != nil {
		return Outcome{}, err
	}
	r.UpdatedAt = at.UTC().Truncate(time.Millisecond)
	return timely(change(held, r, w), now, w, key)
}

// change is the outcome of putting next in the place of held.
func change(held *backend.Registration, next backend.Registration, w backend.Write) Outcome {
	if next.SameContent(held) {
		return Outcome{Action: Keep, Registration: *held}
	}
	next.Revision, next.CreatedRevision, next.CreatedAt = 0, held.CreatedRevision, held.CreatedAt
	return Outcome{Action: Store, Registration: next, Kind: backend.Updated, Reason: w.Reason}
}

// Unregister decides an unregister. w.Owner lives or is "". Errors: ErrNotOwner,
// ErrConflict.
func Unregister(now State, key backend.Key, w backend.Write) (Outcome, error) {
	if !now.Present && now.repeats(w) {
		return Outcome{Action: Keep, Removal: backend.Removal{Removed: true, Revision: now.Revision}}, nil
	}
	if err := undecided(now, w, key); err != nil {
		return Outcome{}, err
	}
	held := now.live()
	if held != nil {
		if err := owns(held, w); err != nil {
			return Outcome{}, err
		}
	}
	if revision, asked := w.If.Revision(); held != nil || asked && revision != 0 {
		if err := condition(now, w, key); err != nil {
			return Outcome{}, err
		}
	}
	if held == nil {
		return Outcome{Action: Keep}, nil
	}
	o := Outcome{Action: Remove, Registration: *held, Kind: backend.Unregistered, Reason: w.Reason}
	if o.Reason == "" && w.Force {
		o.Reason = backend.ReasonAdmin
	}
	return timely(o, now, w, key)
}

// owns says whether w may change held.
func owns(held *backend.Registration, w backend.Write) error {
	if held.Owner == "" || held.Owner == w.Owner || w.Force {
		return nil
	}
	return &backend.NotOwnerError{Key: held.Key, Owner: held.Owner}
}

// timely returns o, which changes key, unless w may be late.
func timely(o Outcome, now State, w backend.Write, key backend.Key) (Outcome, error) {
	newest := max(now.Revision, now.Registration.Revision)
	elsewhere := w.Epoch != 0 && w.Epoch != now.Epoch
	if w.Dated && o.Action != Keep && (newest > w.Known || elsewhere) {
		return Outcome{}, fmt.Errorf("%s: %w: it was changed after all that the sender of this knows", key, backend.ErrUnavailable)
	}
	return o, nil
}

// undecided reports a conflict where w was sent before and may have been done and undone:
// what came after the sender's knowledge is not w, and may have come after it.
func undecided(now State, w backend.Write, key backend.Key) error {
	newest := max(now.Revision, now.Registration.Revision)
	elsewhere := w.Epoch != 0 && w.Epoch != now.Epoch
	if w.Repeated && (newest > w.Known || elsewhere) {
		return &backend.ConflictError{Key: key, Revision: current(now)}
	}
	return nil
}

// current returns the revision of the live registration, 0 if there is none.
func current(now State) backend.Revision {
	if held := now.live(); held != nil {
		return held.Revision
	}
	return 0
}

func condition(now State, w backend.Write, key backend.Key) error {
	current := current(now)
	revision, asked := w.If.Revision()
	asked = asked && (!w.Dated || revision != 0) // else Epoch is that of Known
	elsewhere := asked && w.Epoch != 0 && w.Epoch != now.Epoch
	if elsewhere || !w.If.Allows(current) {
		return &backend.ConflictError{Key: key, Revision: current}
	}
	return nil
}
