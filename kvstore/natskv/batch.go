package natskv

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/roostbus/roost/kvstore"
)

// Batch applies writes, all or none, as one atomic publication.
func (s *Store) Batch(ctx context.Context, writes []kvstore.Write) ([]uint64, error) {
	if err := kvstore.CheckBatch(writes); err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	switch len(writes) {
	case 0:
		return nil, nil
	case 1: // costs less alone
		revision, err := s.Write(ctx, writes[0])
		return []uint64{revision}, err
	}
	named := make([]kvstore.Write, len(writes))
	messages := make([]*nats.Msg, len(writes))
	for i, w := range writes {
		if w.Operation == "" {
			w.Operation = nuid.Next()
		}
		named[i], messages[i] = w, s.message(&w)
	}
	last, err := s.deliver(ctx, "", false,
		func(wait time.Duration) (uint64, error) { return s.publishBatch(ctx, messages, wait) },
		func(lost bool) (uint64, error) { return s.resolveBatch(ctx, named, lost) })
	if err != nil {
		return nil, fmt.Errorf("batch of %d: %w", len(writes), err)
	}
	revisions := make([]uint64, len(writes))
	for i := range revisions {
		revisions[i] = last - uint64(len(writes)-1-i) //nolint:gosec // indices are small
	}
	return revisions, nil
}

// publishBatch sends messages once, as a batch with an id of its own, and returns the
// sequence of the last.
func (s *Store) publishBatch(ctx context.Context, messages []*nats.Msg, wait time.Duration) (uint64, error) {
	id := []string{nuid.Next()}
	final := len(messages) - 1
	for i, m := range messages {
		m.Header[headerBatch] = id
		m.Header[headerBatchSeq] = []string{strconv.Itoa(i + 1)}
		if i == final {
			break
		}
		// Nothing of a batch happens before its commit.
		if err := s.nc.PublishMsg(m); err != nil {
			return 0, publishError(err)
		}
	}
	messages[final].Header[headerBatchDone] = []string{"1"}
	return s.publish(ctx, messages[final], wait)
}

// resolveBatch looks for the first key that is not at its expected revision. Since a batch
// happens as a whole, what is true of that write is true of all. It returns the revision
// of the last.
func (s *Store) resolveBatch(ctx context.Context, writes []kvstore.Write, lost bool) (uint64, error) {
	for i := range writes {
		revision, err := s.resolve(ctx, &writes[i], lost)
		if err == nil {
			return revision + uint64(len(writes)-1-i), nil //nolint:gosec // indices are small
		}
		if err != errAgain { //nolint:errorlint // resolve returns it as it is
			return 0, err
		}
	}
	return 0, errAgain
}
