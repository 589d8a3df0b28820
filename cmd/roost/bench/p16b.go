package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
)

// leaderKilledCell is P16b.
func leaderKilledCell() Cell {
	return Cell{
		ID: "P16b", Nodes: 3, JetStream: true,
		About: "after the kill -9 of that one of three nodes that leads the stream, by Go clients at another node: how long until a register succeeds that was sent " +
			"afterwards, and how long after the stream has a leader that is; look-ups meanwhile; registrations and a leadership that end, whose lease is kept alive",
		Baseline: "how long until a raw Create succeeds in a bucket with three copies that the same node has led; of look-ups, the time before the kill",
		Measure:  measureLeaderKilled,
	}
}

const (
	// mostLater is how much later than the stream has a leader writes may work again.
	mostLater = 300
	// mostSlower is how much slower look-ups may be meanwhile.
	mostSlower = 3
)

// outage is what a kill of the leader came to, in milliseconds.
type outage struct{ writes, later, raw, before, during float64 }

func measureLeaderKilled(ctx context.Context, w *World) ([]Figure, error) {
	if err := w.populate(ctx, serviceSize); err != nil {
		return nil, err
	}
	raw, err := w.newReplicated(ctx, len(w.fleet.nodes))
	if err != nil {
		return nil, err
	}
	var ended atomic.Int64
	if err := w.holdThrough(ctx, &ended); err != nil {
		return nil, err
	}
	var all [5][]float64
	failed := 0
	for r := range w.c.Rounds {
		w.c.Progress(fmt.Sprintf("P16b: kill %d of %d", r+1, w.c.Rounds))
		o, n, err := w.killLeader(ctx, raw)
		if err != nil {
			return nil, err
		}
		for i, v := range []float64{o.writes, o.later, o.raw, o.before, o.during} {
			all[i] = append(all[i], v)
		}
		failed += n
	}
	return []Figure{
		{What: "without writes, median", Unit: "ms", Roost: medianFloat(all[0]), Bare: medianFloat(all[2])},
		{What: "writes after the stream has a leader, median", Unit: "ms", Roost: medianFloat(all[1]), Limit: Limit{Most: mostLater}},
		{What: "look-ups without a leader, p99", Unit: "ms", Roost: medianFloat(all[4]), Bare: medianFloat(all[3]), Limit: Limit{Ratio: mostSlower}},
		{What: "look-ups that failed", Unit: "look-ups", Roost: float64(failed), Limit: Limit{None: true}},
		{What: "registrations and leaderships that ended", Unit: "ends", Roost: float64(ended.Load()), Limit: Limit{None: true}},
	}, nil
}

// holdThrough registers an instance and leads an election under a lease that is kept
// alive, and counts when either ends.
func (w *World) holdThrough(ctx context.Context, ended *atomic.Int64) error {
	c, err := client.Connect(ctx, w.fleet.urls(0), client.WithPrefix(w.c.Prefix), client.WithNATS(nats.DontRandomize()))
	if err != nil {
		return err
	}
	w.afterwards(c.Close)
	lease, err := c.Grant(ctx, client.LeaseOptions{TTL: 10 * time.Second})
	if err != nil {
		return err
	}
	o := bus.Object{Namespace: w.scratch, Name: "held"}
	key := backend.Key{Namespace: o.Namespace, Service: o.Name, Instance: "i"}
	if _, err := c.Election(o.Namespace, o.Name).Campaign(ctx, lease, client.CampaignOptions{}); err != nil {
		return err
	}
	_, _, err = c.Register(ctx, client.Registration{Key: key, Endpoints: client.Endpoints{{Name: "http", URI: "http://127.0.0.1"}}},
		client.Write{Owner: lease.Owner()})
	if err != nil {
		return err
	}
	return errors.Join(
		w.listen(w.subjects.Event(key), func(m *nats.Msg) {
			if expired(m) {
				ended.Add(1)
			}
		}),
		w.listen(w.subjects.Announcement(bus.KindElection, o), func(m *nats.Msg) {
			if !leads(lease.Owner(), m) {
				ended.Add(1)
			}
		}),
	)
}

