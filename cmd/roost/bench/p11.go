package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
)

// readAllCell is P11.
func readAllCell() Cell {
	return Cell{
		ID: "P11", Unit: "times", Shares: copies, JetStream: true,
		About: fmt.Sprintf("list of everything, page by page: as bytes, and by the Go client; "+
			"and a Replica of one of the %d parts until it is ready, empty before", shares),
		Baseline: "an ordered read of the registry's bucket (WatchAll until caught up): as bytes, and each value decoded; " +
			"and a filtered one, as bytes",
		Prepare: prepareReadAll,
		Curved:  func(c *Config, n int) { c.Copied = n },
	}
}

func prepareReadAll(ctx context.Context, w *World) ([]Case, error) {
	c, err := w.crowd(ctx)
	if err != nil {
		return nil, err
	}
	kv, err := w.registryBucket(ctx)
	if err != nil {
		return nil, err
	}
	registry, err := w.registry(0)
	if err != nil {
		return nil, err
	}
	return []Case{
		{
			What: "list, bytes", InFlight: 1, OnCurve: true, Budget: Budget{P50: 1},
			Roost: Side{Do: func(context.Context, int) (int, error) { return w.listBytes(c) }},
			Bare:  Side{Do: func(ctx context.Context, _ int) (int, error) { return readBytes(ctx, kv, c) }},
		},
		{
			What: "list, decoded", InFlight: 1, Budget: Budget{P50: 1},
			Roost: Side{Do: func(ctx context.Context, _ int) (int, error) { return listDecoded(ctx, registry, c) }},
			Bare:  Side{Do: func(ctx context.Context, _ int) (int, error) { return readDecoded(ctx, kv, c) }},
		},
		{
			What: "Replica ready", InFlight: 1, OnCurve: true, Budget: Budget{P50: 0.5},
			Roost: w.fills(registry, c), Bare: w.reads(kv, c),
		},
	}, nil
}

// registryBucket returns the bucket that the registry keeps everything in.
func (w *World) registryBucket(ctx context.Context) (jetstream.KeyValue, error) {
	js, err := jetstream.New(w.clients[0])
	if err != nil {
		return nil, err
	}
	kv, err := js.KeyValue(ctx, w.subjects.Bucket())
	if err != nil {
		return nil, fmt.Errorf("the baseline: %w: %w", errNoJetStream, err)
	}
	return kv, nil
}

// listBytes lists everything and counts what is the crowd's.
func (w *World) listBytes(c *crowd) (int, error) {
	subject, mark, n := w.subjects.OfScope(bus.VerbList, backend.Scope{}), c.mark(), 0
	next := []byte(`,"next":"`)
	for body := []byte(nil); ; {
		answer, err := w.ask(0, subject, body)
		if err != nil {
			return 0, err
		}
		n += bytes.Count(answer, mark)
		at := bytes.LastIndex(answer, next)
		if at < 0 {
			return once(c.complete(n))
		}
		after, _, _ := bytes.Cut(answer[at+len(next):], []byte(`"`))
		body = append(append([]byte(`{"after":"`), after...), `"}`...)
	}
}

// complete checks that n is the size of the crowd.
func (c *crowd) complete(n int) error {
	if n != len(c.members) {
		return fmt.Errorf("%d of %d registrations: %w", n, len(c.members), errWrongAnswer)
	}
	return nil
}

func listDecoded(ctx context.Context, registry *client.Client, c *crowd) (int, error) {
	var kept []*backend.Registration
	n := 0
	for found, err := range registry.All(ctx, client.Query{}) {
		if err != nil {
			return 0, err
		}
		if c.owns(found.Namespace) {
			n++
		}
		kept = append(kept, found)
	}
	return once(c.complete(n), checkKept(kept))
}

// once is one unit, or none.
func once(problems ...error) (int, error) {
	if err := errors.Join(problems...); err != nil {
		return 0, err
	}
	return 1, nil
}

// checkKept looks at the last of what was kept, so that all of it had to be.
func checkKept(kept []*backend.Registration) error {
	if len(kept) == 0 || kept[len(kept)-1].Key == (backend.Key{}) {
		return errWrongAnswer
	}
	return nil
}

// readBytes reads the bucket in order and counts what is the crowd's.
func readBytes(ctx context.Context, kv jetstream.KeyValue, c *crowd) (int, error) {
	mark, n := c.mark(), 0
	_, err := readAll(ctx, kv, ">", func(e jetstream.KeyValueEntry) error {
		if bytes.Contains(e.Value(), mark) {
			n++
		}
		return nil
	}, jetstream.IgnoreDeletes())
	return once(err, c.complete(n))
}

func readDecoded(ctx context.Context, kv jetstream.KeyValue, c *crowd) (int, error) {
	var kept []*backend.Registration
	n := 0
	_, err := readAll(ctx, kv, ">", func(e jetstream.KeyValueEntry) error {
		if !strings.HasPrefix(e.Key(), "event.") {
			return nil
		}
		found, err := backend.ParseRegistration(e.Value())
		if err != nil {
			return err
		}
		if c.owns(found.Namespace) {
			n++
		}
		kept = append(kept, &found)
		return nil
	}, jetstream.IgnoreDeletes())
	return once(err, c.complete(n), checkKept(kept))
}

// readAll yields what keys selects of a bucket, as it is now, and returns how long that
// took.
func readAll(ctx context.Context, kv jetstream.KeyValue, keys string, yield func(jetstream.KeyValueEntry) error,
	opts ...jetstream.WatchOpt,
) (took time.Duration, err error) {
	begun := time.Now()
	watcher, err := kv.Watch(ctx, keys, opts...)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, watcher.Stop()) }()
	for {
		select {
		case e := <-watcher.Updates():
			if e == nil {
				return time.Since(begun), nil
			}
			if err := yield(e); err != nil {
				return 0, err
			}
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// fills is a side that fills a Replica of the group.
func (w *World) fills(registry *client.Client, c *crowd) Side {
	want := c.of(c.group)
	return Side{Timed: func(ctx context.Context, _ int) (int, []time.Duration, error) {
		begun := time.Now()
		r, err := replicate(ctx, registry, client.Scope{Namespace: c.group})
		if err != nil {
			return 0, nil, err
		}
		err = w.readyWithin(ctx, r)
		took := time.Since(begun)
		var got tally
		for _, found := range r.All() { //nolint:contextcheck // what is in memory does not wait
			got.add(found.Revision)
		}
		n, err := once(err, r.stop(), got.is(want))
		return n, []time.Duration{took}, err
	}}
}

// reads is a side that reads the group from the bucket.
func (w *World) reads(kv jetstream.KeyValue, c *crowd) Side {
	want := c.of(c.group)
	keys := "event." + backend.Token(c.group) + ".>"
	return Side{Timed: func(ctx context.Context, _ int) (int, []time.Duration, error) {
		var got tally
		took, err := readAll(ctx, kv, keys, func(e jetstream.KeyValueEntry) error {
			got.add(backend.Revision(e.Revision()))
			return nil
		}, jetstream.IgnoreDeletes())
		n, err := once(err, got.is(want))
		return n, []time.Duration{took}, err
	}}
}
