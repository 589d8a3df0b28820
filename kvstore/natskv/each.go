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
	var landed []landing
	if err := s.publisher.connected(ctx); err == nil && ctx.Err() == nil {
		landed = s.publisher.requestEach(ctx, messages, eachWindow, patience)
	}
	var again sync.WaitGroup
	hands := make(chan struct{}, eachAgain)
	for n, i := range indices {
		first := errNotSent
		if landed != nil {
			if results[i].Revision, first = landed[n].revision(); first == nil {
				continue
			}
		}
		hands <- struct{}{}
		again.Go(func() {
			defer func() { <-hands }()
			results[i].Revision, results[i].Err = s.goOn(ctx, &named[n], messages[n], first)
		})
	}
	again.Wait()
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

// goOn is Write of w, as m, whose first try has come to err.
func (s *Store) goOn(ctx context.Context, w *kvstore.Write, m *nats.Msg, err error) (uint64, error) {
	_, isAPI := errors.AsType[*jetstream.APIError](err)
	final := isAPI || errors.Is(err, kvstore.ErrTooLarge)
	lost := !final && !errors.Is(err, errNotSent) && !errors.Is(err, kvstore.ErrClosed)
	send := func(wait time.Duration) (uint64, error) {
		if final {
			final = false
			return 0, err
		}
		return s.publish(ctx, m, wait)
	}
	revision, err2 := s.deliver(ctx, w.Key, lost, send, func(lost bool) (uint64, error) { return s.resolve(ctx, w, lost) })
	if err2 != nil {
		return 0, fmt.Errorf("write %s: %w", w.Key, err2)
	}
	return revision, nil
}
