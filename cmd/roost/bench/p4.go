package bench

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// bulkCell is P4.
func bulkCell() Cell {
	return Cell{
		ID: "P4", Unit: "registrations",
		About:     "bulk register of new, permanent instances by batches, not atomic; batches in flight",
		Baseline:  "pipelined raw creates (PublishAsync, expected sequence 0), as many at once, in a bucket like the registry's, with one ordered consumer",
		JetStream: true,
		Prepare:   prepareBulk,
	}
}

func prepareBulk(ctx context.Context, w *World) ([]Case, error) {
	w.cleanups = append(w.cleanups, w.removeAll)
	first, _, stored, err := w.firstRegister()
	if err != nil {
		return nil, err
	}
	raw, err := w.newBucket(ctx)
	if err != nil {
		return nil, err
	}
	var registered, created counter
	registered.written.Add(int64(first))
	w.check(func(ctx context.Context) error {
		return untilSeen(ctx, func() error { return registered.compare(w.count(w.scratch)) })
	})
	w.check(func(ctx context.Context) error { return created.compare(raw.count(ctx)) })
	subject, size := w.batchSubject(w.scratch), w.c.BatchSize
	roost := Side{Do: func(_ context.Context, worker int) (int, error) {
		answer, err := w.ask(worker, subject, w.batchBody(make([]byte, 0, 200*size), registered.take(size), size))
		if err == nil {
			err = checkBatch(answer, size)
		}
		return registered.add(size, err)
	}}
	var cases []Case
	for _, k := range []Case{{InFlight: 1}, {InFlight: 4, Budget: Budget{Rate: 0.60}}, {InFlight: 16, Budget: Budget{Rate: 0.60}}} {
		k.Roost = roost
		k.Bare = w.pipelined(raw, &created, stored, k.InFlight)
		cases = append(cases, k)
	}
	return cases, nil
}

// pipelined is a side that creates keys, a batch's worth with each call, and waits for
// the batch before.
func (w *World) pipelined(raw *bucket, created *counter, value []byte, inFlight int) Side {
	size := w.c.BatchSize
	pending := make([][]jetstream.PubAckFuture, inFlight)
	wait := func(ctx context.Context, worker int) (n int, err error) {
		for _, f := range pending[worker] {
			select {
			case <-f.Ok():
				n++
			case e := <-f.Err():
				err = e
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		}
		failed := len(pending[worker]) - n
		pending[worker] = nil
		created.written.Add(int64(n))
		created.doubtful.Add(int64(failed))
		if err != nil {
			err = fmt.Errorf("%d of %d creates: %w", failed, size, err)
		}
		return n, err
	}
	return Side{
		Do: func(ctx context.Context, worker int) (int, error) {
			first := created.take(size)
			next := make([]jetstream.PubAckFuture, 0, size)
			for n := first; n < first+size; n++ {
				m := &nats.Msg{
					Subject: raw.subject("event." + w.key(n).String()), Data: value,
					Header: nats.Header{jetstream.ExpectedLastSubjSeqHeader: []string{"0"}},
				}
				f, err := raw.js(worker).PublishMsgAsync(m, jetstream.WithStallWait(w.c.Timeout))
				if err != nil {
					created.doubtful.Add(1)
					pending[worker] = append(pending[worker], next...)
					return 0, err
				}
				next = append(next, f)
			}
			n, err := wait(ctx, worker)
			pending[worker] = next
			return n, err
		},
		Finish: wait,
	}
}
