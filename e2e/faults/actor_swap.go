package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/history"
)

// swap looks a registration up or changes it, on the condition that it is what the actor
// last knew, and tells before and after.
func (a *Actor) swap(ctx context.Context) {
	ask := history.Ask{Kind: history.Lookup, Key: fmt.Sprintf("swapped-%d%s", a.Random.IntN(2), a.scene())}
	known := a.known[ask.Key]
	switch n := a.Random.IntN(10); {
	case n < 3:
	case n == 3 && known.Revision != 0:
		ask.Kind, ask.If, ask.Revision = history.Unregister, true, known.Revision
	default:
		a.named++
		ask.Kind, ask.If, ask.Revision = history.Register, true, known.Revision
		ask.Content = fmt.Sprintf("%d-%d-%d", a.Number, a.Random.Uint64(), a.named)
	}
	n := Note{Event: history.Event{Client: a.Number, Call: a.now()}, Ask: ask}
	a.Say(n)
	n.Answer = a.swapped(ctx, ask)
	n.Event.Return, n.Over = a.now(), true
	a.Say(n)
	switch n.Answer.Fate {
	case history.Done, history.Conflict:
		a.known[ask.Key] = n.Answer
		if ask.Kind == history.Unregister && n.Answer.Fate == history.Done {
			delete(a.known, ask.Key)
		}
	case history.Absent:
		delete(a.known, ask.Key)
	case history.Undone:
		pause(ctx, 10*time.Millisecond)
	}
}

// swapped asks the registry.
func (a *Actor) swapped(ctx context.Context, ask history.Ask) history.Answer {
	key := client.Key{Namespace: client.DefaultNamespace, Service: "payments", Instance: ask.Key}
	how := client.Write{If: client.IfRevision(ask.Revision)}
	var r client.Registration
	var err error
	switch ask.Kind {
	case history.Lookup:
		r, _, err = a.Client.Lookup(ctx, key, client.Read{Consistency: client.Linearizable})
	case history.Register:
		metadata, wrong := client.MetadataOf(map[string]string{"written": ask.Content})
		if wrong != nil {
			return history.Answer{Fate: history.Undone}
		}
		r, _, err = a.Client.Register(ctx, client.Registration{Key: key, Metadata: metadata}, how)
	case history.Unregister:
		var removal client.Removal
		removal, _, err = a.Client.Unregister(ctx, key, how)
		r.Revision = removal.Revision
		if err == nil && !removal.Removed {
			return history.Answer{Fate: history.Absent}
		}
	}
	conflict, isConflict := errors.AsType[*backend.ConflictError](err)
	switch {
	case err == nil:
		var body struct{ Written string }
		if len(r.Metadata) > 0 {
			err = json.Unmarshal([]byte(r.Metadata), &body)
		}
		if err != nil {
			body.Written = err.Error() // which nobody wrote
		}
		return history.Answer{Fate: history.Done, Content: body.Written, Revision: r.Revision}
	case isConflict:
		return history.Answer{Fate: history.Conflict, Revision: conflict.Revision}
	case errors.Is(err, client.ErrNotFound):
		return history.Answer{Fate: history.Absent}
	case ask.Kind == history.Lookup, errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrLimitExceeded):
		return history.Answer{Fate: history.Undone, Why: err.Error()}
	}
	return history.Answer{Fate: history.Unknown}
}
