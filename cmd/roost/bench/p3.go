package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// registerCell is P3.
func registerCell() Cell {
	return Cell{
		ID: "P3", Unit: "registers",
		About:     "register of a new, permanent instance",
		Baseline:  "an echo with replies of the same size, then a raw Create in a bucket like the registry's, with one ordered consumer",
		JetStream: true,
		Prepare:   prepareRegister,
		Curved:    func(c *Config, n int) { c.present = n },
	}
}

func prepareRegister(ctx context.Context, w *World) ([]Case, error) {
	roost, _, bare, err := w.registers(ctx, 1)
	if err != nil {
		return nil, err
	}
	return []Case{
		{InFlight: 1, OnCurve: true, Roost: roost, Bare: bare, Budget: Budget{P50: 1.6}},
		{InFlight: 16, Roost: roost, Bare: bare},
		{InFlight: 64, OnCurve: true, Roost: roost, Bare: bare, Budget: Budget{Rate: 0.65}},
		{InFlight: 256, Roost: roost, Bare: bare},
	}, nil
}

// registers are the sides that register new instances, that create as many raw keys, and
// that have an echo before each of these. The raw bucket has so many replicas.
func (w *World) registers(ctx context.Context, replicas int) (roost, raw, echoed Side, err error) {
	w.cleanups = append(w.cleanups, w.removeAll)
	first, size, stored, err := w.firstRegister()
	if err != nil {
		return roost, raw, echoed, err
	}
	made, err := w.newReplicated(ctx, replicas)
	if err != nil {
		return roost, raw, echoed, err
	}
	echo, answer, err := w.echo(size)
	if err != nil {
		return roost, raw, echoed, err
	}
	if err := w.crowded(ctx, made, stored); err != nil {
		return roost, raw, echoed, err
	}
	var registered, created counter
	created.written.Add(int64(w.c.present))
	registered.written.Add(int64(first))
	w.check(func(ctx context.Context) error {
		return untilSeen(ctx, func() error { return registered.compare(w.count(w.scratch)) })
	})
	w.check(func(ctx context.Context) error { return created.compare(made.count(ctx)) })
	body := []byte("{" + content + "}")
	roost = Side{Do: func(_ context.Context, worker int) (int, error) {
		key := w.key(registered.next())
		return registered.add(1, w.register(worker, key, body))
	}}
	create := func(ctx context.Context, worker int, key string) (int, error) {
		ctx, cancel := context.WithTimeout(ctx, w.c.Timeout)
		defer cancel()
		_, err := made.kv(worker).Create(ctx, "event."+key, stored)
		return created.add(1, err)
	}
	raw = Side{Do: func(ctx context.Context, worker int) (int, error) {
		return create(ctx, worker, w.key(created.next()).String())
	}}
	echoed = Side{Do: func(ctx context.Context, worker int) (int, error) {
		key := w.key(created.next()).String()
		if got, err := w.ask(worker, echo+"."+key, body); err != nil || !bytes.Equal(got, answer) {
			return created.add(0, errors.Join(err, wrongUnless(bytes.Equal(got, answer))))
		}
		return create(ctx, worker, key)
	}}
	return roost, raw, echoed, nil
}

// crowded has as many registrations be there as are to be before others are made, and as
// many keys in a bucket.
func (w *World) crowded(ctx context.Context, made *bucket, value []byte) error {
	if w.c.present == 0 {
		return nil
	}
	there := w.scratch + "-there"
	b := ballast{w: w, bucket: made.name, namespace: there, js: made.streams[0], value: value}
	return errors.Join(w.populateAs(ctx, there, w.c.present), b.fill(ctx, 0, w.c.present))
}

// firstKey is that of the instance that firstRegister registers.
func (w *World) firstKey() backend.Key {
	return backend.Key{Namespace: w.scratch, Service: "first", Instance: "i-0"}
}

// firstRegister registers one instance, and returns how large the reply was and what is
// stored of such a registration.
func (w *World) firstRegister() (n, size int, stored []byte, err error) {
	key := w.firstKey()
	m, err := w.clients[0].Request(w.subjects.OfKey(bus.VerbRegister, key), []byte("{"+content+"}"), w.c.Timeout)
	if err != nil {
		return 0, 0, nil, err
	}
	answer, err := answerOf(m)
	if err != nil {
		return 0, 0, nil, err
	}
	r, err := backend.ParseRegistration(answer)
	if err != nil {
		return 0, 0, nil, err
	}
	if r.Key != key || !bytes.Contains(answer, []byte(content)) {
		return 0, 0, nil, fmt.Errorf("a register of %s was answered with %s", key, answer)
	}
	r.CreatedRevision = 0
	return 1, sizeOf(m), r.AppendStored(nil), nil
}

// register registers key and checks that the answer is about it.
func (w *World) register(worker int, key backend.Key, body []byte) error {
	answer, err := w.ask(worker, w.subjects.OfKey(bus.VerbRegister, key), body)
	if err != nil {
		return err
	}
	var room [160]byte
	want := append(append(append(room[:0], `{"namespace":"`...), key.Namespace...), `","service":"`...)
	want = append(append(append(want, key.Service...), `","instance":"`...), key.Instance...)
	return wrongUnless(bytes.HasPrefix(answer, want) && bytes.Contains(answer, revisionField))
}

var revisionField = []byte(`"revision":`)

func wrongUnless(right bool) error {
	if right {
		return nil
	}
	return errWrongAnswer
}
