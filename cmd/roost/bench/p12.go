package bench

import (
	"bytes"
	"context"
	"errors"
)

// uncontendedCell is P12.
func uncontendedCell() Cell {
	return Cell{
		ID: "P12", Unit: "turns", JetStream: true,
		About: "acquire and release of a lock that nobody else wants, and campaign and resign in an election without another candidate; " +
			"an object and a lease for each in flight",
		Baseline: "two echoes with replies of the same sizes and two raw Updates with records of the same sizes, in turn, in a bucket like the registry's, " +
			"with one ordered consumer",
		Prepare: prepareUncontended,
	}
}

const (
	// slower is how much more time than the baseline an uncontended turn may take.
	slower = 1.6
	// manyTurns is how many are taken at once at most.
	manyTurns = 64
)

func prepareUncontended(ctx context.Context, w *World) ([]Case, error) {
	raw, err := w.newBucket(ctx)
	if err != nil {
		return nil, err
	}
	secrets, err := w.grant(ctx, manyTurns, longLived)
	if err != nil {
		return nil, err
	}
	var cases []Case
	for _, r := range []*role{w.locked(), w.led()} {
		turns := make([]*turn, manyTurns)
		for i := range turns {
			turns[i] = w.turn(r, i, secrets[i])
		}
		m, err := w.mold(turns[0], r.object(0))
		if err != nil {
			return nil, err
		}
		// The others' records have to become as large as the first one's, too.
		err = each(len(turns)-1, func(i int) error {
			var problems []error
			for range settled {
				problems = append(problems, turns[i+1].takeAndLeave(w, i+1))
			}
			return errors.Join(problems...)
		})
		if err != nil {
			return nil, err
		}
		roost := Side{Do: func(_ context.Context, worker int) (int, error) {
			return once(turns[worker].takeAndLeave(w, worker))
		}}
		bare, err := w.bareTurns(ctx, raw, r, &m)
		if err != nil {
			return nil, err
		}
		cases = append(cases,
			Case{What: string(r.kind), InFlight: 1, Roost: roost, Bare: bare, Budget: Budget{P50: slower}},
			Case{What: string(r.kind), InFlight: manyTurns, Roost: roost, Bare: bare, Budget: Budget{Rate: 1 / slower}})
	}
	return cases, nil
}

// bareTurns is a side that does what turns of a role need at least.
func (w *World) bareTurns(ctx context.Context, raw *bucket, r *role, m *mold) (Side, error) {
	taking, took, err := w.echo(m.taking)
	if err != nil {
		return Side{}, err
	}
	leaving, left, err := w.echo(m.leaving)
	if err != nil {
		return Side{}, err
	}
	records := make([]*raised, manyTurns)
	subjects := make([]string, manyTurns)
	for i := range records {
		if records[i], err = raw.record(ctx, r.kind, r.object(i), m.left); err != nil {
			return Side{}, err
		}
		subjects[i] = "." + r.object(i).String()
	}
	body := beatOne("pTqkZ4mB7sUe1Xh0aWc9RgpTqk") // as long as a lease's secret
	step := func(ctx context.Context, worker int, echo string, want, record []byte) error {
		got, err := w.ask(worker, echo+subjects[worker], body)
		if err := errors.Join(err, wrongUnless(bytes.Equal(got, want))); err != nil {
			return err
		}
		return records[worker].update(ctx, w, worker, record)
	}
	return Side{Do: func(ctx context.Context, worker int) (int, error) {
		if err := step(ctx, worker, taking, took, m.taken); err != nil {
			return 0, err
		}
		return once(step(ctx, worker, leaving, left, m.left))
	}}, nil
}
