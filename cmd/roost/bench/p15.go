package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus/client"
)

// nodeKilledCell is P15.
func nodeKilledCell() Cell {
	return Cell{
		ID: "P15", Nodes: 3, JetStream: true,
		About: "from the kill -9 of one of three nodes that does not lead the stream until the first answer to a look-up that was sent afterwards, " +
			"by a Go client that was connected to it (a median and the longest), and how many of its look-ups fail",
		Baseline: "nothing",
		Measure:  measureNodeKilled,
	}
}

// mostAway is how long a client may be without an answer, in milliseconds.
const mostAway = 200

func measureNodeKilled(ctx context.Context, w *World) ([]Figure, error) {
	if err := w.populate(ctx, serviceSize); err != nil {
		return nil, err
	}
	stream := "KV_" + w.subjects.Bucket()
	var away []float64
	failed := 0
	for r := range w.c.Rounds {
		w.c.Progress(fmt.Sprintf("P15: kill %d of %d", r+1, w.c.Rounds))
		const victim, leader = 1, 2 // the run's own connection is to the node 0
		if err := errors.Join(w.fleet.lead(ctx, w.clients[0], stream, leader), w.answers(ctx, w.fleet, serviceSize)); err != nil {
			return nil, err
		}
		took, n, err := w.killUnder(ctx, victim)
		if err != nil {
			return nil, err
		}
		away, failed = append(away, milliseconds(took)), failed+n
		if err := w.fleet.nodes[victim].launch(ctx, w.c); err != nil {
			return nil, err
		}
		if err := w.fleet.whole(ctx, w.clients[0], stream); err != nil {
			return nil, err
		}
	}
	longest := 0.0
	for _, ms := range away {
		longest = max(longest, ms)
	}
	return []Figure{
		{What: "without an answer, median", Unit: "ms", Roost: medianFloat(away), Limit: Limit{Most: mostAway}},
		{What: "without an answer, longest", Unit: "ms", Roost: longest, Limit: Limit{Most: mostAway}},
		{What: "look-ups that failed", Unit: "look-ups", Roost: float64(failed), Limit: Limit{None: true}},
	}, nil
}

// steady is for how many durations of a side a client asks before something is killed.
const steady = 1

// killUnder kills a node that a client is connected to and asks, and returns how long it
// had no answer, and how many requests failed.
func (w *World) killUnder(ctx context.Context, victim int) (time.Duration, int, error) {
	ctx, cancel := context.WithTimeout(ctx, healTime)
	defer cancel()
	c, err := client.Connect(ctx, w.fleet.urls(victim), client.WithPrefix(w.c.Prefix), client.WithNATS(nats.DontRandomize()))
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = c.Close() }() // it only looked
	var s streak
	asking, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		s.keep(asking, w.lookUp(c))
		close(ended)
	}()
	defer func() { <-ended }()
	defer stop()
	if _, err := s.await(ctx, time.Now().Add(steady*w.c.Duration)); err != nil {
		return 0, 0, err
	}
	killed := time.Now()
	w.fleet.nodes[victim].kill()
	took, err := s.await(ctx, killed)
	failed, _ := s.failures()
	return took, failed, err
}

// lookUp is a look-up by c whose answer is checked.
func (w *World) lookUp(c *client.Client) func(context.Context) error {
	key := w.key(0)
	return func(ctx context.Context) error {
		found, _, err := c.Lookup(ctx, key, client.Read{})
		if err == nil && found.Key != key {
			err = errWrongAnswer
		}
		return err
	}
}
