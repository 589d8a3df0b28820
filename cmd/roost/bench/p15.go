package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus/client"
)

// nodeKilledCell is P15.
func nodeKilledCell() Cell {
	return Cell{
		ID: "P15", Nodes: 3, JetStream: true,
		About: "from the kill -9 of one of three nodes that does not lead the stream until the first answer to a look-up that was sent afterwards, " +
			"by a Go client that was connected to it (a median and the longest), the slowest look-up by one that is connected to another node, " +
			"whose requests NATS may give to any, and how many of their look-ups fail",
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
	var away, elsewhere []float64
	failed := 0
	for r := range w.c.Rounds {
		w.c.Progress(fmt.Sprintf("P15: kill %d of %d", r+1, w.c.Rounds))
		const victim, leader = 1, 2 // the run's own connection is to the node 0
		if err := errors.Join(w.fleet.lead(ctx, w.clients[0], stream, leader), w.answers(ctx, w.fleet, serviceSize)); err != nil {
			return nil, err
		}
		k, err := w.killUnder(ctx, victim)
		if err != nil {
			return nil, err
		}
		away, elsewhere, failed = append(away, milliseconds(k.away)), append(elsewhere, milliseconds(k.elsewhere)), failed+k.failed
		if err := w.fleet.nodes[victim].launch(ctx, w.c); err != nil {
			return nil, err
		}
		if err := w.fleet.whole(ctx, w.clients[0], stream); err != nil {
			return nil, err
		}
	}
	return []Figure{
		{What: "without an answer, median", Unit: "ms", Roost: medianFloat(away), Limit: Limit{Most: mostAway}},
		{What: "without an answer, longest", Unit: "ms", Roost: slices.Max(away), Limit: Limit{Most: mostAway}},
		{What: "slowest look-up at another node", Unit: "ms", Roost: slices.Max(elsewhere), Limit: Limit{Most: mostAway}},
		{What: "look-ups that failed", Unit: "look-ups", Roost: float64(failed), Limit: Limit{None: true}},
	}, nil
}

// steady is for how many durations of a side a client asks before something is killed.
const steady = 1

// killed is what the killing of a node has done to clients.
type killed struct {
	away      time.Duration // that the one at the node was without an answer
	elsewhere time.Duration // that the slowest look-up at another node took
	failed    int
}

// askers is how many look-ups are under way at another node when one is killed.
const askers = 8

// killUnder kills a node that a client is connected to and asks, while another asks
// another node.
func (w *World) killUnder(ctx context.Context, victim int) (killed, error) {
	ctx, cancel := context.WithTimeout(ctx, healTime)
	defer cancel()
	c, err := client.Connect(ctx, w.fleet.urls(victim), client.WithPrefix(w.c.Prefix), client.WithNATS(nats.DontRandomize()))
	if err != nil {
		return killed{}, err
	}
	defer func() { _ = c.Close() }() // it only looked
	there, err := client.New(w.clients[0], client.WithPrefix(w.c.Prefix))
	if err != nil {
		return killed{}, err
	}
	defer func() { _ = there.Close() }() // likewise
	var at streak
	var other [askers]streak
	asking, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() { at.keep(asking, w.lookUp(c)) })
	for i := range other {
		all.Go(func() { other[i].keep(asking, w.lookUp(there)) })
	}
	from := time.Now().Add(steady * w.c.Duration)
	if _, err := at.await(ctx, from); err != nil {
		return killed{}, err
	}
	now := time.Now()
	w.fleet.nodes[victim].kill()
	var k killed
	if k.away, err = at.await(ctx, now); err != nil {
		return killed{}, err
	}
	k.failed, _ = at.failures()
	settled := time.Now().Add(2 * mostAway * time.Millisecond)
	for i := range other {
		if _, err := other[i].await(ctx, settled); err != nil {
			return killed{}, err
		}
		failed, _ := other[i].failures()
		k.elsewhere, k.failed = max(k.elsewhere, other[i].slowest(from)), k.failed+failed
	}
	return k, nil
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
