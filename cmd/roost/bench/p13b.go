package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/bus"
)

// contendedCell is P13b.
func contendedCell() Cell {
	return Cell{
		ID: "P13b", Unit: "hand-overs", JetStream: true,
		About: fmt.Sprintf("acquire and release of one lock by %d at once, which wait in the registry's queue; "+
			"that they are served in the order of their coming is read in the announced records", contenders),
		Baseline: "a loop without polling on a bucket like the registry's, with one ordered consumer: Create of one key, and where it is there, " +
			"a wait for a watch's word that it was deleted; in no order",
		Prepare: prepareContended,
	}
}

const (
	contenders = 8
	// enoughTurns is how many hand-overs a second there must be.
	enoughTurns = 5000
)

func prepareContended(ctx context.Context, w *World) ([]Case, error) {
	raw, err := w.newBucket(ctx)
	if err != nil {
		return nil, err
	}
	secrets, err := w.grant(ctx, contenders, longLived)
	if err != nil {
		return nil, err
	}
	r, o := w.locked(), bus.Object{Namespace: w.scratch, Name: "contended"}
	acquire, release := w.subjects.OfObject(r.kind, r.take, o), w.subjects.OfObject(r.kind, r.leave, o)
	parties := make([]party, contenders)
	for i, s := range secrets {
		wants, err := waitBody(s, w.c.Timeout.Milliseconds())
		if err != nil {
			return nil, err
		}
		parties[i] = party{wants: wants, leaves: beatOne(s)}
	}
	if err := w.inOrder(o); err != nil {
		return nil, err
	}
	var ours, theirs alone
	newest := ""
	roost := Side{Do: func(_ context.Context, worker int) (int, error) {
		answer, err := w.ask(worker, acquire, parties[worker].wants)
		if err != nil {
			return 0, err
		}
		token, err := r.token(answer)
		if err != nil {
			return 0, err
		}
		err = ours.is(func() error { // newest needs no other lock than this one
			if token <= newest {
				return fmt.Errorf("%s after %s: %w", token, newest, errOldToken)
			}
			newest = token
			return nil
		})
		_, problem := w.ask(worker, release, parties[worker].leaves)
		return once(err, problem)
	}}
	free, err := w.freed(ctx, raw)
	if err != nil {
		return nil, err
	}
	bare := Side{Do: func(ctx context.Context, worker int) (int, error) {
		ctx, cancel := context.WithTimeout(ctx, w.c.Timeout)
		defer cancel()
		for {
			_, err := raw.kv(worker).Create(ctx, contendedKey, []byte(secrets[worker]))
			if err == nil {
				break
			}
			if !errors.Is(err, jetstream.ErrKeyExists) {
				return 0, err
			}
			select {
			case <-free[worker]:
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
		}
		err := theirs.is(func() error { return nil })
		return once(err, raw.kv(worker).Delete(ctx, contendedKey))
	}}
	return []Case{{InFlight: contenders, Roost: roost, Bare: bare, Budget: Budget{PerSecond: enoughTurns}}}, nil
}

const contendedKey = "announce.lock.bench.contended"

// freed returns, for each contender, what tells that the key may have been deleted.
func (w *World) freed(ctx context.Context, raw *bucket) ([]chan struct{}, error) {
	free := make([]chan struct{}, contenders)
	for i := range free {
		watcher, err := raw.kv(i).Watch(ctx, contendedKey, jetstream.UpdatesOnly())
		if err != nil {
			return nil, err
		}
		w.afterwards(watcher.Stop)
		free[i] = make(chan struct{}, 1)
		go func() { // ends with the watch
			for e := range watcher.Updates() {
				if e == nil || e.Operation() == jetstream.KeyValuePut {
					continue
				}
				select {
				case free[i] <- struct{}{}:
				default:
				}
			}
		}()
	}
	return free, nil
}

// alone notices when two are where only one may be.
type alone struct{ inside atomic.Int32 }

var errNotAlone = errors.New("two hold the lock at once")

// is carries out f, which must be called by one at a time.
func (a *alone) is(f func() error) error {
	defer a.inside.Add(-1)
	if a.inside.Add(1) != 1 {
		return errNotAlone
	}
	return f()
}

// inOrder has the records of a lock be looked at while the cell is measured: who waits
// must be granted in the order of coming.
func (w *World) inOrder(o bus.Object) error {
	var mu sync.Mutex
	var line []string
	var wrong error
	heard := 0
	w.check(func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if heard == 0 {
			return fmt.Errorf("no record of the lock was announced: %w", errWrongAnswer)
		}
		return wrong
	})
	return w.listen(w.subjects.Announcement(bus.KindLock, o), func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		heard++
		next := lineOf(m.Data)
		if wrong == nil && !follows(line, next) {
			wrong = fmt.Errorf("after %v came %v: %w", line, next, errOutOfTurn)
		}
		line = next
	})
}
