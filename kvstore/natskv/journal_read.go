package natskv

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/kvstore/journal"
)

// Read implements [journal.Log], with a consumer that lives for as long as the call.
func (j *Journal) Read(ctx context.Context, r journal.Range) (page journal.Page, err error) {
	s, err := j.stream(ctx)
	if err != nil {
		return page, err
	}
	if page.First, err = j.oldest(ctx, s); err != nil || page.First == nil {
		return page, err
	}
	config := jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: 30 * time.Second,
		DeliverPolicy: jetstream.DeliverAllPolicy,
	}
	if r.Pattern != "" && r.Pattern != ">" {
		config.FilterSubjects = []string{j.prefix() + r.Pattern, j.prefix() + markKey}
	}
	switch {
	case r.After > 0:
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, r.After+1
	case !r.Since.IsZero():
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &r.Since
	}
	consumer, err := s.CreateConsumer(ctx, config)
	if err != nil {
		return page, j.failed("read history", err)
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = s.DeleteConsumer(end, consumer.CachedInfo().Name) // else it goes by itself
	}()
	for left := consumer.CachedInfo().NumPending; left > 0; {
		// Not more than there are: a fetch waits for all that it asks for.
		batch, err := consumer.Fetch(min(r.Limit-len(page.Records)+1, 1000, int(min(left, 1000))), jetstream.FetchMaxWait(2*time.Second)) //nolint:gosec // small
		if err != nil {
			return page, j.failed("read history", err)
		}
		got := 0
		for m := range batch.Messages() {
			got++
			meta, err := m.Metadata()
			if err != nil {
				return page, j.failed("read history", err)
			}
			left = meta.NumPending
			if len(page.Records) == r.Limit { // there is one more
				page.Next = page.Records[r.Limit-1].Sequence
				left = 0
				break
			}
			one, err := j.decode(m.Subject(), m.Headers(), m.Data(), meta.Sequence.Stream)
			switch {
			case err != nil:
				j.store.log.LogAttrs(ctx, slog.LevelWarn, "message of the history is no record", slog.Any("err", err))
			case one.Kind != journal.Alive && (r.Since.IsZero() || !one.Time.Before(r.Since)):
				page.Records = append(page.Records, one)
			}
		}
		if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, jetstream.ErrNoMessages) {
			return page, j.failed("read history", err)
		}
		if got == 0 && left > 0 {
			return page, j.failed("read history", nats.ErrTimeout)
		}
	}
	return page, nil
}

// oldest returns the first record that is left, nil if there is none.
func (j *Journal) oldest(ctx context.Context, s jetstream.Stream) (*journal.Record, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return nil, j.failed("look at the history", err)
	}
	if info.State.Msgs == 0 {
		return nil, nil //nolint:nilnil // there is none
	}
	m, err := s.GetMsg(ctx, info.State.FirstSeq)
	if err != nil {
		return nil, j.failed("read the oldest history", err) // it was forgotten just now
	}
	r, err := j.decode(m.Subject, m.Header, m.Data, m.Sequence)
	return &r, err
}
