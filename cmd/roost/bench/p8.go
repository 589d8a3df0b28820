package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// beatEvery is how often a lease is kept alive.
	beatEvery = 10 * time.Second
	// crowdTTL leaves time for both sides of all cases between two keepalives of a lease,
	// and is short enough for its clock to have work to do.
	crowdTTL = 2 * time.Minute
	// manyBeats is how many leases a message keeps alive where it is about many.
	manyBeats = 100
)

// crowdedCell is P8.
func crowdedCell() Cell {
	return Cell{
		ID: "P8", Unit: "keepalives", JetStream: true,
		About: fmt.Sprintf("many leases live, each kept alive once in %v, at that rate whatever comes back, over many connections; "+
			"one to a message, and %d to a message; nothing may be written. What counts is the server's CPU time, "+
			"with all that it does besides", beatEvery, manyBeats),
		Baseline: "the same messages at the same rate over as many connections to a bare NATS server with an echo in its process, " +
			"which are the responder here; the registry's server is idle meanwhile",
		Prepare: prepareCrowded,
	}
}

func prepareCrowded(ctx context.Context, w *World) ([]Case, error) {
	secrets, err := w.grant(ctx, w.c.Leases, crowdTTL)
	if err != nil {
		return nil, err
	}
	ours, err := w.connections(w.url, w.c.Beating)
	if err != nil {
		return nil, err
	}
	one := make([][]byte, len(secrets))
	for i, s := range secrets {
		one[i] = beatOne(s)
	}
	var many [][]byte
	for i := manyBeats; i <= len(secrets); i += manyBeats {
		many = append(many, beatMany(secrets[i-manyBeats:i]))
	}
	few := max(1, w.c.Beating/10)
	budget := Budget{CPU: 1.3}
	var cases []Case
	for _, k := range []struct {
		bodies [][]byte
		units  int
		conns  int
		budget Budget
	}{{one, 1, few, budget}, {one, 1, w.c.Beating, budget}, {many, manyBeats, few, Budget{Cores: 0.02}}} {
		c, err := w.paced(ctx, k.bodies, k.units, ours[:k.conns])
		if err != nil {
			return nil, err
		}
		c.What, c.Budget = fmt.Sprintf("%d connections, %d to a message", k.conns, k.units), k.budget
		cases = append(cases, c)
	}
	return cases, w.writesNothing(ctx, secrets)
}

// paced is a case that sends each of bodies once in beatEvery, over connections to the
// registry, and over as many to a bare server.
func (w *World) paced(ctx context.Context, bodies [][]byte, units int, ours []*nats.Conn) (Case, error) {
	answer, size, err := w.firstBeat(bodies[0])
	if err != nil {
		return Case{}, err
	}
	bare, err := w.bare(ctx, size)
	if err != nil {
		return Case{}, err
	}
	theirs, err := w.connections(bare.url, len(ours))
	if err != nil {
		return Case{}, err
	}
	var sides [2]Side
	for i, conns := range [][]*nats.Conn{ours, theirs} {
		var drawn counter
		p, err := newPace(conns, &pace{
			subject: w.subjects.LeaseKeepalive(), every: beatEvery / time.Duration(len(bodies)), units: units,
			next: func() []byte { return bodies[drawn.next()%len(bodies)] },
			want: [][]byte{answer, filler(size)}[i], timeout: w.c.Timeout,
		})
		if err != nil {
			return Case{}, err
		}
		sides[i] = p.side()
	}
	return Case{InFlight: 1, Roost: sides[0], Bare: sides[1], Responder: bare.cmd.Process.Pid}, nil
}
