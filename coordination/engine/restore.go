package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
)

// Restoration is what became of an object whose marks were to be restored.
type Restoration string

// The restorations.
const (
	Restored  Restoration = "restored"  // its marks were raised
	Unchanged Restoration = "unchanged" // they were as high before
	InUse     Restoration = "in_use"    // somebody uses it, or something newer is there: it is left as it is
)

var errNoObject = errors.New("it must be a JSON object")

// Kept returns the marks of the object of that name as JSON, nil if it has none: its record
// without whatever is of somebody. ErrInvalid, ErrCompacted, ErrUnavailable.
func (o *Objects[T]) Kept(ctx context.Context, n Name, read backend.Read) (json.RawMessage, backend.Stamp, error) {
	object, stamp, err := o.Get(ctx, n, read)
	if err != nil {
		return nil, stamp, err
	}
	raw, err := json.Marshal(o.kind.kept(object.Record))
	if err != nil {
		return nil, stamp, err
	}
	var none T
	empty, err := json.Marshal(none)
	if bytes.Equal(raw, empty) {
		raw = nil
	}
	return raw, stamp, err
}

// Restore raises the marks of the object of that name to kept, which Kept has returned, and
// says what came of it; with dry, what would. ErrInvalid, ErrConflict where kept has a token
// that is not of an earlier epoch.
func (o *Objects[T]) Restore(ctx context.Context, n Name, kept json.RawMessage, dry bool, by backend.Write) (Restoration, backend.Stamp, error) {
	var marks T
	d := json.NewDecoder(bytes.NewReader(kept))
	d.DisallowUnknownFields() // what is not understood cannot be restored
	if err := d.Decode(&marks); err != nil || !bytes.HasPrefix(bytes.TrimSpace(kept), []byte{'{'}) {
		return "", backend.Stamp{}, backend.Invalid("record", "is none of a %s: %v", o.kind.name, cmp.Or(err, errNoObject))
	}
	marks = o.kind.kept(marks)
	if dry {
		return o.rehearse(ctx, n, marks)
	}
	inUse := false
	c := &change[T]{name: n, by: by, apply: func(x T, turn *coordination.Turn) (T, error) {
		next, ok, err := o.kind.restore(x, turn, marks)
		if inUse = !ok; inUse || err != nil {
			return x, err
		}
		return next, nil
	}}
	stampOf := o.stamps()
	s, wrote, err := o.do(ctx, c)
	if err != nil {
		return "", backend.Stamp{}, err
	}
	stamp := stampOf(s)
	switch {
	case inUse:
		return InUse, stamp, nil
	case wrote:
		return Restored, stamp, nil
	}
	return Unchanged, stamp, nil
}

// rehearse is Restore without doing it, in an epoch that is late enough.
func (o *Objects[T]) rehearse(ctx context.Context, n Name, marks T) (Restoration, backend.Stamp, error) {
	object, stamp, err := o.Get(ctx, n, backend.Read{Consistency: backend.Linearizable})
	if err != nil {
		return "", stamp, err
	}
	turn := &coordination.Turn{Epoch: coordination.SomeEpoch, Ended: func(string) bool { return false }}
	next, ok, err := o.kind.restore(object.Record, turn, marks)
	if err != nil || !ok {
		return InUse, stamp, err
	}
	before, err := json.Marshal(object.Record)
	if err != nil {
		return "", stamp, err
	}
	after, err := json.Marshal(next)
	if bytes.Equal(before, after) {
		return Unchanged, stamp, err
	}
	return Restored, stamp, err
}
