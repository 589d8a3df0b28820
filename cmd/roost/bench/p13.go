package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// queuedCell is P13.
func queuedCell() Cell {
	return Cell{
		ID: "P13", Unit: "hand-overs", JetStream: true,
		About: "from the sending of a release of a lock to the grant's arrival at the first of so many that wait, each under a lease of its own; " +
			"who has released comes to wait again, which is no part of the time, but of the CPU time and of the rate; one observer hears the announcements",
		Baseline: "a raw Update with a record of the same size, in a bucket like the registry's with one ordered consumer, and when it is acknowledged " +
			"one message to a subscriber; another Update for the one who comes; one observer hears the republished records",
		Prepare: prepareQueued,
	}
}

// tellTime is how much more time than the baseline a hand-over may take.
const tellTime = 2

// forever is longer than any wait.
const forever = time.Hour

func prepareQueued(ctx context.Context, w *World) ([]Case, error) {
	raw, err := w.newBucket(ctx)
	if err != nil {
		return nil, err
	}
	secrets, err := w.grant(ctx, w.c.Waiters+1, longLived)
	if err != nil {
		return nil, err
	}
	var cases []Case
	for i, n := range scale(w.c.Waiters, 1, 10, 64, 1000) {
		q, err := w.queue(ctx, i, secrets[:n+1])
		if err != nil {
			return nil, err
		}
		bare, err := w.bareQueue(ctx, raw, q)
		if err != nil {
			return nil, err
		}
		cases = append(cases, Case{
			What: fmt.Sprintf("%d waiters", n), InFlight: 1, X: float64(n), Budget: Budget{P50: tellTime},
			Roost: Side{Timed: q.handOver}, Bare: bare,
		})
	}
	return cases, nil
}

// scale returns those of steps that are below most, and most.
func scale(most int, steps ...int) []int {
	steps = slices.DeleteFunc(slices.Clone(steps), func(n int) bool { return n >= most })
	return append(steps, most)
}

// queue is a lock, its holder, and those who wait for it.
type queue struct {
	w                *World
	object           bus.Object
	acquire, release string
	inbox            string
	parties          []party
	holder           int // the next to be granted follows it
	granted          chan grant
	heard            chan []byte // announced records
	record, reply    []byte      // the newest; a grant's
	newest           string      // token
}

// party is one of those who wait.
type party struct{ wants, leaves []byte }

// grant is the reply to an acquire.
type grant struct {
	party int
	at    time.Time
	token string
	reply *nats.Msg
	err   error
}

// queue has a lock be held under the first of secrets and waited for under the others.
func (w *World) queue(ctx context.Context, n int, secrets []string) (*queue, error) {
	r := w.locked()
	o := bus.Object{Namespace: w.scratch, Name: "queue-" + strconv.Itoa(n)}
	q := &queue{
		w: w, object: o, inbox: w.clients[0].NewInbox() + ".",
		acquire: w.subjects.OfObject(r.kind, r.take, o), release: w.subjects.OfObject(r.kind, r.leave, o),
		granted: make(chan grant, len(secrets)), heard: make(chan []byte, 2*len(secrets)),
	}
	for _, s := range secrets {
		wants, err := waitBody(s, forever.Milliseconds())
		if err != nil {
			return nil, err
		}
		q.parties = append(q.parties, party{wants: wants, leaves: beatOne(s)})
	}
	err := errors.Join(
		w.listen(q.inbox+"*", func(m *nats.Msg) { q.granted <- grantOf(r, m, len(q.inbox)) }),
		w.listen(w.subjects.Announcement(r.kind, o), func(m *nats.Msg) { q.heard <- m.Data }),
	)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.c.Timeout+time.Minute)
	defer cancel()
	for i := range q.parties {
		if err := q.come(ctx, i); err != nil {
			return nil, err
		}
		if i == 0 {
			if _, err := q.served(ctx, 0); err != nil {
				return nil, err
			}
		}
	}
	return q, nil
}