// killLeader kills the node that leads both streams, and starts it again when writes work.
func (w *World) killLeader(ctx context.Context, raw *bucket) (o outage, failed int, err error) {
	const victim = 2 // the run's own connection is to the node 0
	stream, nc := "KV_"+w.subjects.Bucket(), w.clients[0]
	err = errors.Join(
		w.fleet.whole(ctx, nc, stream, raw.stream()), w.fleet.lead(ctx, nc, stream, victim), w.fleet.lead(ctx, nc, raw.stream(), victim),
		w.answers(ctx, w.fleet, serviceSize))
	if err != nil {
		return o, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, healTime)
	defer cancel()
	c, err := client.Connect(ctx, w.fleet.urls(0), client.WithPrefix(w.c.Prefix), client.WithNATS(nats.DontRandomize()))
	if err != nil {
		return o, 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	var lookUps, writes, creates streak
	asking, stop := context.WithCancel(ctx)
	running := make(chan error, 1)
	begun := time.Now()
	go func() {
		running <- each(3, func(i int) error { // all three at once
			[]func(){
				func() { lookUps.keep(asking, w.lookUp(c)) },
				func() { writes.keep(asking, w.registerNew(c, begun)) },
				func() { creates.keep(asking, raw.createNew(begun)) },
			}[i]()
			return nil
		})
	}()
	defer func() { err = errors.Join(err, <-running) }()
	defer stop()
	for _, s := range []*streak{&lookUps, &writes, &creates} {
		if _, err := s.await(ctx, begun.Add(steady*w.c.Duration)); err != nil {
			return o, 0, err
		}
	}
	killed := time.Now()
	w.fleet.nodes[victim].kill()
	elected, err := w.elected(ctx, stream, victim)
	if err != nil {
		return o, 0, err
	}
	took, err := writes.await(ctx, killed)
	if err != nil {
		return o, 0, err
	}
	bare, err := creates.await(ctx, killed)
	if err != nil {
		return o, 0, err
	}
	failed, _ = lookUps.failures()
	o = outage{
		writes: milliseconds(took), later: milliseconds(max(0, took-elected.Sub(killed))), raw: milliseconds(bare),
		before: milliseconds(lookUps.p99(begun, killed)), during: milliseconds(lookUps.p99(killed, killed.Add(took))),
	}
	return o, failed, w.fleet.nodes[victim].launch(ctx, w.c)
}

// elected waits until a stream is led by another node, and returns when it was.
func (w *World) elected(ctx context.Context, stream string, victim int) (time.Time, error) {
	for {
		i, err := w.fleet.leader(ctx, w.clients[0], stream)
		if err != nil || i != victim {
			return time.Now(), err
		}
	}
}

// registerNew registers another instance each time.
func (w *World) registerNew(c *client.Client, begun time.Time) func(context.Context) error {
	return func(ctx context.Context) error {
		key := backend.Key{Namespace: w.scratch + "-new", Service: "s", Instance: strconv.FormatInt(int64(time.Since(begun)), 36) + begun.Format("150405")}
		_, _, err := c.Register(ctx, client.Registration{Key: key, Endpoints: client.Endpoints{{Name: "http", URI: "http://127.0.0.1"}}}, client.Write{})
		return err
	}
}

// createTime is how long a raw Create is waited for where there may be no leader.
const createTime = 250 * time.Millisecond

// createNew creates another key each time.
func (b *bucket) createNew(begun time.Time) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, createTime)
		defer cancel()
		key := "event.x." + strconv.FormatInt(int64(time.Since(begun)), 36) + "." + begun.Format("150405")
		_, err := b.kvs[0].Create(ctx, key, []byte(content))
		if errors.Is(err, jetstream.ErrKeyExists) {
			return nil // by a try whose acknowledgement was late
		}
		return err
	}
}
