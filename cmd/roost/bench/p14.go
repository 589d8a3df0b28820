package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
)

// killedCell is P14.
func killedCell() Cell {
	return Cell{
		ID: "P14", Unit: "kills",
		About: "from the kill -9 of a process that holds a lease to the event that its registration is gone, and of one that leads to the announcement " +
			"that the next candidate does, at a subscriber; with that grace",
		Baseline: "from the kill -9 of a process with a connection to a bare NATS server to that server's word that the connection was closed, " +
			"passed on to a subscriber by a connection in the server's process; and as much grace, added",
		Prepare: prepareKilled,
	}
}

// killedGrace is the grace of those who have one.
const killedGrace = 200 * time.Millisecond

func prepareKilled(ctx context.Context, w *World) ([]Case, error) {
	w.cleanups = append(w.cleanups, w.removeAll)
	events, err := w.mourn(w.url, w.subjects.Events(backend.Scope{Namespace: w.scratch}), expired)
	if err != nil {
		return nil, err
	}
	bare, err := w.bare(ctx, 0)
	if err != nil {
		return nil, err
	}
	closed, err := w.mourn(bare.url, closedSubject+"*", func(*nats.Msg) bool { return true })
	if err != nil {
		return nil, err
	}
	next, err := w.successor(ctx)
	if err != nil {
		return nil, err
	}
	var drawn counter
	var cases []Case
	for _, grace := range []time.Duration{0, killedGrace} {
		most := grace + 100*time.Millisecond
		if grace == 0 {
			most = 50 * time.Millisecond
		}
		theirs := w.kills(func(ctx context.Context) (*process, string, error) {
			p, id, err := w.victim(ctx, bare.url, Doomed{})
			return p, closedSubject + id, err
		}, closed, grace)
		gone := w.kills(func(ctx context.Context) (*process, string, error) {
			key := w.key(drawn.next())
			p, _, err := w.victim(ctx, w.url, Doomed{Key: key.String(), TTL: time.Hour, Grace: grace})
			return p, w.subjects.Event(key), err
		}, events, 0)
		k := Case{InFlight: 1, Cold: true, Responder: bare.cmd.Process.Pid, Budget: Budget{P99Us: microseconds(most)}, Bare: theirs}
		k.What, k.Roost = fmt.Sprintf("gone, grace %d ms", grace.Milliseconds()), gone
		cases = append(cases, k)
		k.What, k.Roost = fmt.Sprintf("next leader, grace %d ms", grace.Milliseconds()), w.kills(next.after(grace), next.mourner, 0)
		cases = append(cases, k)
	}
	return cases, nil
}

// kills is a side that starts a victim, kills it, and waits for what is heard of it.
// start returns the subject of that; more is added to how long it took.
func (w *World) kills(start func(context.Context) (*process, string, error), heard *mourner, more time.Duration) Side {
	return Side{Timed: func(ctx context.Context, _ int) (int, []time.Duration, error) {
		ctx, cancel := context.WithTimeout(ctx, w.c.Timeout)
		defer cancel()
		p, subject, err := start(ctx)
		if err != nil {
			return 0, nil, err
		}
		begun := time.Now()
		p.kill()
		at, err := heard.when(ctx, subject)
		if err != nil {
			return 0, nil, err
		}
		return 1, []time.Duration{at.Sub(begun) + more}, nil
	}}
}