// grantOf reads a reply to an acquire. Its subject ends with the number of the party.
func grantOf(r *role, m *nats.Msg, inbox int) grant {
	g := grant{at: time.Now(), reply: m}
	answer, err := answerOf(m)
	if err == nil {
		g.token, err = r.token(answer)
	}
	if g.party, g.err = strconv.Atoi(m.Subject[inbox:]); g.err == nil {
		g.err = err
	}
	return g
}

// come has a party acquire the lock, and waits until the record says so.
func (q *queue) come(ctx context.Context, party int) error {
	err := q.w.clients[0].PublishRequest(q.acquire, q.inbox+strconv.Itoa(party), q.parties[party].wants)
	return errors.Join(err, q.announced(ctx))
}

// announced waits for the next record.
func (q *queue) announced(ctx context.Context) error {
	select {
	case q.record = <-q.heard:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the record was not announced: %w", context.Cause(ctx))
	}
}

var errOutOfTurn = errors.New("a lock must be granted to those who wait in the order of their coming")

// served waits for the next grant, which must be a party's, and returns when that came.
func (q *queue) served(ctx context.Context, party int) (time.Time, error) {
	select {
	case g := <-q.granted:
		switch {
		case g.err != nil:
			return g.at, g.err
		case g.party != party:
			return g.at, fmt.Errorf("%d was served; want %d: %w", g.party, party, errOutOfTurn)
		case g.token <= q.newest:
			return g.at, fmt.Errorf("%s after %s: %w", g.token, q.newest, errOldToken)
		}
		q.newest, q.reply, q.holder = g.token, g.reply.Data, party
		return g.at, nil
	case <-ctx.Done():
		return time.Time{}, fmt.Errorf("%d was not served: %w", party, context.Cause(ctx))
	}
}

// handOver has the holder release the lock and come again.
func (q *queue) handOver(ctx context.Context, _ int) (int, []time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, q.w.c.Timeout)
	defer cancel()
	leaves := q.holder
	begun := time.Now()
	if _, err := q.w.ask(0, q.release, q.parties[leaves].leaves); err != nil {
		return 0, nil, err
	}
	at, err := q.served(ctx, (leaves+1)%len(q.parties))
	if err != nil {
		return 0, nil, err
	}
	if err := errors.Join(q.announced(ctx), q.come(ctx, leaves)); err != nil {
		return 0, nil, err
	}
	return 1, []time.Duration{at.Sub(begun)}, wrongUnless(bytes.Count(q.record, []byte(`"owner"`)) == len(q.parties))
}

// bareQueue is a side that does what a hand-over of q needs at least.
func (w *World) bareQueue(ctx context.Context, raw *bucket, q *queue) (Side, error) {
	published, err := bus.NewSubjects(w.scratch) // where newBucket has it republish
	if err != nil {
		return Side{}, err
	}
	heard, told := make(chan []byte, 4), make(chan time.Time, 1)
	subject := w.clients[0].NewInbox()
	err = errors.Join(
		w.listen(published.Announcement(bus.KindLock, q.object), func(m *nats.Msg) { heard <- m.Data }),
		w.listen(subject, func(*nats.Msg) { told <- time.Now() }),
	)
	if err != nil {
		return Side{}, err
	}
	observed := func(ctx context.Context) error {
		select {
		case got := <-heard:
			return wrongUnless(len(got) == len(q.record))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	record, err := raw.record(ctx, bus.KindLock, q.object, q.record)
	if err := errors.Join(err, observed(ctx)); err != nil {
		return Side{}, err
	}
	step := func(ctx context.Context, then func() error) error {
		if err := record.update(ctx, w, 0, q.record); err != nil {
			return err
		}
		if err := then(); err != nil {
			return err
		}
		return observed(ctx)
	}
	return Side{Timed: func(ctx context.Context, _ int) (int, []time.Duration, error) {
		ctx, cancel := context.WithTimeout(ctx, w.c.Timeout)
		defer cancel()
		var took time.Duration
		begun := time.Now()
		err := step(ctx, func() error {
			if err := w.clients[0].Publish(subject, q.reply); err != nil {
				return err
			}
			select {
			case at := <-told:
				took = at.Sub(begun)
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		if err == nil {
			err = step(ctx, func() error { return nil })
		}
		n, err := once(err)
		return n, []time.Duration{took}, err
	}}, nil
}
