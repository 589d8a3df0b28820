package natskv

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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
		func(said *jetstream.APIError, lost bool) (uint64, error) {
			return s.resolveBatch(ctx, named, said, lost)
		})
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
	final, err := s.stageBatch(messages)
	if err != nil {
		return 0, err
	}
	return s.publish(ctx, final, wait)
}

// stageBatch sends all messages of a batch but the last, which it returns, and before
// which nothing of the batch happens.
func (s *Store) stageBatch(messages []*nats.Msg) (*nats.Msg, error) {
	id := []string{nuid.Next()}
	final := len(messages) - 1
	for i, m := range messages {
		m.Header[headerBatch] = id
		m.Header[headerBatchSeq] = []string{strconv.Itoa(i + 1)}
		if i == final {
			break
		}
		if err := s.nc.PublishMsg(m); err != nil {
			return nil, publishError(err)
		}
	}
	messages[final].Header[headerBatchDone] = []string{"1"}
	return messages[final], nil
}

// publishGroup sends messages once, as a batch, and returns the sequence of the last.
// published is called when messages are not used any more.
func (s *Store) publishGroup(messages []*nats.Msg, published func()) (uint64, error) {
	defer published()
	if !s.nc.IsConnected() {
		return 0, errNotSent // and not late, from the connection's own buffer
	}
	final, err := s.stageBatch(messages)
	if err != nil {
		return 0, err
	}
	last := &nats.Msg{Subject: final.Subject, Header: maps.Clone(final.Header), Data: bytes.Clone(final.Data)}
	published()
	return s.publish(context.Background(), last, patience) // Close ends it
}

// leaveBatch has m be sent by itself.
func leaveBatch(m *nats.Msg) {
	delete(m.Header, headerBatch)
	delete(m.Header, headerBatchSeq)
	delete(m.Header, headerBatchDone)
}

// resolveBatch looks for the first key that is not at its expected revision. Since a batch
// happens as a whole, what is true of that write is true of all. It returns the revision
// of the last.
func (s *Store) resolveBatch(ctx context.Context, writes []kvstore.Write, said *jetstream.APIError, lost bool) (uint64, error) {
	for i := range writes {
		revision, err := s.resolve(ctx, &writes[i], said, lost)
		if err == nil {
			return revision + uint64(len(writes)-1-i), nil //nolint:gosec // indices are small
		}
		if err != errAgain { //nolint:errorlint // resolve returns it as it is
			return 0, err
		}
	}
	return 0, errAgain
}
