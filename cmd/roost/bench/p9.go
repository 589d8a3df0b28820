package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/kvstore/natskv"
)

// memoryCell is P9.
func memoryCell() Cell {
	return Cell{
		ID: "P9", Own: true, Proc: true,
		About: "memory (RSS) of a node with so many permanent registrations, right after they were registered in batches, and after a restart; " +
			"the least seen until some time has brought no less. What a registration costs is the node's less the bare server's, by their number",
		Baseline: "memory of a bare NATS server that holds a bucket like the registry's with as many keys and the same values; " +
			"of what a registration costs, the bytes of its JSON",
		Measure: measureMemory,
	}
}

const (
	mebibyte = 1 << 20
	// million is from how many registrations on P9 has a budget.
	million = 1_000_000
	// perRegistration is that budget in bytes.
	perRegistration = 1200
	// quietRounds is for how many durations of a side memory must not have shrunk.
	quietRounds = 3
	// With many, it must not have for so long: a node that is quiet gives back what a busy
	// time has left behind, some seconds later.
	many      = 50_000
	quietTime = 15 * time.Second
)

func measureMemory(ctx context.Context, w *World) ([]Figure, error) {
	dir, err := w.emptyDir()
	if err != nil {
		return nil, err
	}
	bare, err := w.store(ctx, dir)
	if err != nil {
		return nil, err
	}
	b := ballast{w: w, bucket: w.scratch, namespace: w.scratch}
	if err := b.open(ctx, bare.nc); err != nil {
		return nil, err
	}
	text, err := b.sample(ctx)
	if err != nil {
		return nil, err
	}
	var figures []Figure
	compare := func(what string, n int, pid int) error {
		quiet := quietRounds * w.c.Duration
		if n >= many {
			quiet = max(quiet, quietTime)
		}
		sizes, err := settledSizes(ctx, quiet, w.pids[serverProcess], pid)
		if err != nil {
			return err
		}
		ours, theirs := sizes[0], sizes[1]
		figures = append(figures, Figure{What: what, Unit: "MiB", X: float64(n), Roost: float64(ours) / mebibyte, Bare: float64(theirs) / mebibyte})
		if n > 0 {
			each := Figure{What: what + ", each", Unit: "bytes", X: float64(n), Roost: float64(ours-theirs) / float64(n), Bare: float64(len(text))}
			if n >= million {
				each.Limit.Most = perRegistration
			}
			figures = append(figures, each)
		}
		return nil
	}
	if err := compare("empty", 0, bare.cmd.Process.Pid); err != nil {
		return nil, err
	}
	there := 0
	for _, n := range scale(w.c.Scale, steps...) {
		w.c.Progress(fmt.Sprintf("P9: %d registrations", n))
		if err := errors.Join(w.populateFrom(ctx, w.scratch, there, n), b.fill(ctx, there, n)); err != nil {
			return nil, err
		}
		there = n
		if err := compare(fmt.Sprintf("%d registered", n), n, bare.cmd.Process.Pid); err != nil {
			return nil, err
		}
	}
	w.c.Progress("P9: restarting")
	if err := errors.Join(w.halt(), bare.close()); err != nil {
		return nil, err
	}
	if bare, err = w.store(ctx, dir); err != nil {
		return nil, err
	}
	if err := w.resume(ctx); err != nil {
		return nil, err
	}
	if n, err := w.count(w.scratch); err != nil || n != there {
		return nil, fmt.Errorf("%d registrations are there after a restart; want %d: %w", n, there, errors.Join(err, errWrongAnswer))
	}
	before := len(figures)
	err = compare(fmt.Sprintf("%d, restarted", there), there, bare.cmd.Process.Pid)
	for i := range figures[before:] {
		figures[before+i].Again = true
	}
	return figures, err
}

// ballast is a bucket like the registry's in a bare server, with the same values.
type ballast struct {
	w         *World
	bucket    string
	namespace string // of its keys
	js        jetstream.JetStream
	value     []byte
}

func (b *ballast) open(ctx context.Context, nc *nats.Conn) (err error) {
	config := natskv.DefaultConfig()
	config.Bucket, config.Prefix, config.Timeout = b.bucket, b.w.scratch, b.w.c.Timeout
	made, err := natskv.Open(ctx, nc, config)
	if err != nil {
		return err
	}
	if err := made.Close(); err != nil {
		return err
	}
	b.js, err = jetstream.New(nc)
	return err
}

// sample registers one instance for a moment to see what is stored of it, and returns its
// JSON.
func (b *ballast) sample(ctx context.Context) (text []byte, err error) {
	_, _, b.value, err = b.w.firstRegister()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.w.removeAll(ctx)) }()
	return b.w.ask(0, b.w.subjects.OfKey(bus.VerbLookup, b.w.firstKey()), []byte(`{"consistency":"linearizable"}`))
}

// fill creates the keys from the one on until there are n.
func (b *ballast) fill(ctx context.Context, from, n int) error {
	const window = 1024
	var pending []jetstream.PubAckFuture
	wait := func() error {
		for _, f := range pending {
			select {
			case <-f.Ok():
			case err := <-f.Err():
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		pending = pending[:0]
		return nil
	}
	for i := from; i < n; i++ {
		key := b.w.key(i)
		key.Namespace = b.namespace
		f, err := b.js.PublishMsgAsync(&nats.Msg{
			Subject: "$KV." + b.bucket + ".event." + key.String(), Data: b.value,
			Header: nats.Header{jetstream.ExpectedLastSubjSeqHeader: []string{"0"}},
		}, jetstream.WithStallWait(prepareTime))
		if err != nil {
			return err
		}
		if pending = append(pending, f); len(pending) == window {
			if err := wait(); err != nil {
				return err
			}
		}
	}
	return wait()
}
