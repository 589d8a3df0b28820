package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// eventCell is P6.
func eventCell() Cell {
	return Cell{
		ID: "P6", Unit: "changes", JetStream: true,
		About: fmt.Sprintf("from the sending of a register that changes an instance to its event at each subscriber: every arrival counts; "+
			"one change at a time, subscribers over up to %d connections", audienceConnections),
		Baseline: "half an echo with replies of the same size, then a raw Put in a bucket like the registry's, with one ordered consumer, " +
			"to its republished message at each subscriber",
		Prepare: prepareEvent,
	}
}

// watched is how many instances change in turn.
const watched = 64

func prepareEvent(ctx context.Context, w *World) ([]Case, error) {
	w.cleanups = append(w.cleanups, w.removeAll)
	_, size, stored, err := w.firstRegister()
	if err != nil {
		return nil, err
	}
	raw, err := w.newBucket(ctx)
	if err != nil {
		return nil, err
	}
	echo, answer, err := w.echo(size)
	if err != nil {
		return nil, err
	}
	published, err := bus.NewSubjects(w.scratch) // where newBucket has it republish
	if err != nil {
		return nil, err
	}
	var cases []Case
	for _, n := range scale(w.c.Subscribers, 1, 10, 100, 1000) {
		k := Case{What: fmt.Sprintf("%d subscribers", n), InFlight: 1, X: float64(n), Budget: Budget{P50: 1.25, P99: 1.5}}
		service := "watched-by-" + strconv.Itoa(n)
		if k.Roost, err = w.changes(service, n); err != nil {
			return nil, err
		}
		heard, err := w.audience(published.Events(backend.Scope{Namespace: w.scratch, Service: service}), n)
		if err != nil {
			return nil, err
		}
		var put counter
		k.Bare = Side{Timed: func(ctx context.Context, worker int) (int, []time.Duration, error) {
			ctx, cancel := context.WithTimeout(ctx, w.c.Timeout)
			defer cancel()
			key := w.watched(service, put.next())
			begun := time.Now()
			got, err := w.ask(worker, echo+"."+key.String(), stored)
			half := time.Since(begun) / 2
			if err = errors.Join(err, wrongUnless(bytes.Equal(got, answer))); err != nil {
				return 0, nil, err
			}
			took, err := heard.tell(ctx, published.Event(key), func() (backend.Revision, error) {
				revision, err := raw.kv(worker).Put(ctx, "event."+key.String(), stored)
				return backend.Revision(revision), err
			})
			for i := range took {
				took[i] += half
			}
			n, err := once(err)
			return n, took, err
		}}
		cases = append(cases, k)
	}
	return cases, nil
}

// watched returns the key that the n-th change is about.
func (w *World) watched(service string, n int) backend.Key {
	return backend.Key{Namespace: w.scratch, Service: service, Instance: "i-" + strconv.Itoa(n%watched)}
}

// changes is a side that registers instances of a service again and again, each time with
// another weight, before n subscribers.
func (w *World) changes(service string, n int) (Side, error) {
	heard, err := w.audience(w.subjects.Events(backend.Scope{Namespace: w.scratch, Service: service}), n)
	if err != nil {
		return Side{}, err
	}
	var drawn counter
	return Side{Timed: func(ctx context.Context, worker int) (int, []time.Duration, error) {
		ctx, cancel := context.WithTimeout(ctx, w.c.Timeout)
		defer cancel()
		n := drawn.next()
		key := w.watched(service, n)
		body := []byte("{" + content + `,"weight":` + strconv.Itoa(n/watched%backend.MaxWeight) + "}")
		took, err := heard.tell(ctx, w.subjects.Event(key), func() (backend.Revision, error) {
			answer, err := w.ask(worker, w.subjects.OfKey(bus.VerbRegister, key), body)
			if err != nil {
				return 0, err
			}
			return revisionIn(answer)
		})
		n, err = once(err)
		return n, took, err
	}}, nil
}
