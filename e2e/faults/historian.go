package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/history"
)

const (
	historyKeys  = 5
	historyTries = 40 // one call in so many is given almost no time
)

// Historian is one client at work on registrations: what it knows of each key, which others change.
type Historian struct {
	Number int
	Client *client.Client
	Random *rand.Rand
	Record func(client int, ask history.Ask, request func() history.Answer) history.Answer
	Wrong  func(format string, args ...any) // something that no registry answers

	// Scene, unless nil, says what all keys end with at present.
	Scene func() string
	// Pause, unless 0, is how long it may wait between two requests.
	Pause time.Duration

	written int
	known   map[string]history.Answer
}

// Work makes one operation after another until ctx is done.
func (w *Historian) Work(ctx context.Context) {
	w.known = map[string]history.Answer{}
	for ctx.Err() == nil {
		if w.Pause > 0 {
			pauseUpTo(ctx, w.Pause, w.Random.Int64N)
		}
		ask := w.choose()
		answer := w.Record(w.Number, ask, func() history.Answer { return w.do(ctx, ask) })
		switch {
		case ask.Kind == history.Unregister && answer.Fate == history.Done:
		case answer.Fate == history.Done:
			w.known[ask.Key] = answer
		case answer.Fate == history.Conflict:
			// The next condition on this key holds if nobody was faster.
			w.known[ask.Key] = history.Answer{Content: w.known[ask.Key].Content, Revision: answer.Revision}
		}
	}
}

// choose returns the next thing to ask.
func (w *Historian) choose() history.Ask {
	ask := history.Ask{Key: fmt.Sprintf("i-%d", w.Random.IntN(historyKeys))}
	if w.Scene != nil {
		ask.Key += w.Scene()
	}
	known := w.known[ask.Key]
	switch n := w.Random.IntN(100); {
	case n < 40:
		ask.Kind = history.Lookup
		return ask
	case n < 68:
		ask.Kind = history.Register
	case n < 86:
		ask.Kind = history.Update
	default:
		ask.Kind = history.Unregister
	}
	switch n := w.Random.IntN(10); {
	case n < 4 && known.Revision != 0:
		ask.If, ask.Revision = true, known.Revision
	case n < 7 && ask.Kind == history.Register:
		ask.If = true
	}
	switch {
	case ask.Kind == history.Unregister:
	case known.Content != "" && w.Random.IntN(8) == 0:
		ask.Content = known.Content // which changes nothing if it is there still
	default:
		w.written++
		ask.Content = fmt.Sprintf("%d-%d", w.Number, w.written)
	}
	return ask
}

// do asks the registry.
func (w *Historian) do(ctx context.Context, ask history.Ask) history.Answer {
	ctx = context.WithoutCancel(ctx)
	if w.Random.IntN(historyTries) == 0 {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, time.Duration(w.Random.Int64N(int64(500*time.Microsecond))))
		defer cancel()
	}
	key := client.Key{Namespace: client.DefaultNamespace, Service: "payments", Instance: ask.Key}
	metadata, err := client.MetadataOf(map[string]string{"written": ask.Content})
	if err != nil {
		w.Wrong("%v: %v", ask, err)
	}
	var how client.Write
	if ask.If {
		how.If = client.IfRevision(ask.Revision)
	}
	var r client.Registration
	switch ask.Kind {
	case history.Register:
		r, _, err = w.Client.Register(ctx, client.Registration{Key: key, Metadata: metadata}, how)
	case history.Update:
		r, _, err = w.Client.Update(ctx, key, client.Change{Metadata: &metadata}, how)
	case history.Lookup:
		r, _, err = w.Client.Lookup(ctx, key, client.Read{Consistency: client.Linearizable})
	case history.Unregister:
		var removal client.Removal
		removal, _, err = w.Client.Unregister(ctx, key, how)
		if err == nil && !removal.Removed {
			return history.Answer{Fate: history.Absent}
		}
		r.Revision = removal.Revision
	}
	if err != nil {
		return w.failed(ask, err)
	}
	return history.Answer{Fate: history.Done, Content: w.content(ask, &r), Revision: r.Revision}
}

func (w *Historian) failed(ask history.Ask, err error) history.Answer {
	conflict, isConflict := errors.AsType[*backend.ConflictError](err)
	switch {
	case errors.Is(err, client.ErrUnknownOutcome) && ask.Kind != history.Lookup:
		return history.Answer{Fate: history.Unknown}
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrLimitExceeded):
		return history.Answer{Fate: history.Undone, Why: err.Error()}
	case errors.Is(err, client.ErrNotFound):
		return history.Answer{Fate: history.Absent}
	case isConflict:
		return history.Answer{Fate: history.Conflict, Revision: conflict.Revision}
	}
	w.Wrong("%v: %v", ask, err)
	return history.Answer{Fate: history.Unknown}
}

func (w *Historian) content(ask history.Ask, r *client.Registration) string {
	if len(r.Metadata) == 0 {
		return ""
	}
	var body struct{ Written string }
	if err := json.Unmarshal([]byte(r.Metadata), &body); err != nil {
		w.Wrong("%v: %v", ask, err)
	}
	return body.Written
}
