package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// records calls f with the record as it is, and as it becomes, never going back within an
// epoch. restart says that another epoch has begun. An error of f ends it.
func (e *Election) records(ctx context.Context, f func(r *bus.ElectionRecord, restart bool) error) error {
	var at Revision // of what f was called with
	return e.c.attend(ctx, &herald{
		kind: e.kind, subject: e.c.subjects.Announcement(e.kind, e.name),
		look: func(ctx context.Context, read Read) (Stamp, taking, error) {
			var r bus.ElectionRecord
			stamp, err := e.get(ctx, read, plainly, &r)
			return stamp, func(restart bool) error {
				if !restart && stamp.Revision < at {
					return nil // an announcement was newer
				}
				at = stamp.Revision
				return f(&r, restart)
			}, err
		},
		heard: func(a *announcement) error {
			var r bus.ElectionRecord
			if err := json.Unmarshal(a.body, &r); a.body != nil && err != nil {
				return fmt.Errorf("announcement of %s: %w: %w", e, bus.ErrInternal, err)
			}
			at = a.revision
			return f(&r, false)
		},
	})
}

// Observe yields who leads, then every change of that: the leader, its value, or that there
// is none. It shows only what was committed and, within an epoch of the registry's store,
// never goes back: terms and tokens grow. While the registry or NATS is away it waits, and
// goes on with what it missed: of up to 16 leaderships each is yielded, in order; where it
// was more the terms have a gap. [WithFollowing] is told of the waiting.
//
// In a new epoch, after the store was lost or rolled back, it goes on with what is there:
// terms may begin anew, and only the tokens of leaders elected since are greater.
//
// The sequence ends when ctx is over, which its last pair says, or with another error. It
// holds a subscription while it is ranged over. What it shows may be over already: it tells
// where to send requests, not who may act.
func (e *Election) Observe(ctx context.Context) iter.Seq2[Leader, error] {
	return func(yield func(Leader, error) bool) {
		under, end, err := e.c.begin(ctx, 0)
		if err == nil {
			defer end()
			if err = e.name.Validate(); err == nil {
				var o observation
				err = e.records(under, func(r *bus.ElectionRecord, restart bool) error {
					for _, leader := range o.changes(electionOf(r), restart) {
						if !yield(leader, nil) {
							return errStopped
						}
					}
					return nil
				})
			}
		}
		switch {
		case errors.Is(err, errStopped):
			return
		case ctx.Err() != nil:
			err = fmt.Errorf("observe %s: %w: %w", e, backend.ErrUnavailable, context.Cause(ctx))
		case e.c.isClosed():
			err = fmt.Errorf("observe %s: %w", e, backend.ErrClosed)
		default:
			err = fmt.Errorf("observe %s: %w", e, err)
		}
		yield(Leader{}, err)
	}
}

// observation is what an observer was shown.
type observation struct {
	begun bool
	last  Leader
}

// changes returns what is to be shown when the record has become r.
func (o *observation) changes(r ElectionRecord, restart bool) []Leader {
	var shown []Leader
	if o.begun && !restart {
		for _, t := range r.Recent {
			current := t.Token == r.Leader.Token && r.Leader.Owner != ""
			if o.last.Token.Before(t.Token) && !current {
				shown = append(shown, Leader{Owner: t.Owner, Term: t.Number, Token: t.Token})
			}
		}
	}
	now := r.Leader
	same := now.Owner == o.last.Owner && now.Token == o.last.Token && bytes.Equal(now.Value, o.last.Value)
	if !o.begun || !same {
		shown = append(shown, now)
	}
	o.begun, o.last = true, now
	return shown
}
