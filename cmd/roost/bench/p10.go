package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// restartCell is P10.
func restartCell() Cell {
	return Cell{
		ID: "P10", Unit: "starts", Own: true,
		About: "from the start of a node's process on a store with so many registrations until it is ready; a look at their number follows",
		Baseline: "from the start of a bare NATS server's process on the very same store until an ordered consumer has read " +
			"the last message of each of the bucket's keys, as bytes",
		Prepare: prepareRestart,
	}
}

func prepareRestart(ctx context.Context, w *World) ([]Case, error) {
	n := w.c.Scale
	w.c.Progress(fmt.Sprintf("P10: %d registrations", n))
	if err := errors.Join(w.populate(ctx, n), w.halt()); err != nil {
		return nil, err
	}
	return []Case{{
		What: fmt.Sprintf("%d registrations", n), InFlight: 1, X: float64(n), Cold: true, Budget: Budget{P50: 1.5},
		Roost: Side{Timed: func(ctx context.Context, _ int) (int, []time.Duration, error) {
			begun := time.Now()
			started, url, err := w.launch(ctx, w.dir)
			if err != nil {
				return 0, nil, err
			}
			took := time.Since(begun)
			err = w.holdsAll(url, n)
			units, err := once(err, started.stop())
			return units, []time.Duration{took}, err
		}},
		Bare: Side{Timed: func(ctx context.Context, _ int) (int, []time.Duration, error) {
			begun := time.Now()
			s, err := w.store(ctx, w.dir)
			if err != nil {
				return 0, nil, err
			}
			there := 0
			err = w.readStore(ctx, s, func() { there++ })
			took := time.Since(begun)
			units, err := once(err, s.close(), wrongUnless(there >= n))
			return units, []time.Duration{took}, err
		}},
	}}, nil
}

// holdsAll checks that a registry has n registrations of the run.
func (w *World) holdsAll(url string, n int) error {
	nc, err := w.connectTo(url)
	if err != nil {
		return err
	}
	w.clients = append(w.clients[:0], nc)
	there, err := w.count(w.scratch)
	nc.Close()
	w.clients = nil
	if err == nil && there != n {
		err = fmt.Errorf("%d registrations after a restart; want %d: %w", there, n, errWrongAnswer)
	}
	return err
}

// readStore reads the registry's bucket in a bare server, and counts registrations.
func (w *World) readStore(ctx context.Context, s *store, found func()) error {
	js, err := jetstream.New(s.nc)
	if err != nil {
		return err
	}
	kv, err := js.KeyValue(ctx, w.subjects.Bucket())
	if err != nil {
		return err
	}
	_, err = readAll(ctx, kv, ">", func(e jetstream.KeyValueEntry) error {
		if len(e.Value()) > 0 {
			found()
		}
		return nil
	}, jetstream.IgnoreDeletes())
	return err
}
