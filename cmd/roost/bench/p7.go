package bench

import (
	"bytes"
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// keepaliveCell is P7.
func keepaliveCell() Cell {
	return Cell{
		ID: "P7", Unit: "keepalives", JetStream: true,
		About: "keepalive of one of many leases; a look at the registry's bucket afterwards shows that nothing was written",
		Baseline: "an echo in a process of its own, replies of the same size; in the last line, one beside a NATS server in its process, " +
			"as the registry is",
		Prepare: prepareKeepalive,
	}
}

// longLived is longer than any run.
const longLived = 24 * time.Hour

func prepareKeepalive(ctx context.Context, w *World) ([]Case, error) {
	const leases = 1000
	secrets, err := w.grant(ctx, min(leases, w.c.Leases), longLived)
	if err != nil {
		return nil, err
	}
	bodies := make([][]byte, len(secrets))
	for i, s := range secrets {
		bodies[i] = beatOne(s)
	}
	answer, size, err := w.firstBeat(bodies[0])
	if err != nil {
		return nil, err
	}
	echo, echoed, err := w.echo(size)
	if err != nil {
		return nil, err
	}
	bare, err := w.bare(ctx, size)
	if err != nil {
		return nil, err
	}
	inside, err := w.connections(bare.url, w.c.Connections)
	if err != nil {
		return nil, err
	}
	var drawn counter
	beats := func(conns []*nats.Conn, subject string, want []byte) Side {
		return Side{Do: func(_ context.Context, worker int) (int, error) {
			m, err := conns[worker%len(conns)].Request(subject, bodies[drawn.next()%len(bodies)], w.c.Timeout)
			if err != nil {
				return 0, err
			}
			got, err := answerOf(m)
			return once(err, wrongUnless(bytes.Equal(got, want)))
		}}
	}
	ours := beats(w.clients, w.subjects.LeaseKeepalive(), answer)
	theirs := beats(w.clients, echo+".keepalive", echoed)
	cases := []Case{
		{What: "echo elsewhere", InFlight: 1, Roost: ours, Bare: theirs},
		{What: "echo elsewhere", InFlight: 64, Roost: ours, Bare: theirs, Budget: Budget{Rate: 0.85}},
		{What: "echo elsewhere", InFlight: 256, Roost: ours, Bare: theirs},
		{
			What: "echo in process", InFlight: 64, Responder: bare.cmd.Process.Pid,
			Roost: ours, Bare: beats(inside, w.subjects.LeaseKeepalive(), echoed),
		},
	}
	return cases, w.writesNothing(ctx, secrets)
}
