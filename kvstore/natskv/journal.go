package natskv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/journal"
)

// JournalOf returns the name of the stream with the history beside a bucket. Its subjects
// begin as those of a bucket of that name would.
func JournalOf(bucket string) string { return bucket + "_history" }

// appendPatience is how long an append waits for its acknowledgement.
const appendPatience = 5 * time.Second

// Journal is a journal.Log in a stream beside a Store's bucket. The stream is made at the
// first use and again where it was deleted. It ends with the Store.
type Journal struct {
	store *Store
	age   time.Duration
	bytes int64
}

var _ journal.Log = (*Journal)(nil)

// Journal returns the journal beside the bucket, which keeps records for so long and so
// many bytes. It asks nobody.
func (s *Store) Journal(age time.Duration, bytes int64) *Journal {
	return &Journal{store: s, age: age, bytes: bytes}
}

func (j *Journal) prefix() string { return "$KV." + JournalOf(j.store.config.Bucket) + "." }

func (j *Journal) streamConfig() jetstream.StreamConfig {
	c := &j.store.config
	counters := c.counterConfig() // for where it is kept
	return jetstream.StreamConfig{
		Name:               JournalOf(c.Bucket),
		Description:        "Roost: history",
		Subjects:           []string{j.prefix() + ">"},
		Retention:          jetstream.LimitsPolicy,
		Discard:            jetstream.DiscardOld,
		Storage:            counters.Storage,
		Replicas:           counters.Replicas,
		Placement:          counters.Placement,
		MaxMsgs:            -1,
		MaxMsgsPerSubject:  -1,
		MaxAge:             j.age,
		MaxBytes:           j.bytes,
		MaxMsgSize:         -1,
		MaxConsumers:       -1,
		Duplicates:         min(2*time.Minute, j.age),
		AllowDirect:        true,
		AllowAtomicPublish: true,
	}
}

// stream returns the stream, which it makes if there is none and adjusts to how much is to
// be kept.
func (j *Journal) stream(ctx context.Context) (jetstream.Stream, error) {
	want := j.streamConfig()
	s, err := j.store.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if s, err = j.store.create(ctx, want); err == nil {
			j.store.log.LogAttrs(ctx, slog.LevelInfo, "history begins", slog.String("stream", want.Name))
		}
	}
	if err != nil {
		return nil, j.failed("look at the history", err)
	}
	is := s.CachedInfo().Config
	if is.MaxAge == want.MaxAge && is.MaxBytes == want.MaxBytes {
		return s, nil
	}
	is.MaxAge, is.MaxBytes, is.Duplicates = want.MaxAge, want.MaxBytes, want.Duplicates
	if s, err = j.store.js.UpdateStream(ctx, is); err != nil {
		return nil, j.failed("change how much history is kept", err)
	}
	return s, nil
}

func (j *Journal) failed(what string, err error) error {
	return fmt.Errorf("%s: %w: %w", what, kvstore.ErrUnavailable, err)
}

// Last implements [journal.Log].
func (j *Journal) Last(ctx context.Context) (journal.Place, error) {
	s, err := j.stream(ctx)
	if err != nil {
		return journal.Place{}, err
	}
	info, err := s.Info(ctx)
	if err != nil {
		return journal.Place{}, j.failed("look at the history", err)
	}
	if info.State.LastSeq == 0 {
		return journal.Place{}, nil
	}
	if info.State.Msgs == 0 {
		// Everything was forgotten: what is recorded next begins anew, behind it.
		return journal.Place{Sequence: position(info.State.LastSeq, 0)}, nil
	}
	m, err := s.GetMsg(ctx, info.State.LastSeq)
	if err != nil { // not found, too: a server that lags behind may have answered
		return journal.Place{}, j.failed("read the newest history", err)
	}
	return placeOf(m.Header, m.Sequence)
}

// Append implements [journal.Log].
func (j *Journal) Append(ctx context.Context, at journal.Place, records []journal.Record) (journal.Place, error) {
	if at.Sequence == 0 { // there may be no stream yet
		if _, err := j.stream(ctx); err != nil {
			return journal.Place{}, err
		}
	}
	messages := pack(j.store.config.publishTo(j.prefix()+packKey), records, j.packLimit())
	if len(messages) == 0 {
		return journal.Place{}, fmt.Errorf("record nothing: %w", kvstore.ErrInvalid)
	}
	messages[0].Header[headerExpectLast] = []string{strconv.FormatUint(at.Sequence>>positionBits, 10)}
	last := messages[0]
	if len(messages) > 1 {
		var err error
		if last, err = j.store.stageBatch(messages); err != nil {
			return journal.Place{}, j.failed("record history", err)
		}
	}
	wait := appendPatience
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(min(wait, time.Until(deadline)), time.Millisecond)
	}
	sequence, err := j.store.publish(ctx, last, wait)
	if err != nil {
		return journal.Place{}, j.refused(err)
	}
	return placeOf(last.Header, sequence)
}

// refused returns the error of an append. Where nothing came back it may have happened,
// which the next look at the stream tells.
func (j *Journal) refused(err error) error {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		if api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == codeInFlight {
			return fmt.Errorf("%w: %w", journal.ErrConflict, err)
		}
	}
	if errors.Is(err, errLost) {
		return fmt.Errorf("record history: %w: %w", kvstore.ErrUnknownOutcome, err)
	}
	return j.failed("record history", err)
}
