package natskv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/kvstore"
)

var _ kvstore.Pipeliner = (*Store)(nil)

const (
	// eachWindow is how many messages of one WriteEach are in the air at once. The stream
	// takes ten thousand of all together before it refuses more.
	eachWindow = 512
	// eachAgain is how many of those that did not succeed at once are settled at once.
	eachAgain = 64
)

// WriteEach implements [kvstore.Pipeliner]: every write is sent, then every acknowledgement
// awaited. What does not succeed in this way goes the way of Write from there.
func (s *Store) WriteEach(ctx context.Context, writes []kvstore.Write) []kvstore.Written {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	results := make([]kvstore.Written, len(writes))
	named := make([]kvstore.Write, 0, len(writes))
	messages := make([]*nats.Msg, 0, len(writes))
	indices := make([]int, 0, len(writes))
	for i, w := range writes {
		m, err := s.prepare(&w)
		if err != nil {
			results[i].Err = err
			continue
		}
		named, messages, indices = append(named, w), append(messages, m), append(indices, i)
	}
	first := s.sendEach(ctx, named, messages)
	var again sync.WaitGroup
	hands := make(chan struct{}, eachAgain)
	for n, i := range indices {
		if first[n].err == nil {
			results[i].Revision = first[n].revision
			continue
		}
		hands <- struct{}{}
		again.Go(func() {
			defer func() { <-hands }()
			results[i].Revision, results[i].Err = s.goOn(ctx, &named[n], messages[n], first[n].err)
		})
	}
	again.Wait()
	return results
}

// sendEach sends every message once and returns what came of it.
func (s *Store) sendEach(ctx context.Context, writes []kvstore.Write, messages []*nats.Msg) []outcome {
	results := make([]outcome, len(messages))
	joined := s.group != nil && s.group.writeEach(ctx, writes, messages, results)
	rest, indices := make([]*nats.Msg, 0, len(messages)), make([]int, 0, len(messages))
	for i, m := range messages {
		if joined {
			leaveBatch(m)
		}
		if !joined || errors.Is(results[i].err, errAlone) {
			results[i].err = errNotSent
			rest, indices = append(rest, m), append(indices, i)
		}
	}
	if len(rest) == 0 || s.publisher.connected(ctx) != nil || ctx.Err() != nil {
		return results
	}
	if s.group != nil {
		defer s.group.begin(len(rest))()
	}
	for n, l := range s.publisher.requestEach(ctx, rest, eachWindow, patience) {
		results[indices[n]].revision, results[indices[n]].err = l.revision()
	}
	return results
}

// revision returns what the message made.
func (l *landing) revision() (uint64, error) {
	if l.err != nil {
		return 0, l.err
	}
	answer, err := answered(l.answer)
	if err != nil {
		return 0, err
	}
	return parseAck(answer.Data)
}

// goOn is Write of w, as m, whose first try has come to err, if there was one.
func (s *Store) goOn(ctx context.Context, w *kvstore.Write, m *nats.Msg, err error) (uint64, error) {
	_, isAPI := errors.AsType[*jetstream.APIError](err)
	final := isAPI || errors.Is(err, kvstore.ErrTooLarge)
	lost := err != nil && !final && !errors.Is(err, errNotSent) && !errors.Is(err, kvstore.ErrClosed)
	send := func(wait time.Duration) (uint64, error) {
		if final {
			final = false
			return 0, err
		}
		return s.publish(ctx, m, wait)
	}
	revision, err2 := s.deliver(ctx, w.Key, lost, send, func(said *jetstream.APIError, lost bool) (uint64, error) { return s.resolve(ctx, w, said, lost) })
	if err2 != nil {
		return 0, fmt.Errorf("write %s: %w", w.Key, err2)
	}
	return revision, nil
}
