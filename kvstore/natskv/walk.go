package natskv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/roostbus/roost/kvstore"
)

// walk finds what is too much for pieces, too: a consumer shows the whole bucket, one
// message after the other. It has no filter, since with one the server looks through all
// subjects for every message where much has been deleted in between.
//
// What changes while the consumer is under way has gone from where it was before the
// consumer comes there, and is behind it: whenever one stops, something may be missing,
// and what the server says of how much is pending does not tell. So the last step, from
// where the consumer is to the end, is asked for at once, of a server that has seen a
// probe which was written afterwards.
func (s *Store) walk(ctx context.Context, patterns []string, atLeast uint64) (kvstore.Scanned, error) {
	consumer, err := s.walker(ctx)
	if err != nil {
		return kvstore.Scanned{}, err
	}
	defer s.dismiss(ctx, consumer)
	w := &walking{
		prefix: len(s.config.subjectPrefix()), patterns: patterns, entries: map[string]kvstore.Entry{},
		come: make(chan struct{}, 1), broken: make(chan error, 1),
	}
	pull, err := consumer.Consume(w.receive,
		jetstream.PullMaxMessagesWithBytesLimit(pullMessages, pullBytes),
		jetstream.PullThresholdMessages(pullMessages/2),
		jetstream.PullHeartbeat(heartbeat),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { w.fail(err) }))
	if err != nil {
		return kvstore.Scanned{}, fmt.Errorf("consume: %w", err)
	}
	defer pull.Stop()
	for {
		if err := s.approach(ctx, w, atLeast); err != nil {
			return kvstore.Scanned{}, err
		}
		scanned, err := s.finish(ctx, w)
		if !errors.Is(err, errMany) {
			return scanned, err
		}
		w.goOn()
	}
}

func (s *Store) walker(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	c, err := s.js.CreateConsumer(ctx, s.config.stream(), jetstream.ConsumerConfig{
		Name:              "scan-" + s.config.Node + "-" + nuid.Next(),
		AckPolicy:         jetstream.AckNonePolicy,
		DeliverPolicy:     jetstream.DeliverAllPolicy, // the bucket keeps the last one per subject only
		InactiveThreshold: inactive,
		MemoryStorage:     true,
		Replicas:          1,
	})
	if err != nil {
		return nil, fmt.Errorf("make a consumer: %w", err)
	}
	return c, nil
}

// dismiss deletes a consumer, on a best effort: the server does so by itself before long.
func (s *Store) dismiss(ctx context.Context, c jetstream.Consumer) {
	if !s.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiTimeout/2)
	defer cancel()
	_ = s.js.DeleteConsumer(ctx, s.config.stream(), c.CachedInfo().Name)
}

// approach waits until w has come to a probe that is written now.
func (s *Store) approach(ctx context.Context, w *walking, atLeast uint64) error {
	target, err := s.Barrier(ctx)
	if err != nil {
		return err
	}
	if target < atLeast {
		return fmt.Errorf("%w: the bucket is at %d, not %d", errBehind, target, atLeast)
	}
	w.aim(target)
	timer := time.NewTimer(apiTimeout) // for one message
	defer timer.Stop()
	for before := uint64(0); ; {
		select {
		case <-w.come:
			return nil
		case err := <-w.broken:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
		at := w.place()
		if at == before {
			return errStuck
		}
		before = at
		timer.Reset(apiTimeout)
	}
}

// maxStep is the greatest number of messages between a consumer and the end that are asked
// for at once.
const maxStep = 1000

// finish asks for everything behind w, which stands, and returns the whole.
func (s *Store) finish(ctx context.Context, w *walking) (kvstore.Scanned, error) {
	probe, err := s.Barrier(ctx)
	if err != nil {
		return kvstore.Scanned{}, err
	}
	a, err := s.asker.ask(ctx, question{Next: s.config.subjectPrefix() + ">", Sequence: w.place() + 1, Batch: maxStep})
	if err != nil {
		return kvstore.Scanned{}, err
	}
	if a.upTo < probe {
		return kvstore.Scanned{}, fmt.Errorf("%w: to %d, not %d", errBehind, a.upTo, probe)
	}
	entries, err := s.entries(a)
	if err != nil {
		return kvstore.Scanned{}, err
	}
	return w.with(entries, a.upTo), nil
}

// walking is what a consumer has shown. It stands when it has come to its aim: what is
// shown then is put aside.
type walking struct {
	prefix   int
	patterns []string
	come     chan struct{}
	broken   chan error

	mu       sync.Mutex
	stands   bool
	aimed    uint64
	delivery uint64
	last     uint64
	entries  map[string]kvstore.Entry
	aside    []kvstore.Entry
}

func (w *walking) fail(err error) {
	select {
	case w.broken <- err:
	default:
	}
}

func (w *walking) receive(m jetstream.Msg) {
	place, ok := parsePlace(m.Reply())
	w.mu.Lock()
	defer w.mu.Unlock()
	if !ok || place.delivery != w.delivery+1 {
		w.fail(errGap)
		return
	}
	w.delivery = place.delivery
	e := decode(m.Subject()[w.prefix:], m.Headers(), bytes.Clone(m.Data()), place.sequence, place.at)
	if w.stands {
		w.aside = append(w.aside, e.Entry)
		return
	}
	w.show(e.Entry)
}

// show takes in the next entry. w.mu is held.
func (w *walking) show(e kvstore.Entry) {
	if w.last = e.Revision; kvstore.MatchesAny(w.patterns, e.Key) {
		w.entries[e.Key] = e
	}
	w.arrive()
}

// arrive has w stand if it has come to its aim. w.mu is held.
func (w *walking) arrive() {
	if w.aimed != 0 && w.last >= w.aimed {
		w.stands = true
		w.come <- struct{}{}
	}
}

// aim says how far w is to go.
func (w *walking) aim(at uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.aimed = at
	w.arrive()
}

// goOn has w go on to another aim.
func (w *walking) goOn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stands, w.aimed = false, 0
	for _, e := range w.aside {
		w.show(e)
	}
	w.aside = nil
}

// place returns the revision of what was shown last.
func (w *walking) place() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// with returns what was shown and what came behind it, up to a revision.
func (w *walking) with(behind []kvstore.Entry, upTo uint64) kvstore.Scanned {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range behind {
		w.entries[e.Key] = e
	}
	scanned := kvstore.Scanned{Entries: make([]kvstore.Entry, 0, len(w.entries)), Revision: upTo}
	for _, e := range w.entries {
		scanned.Entries = append(scanned.Entries, e)
	}
	return scanned
}
