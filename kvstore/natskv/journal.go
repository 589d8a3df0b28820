package natskv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/journal"
)

// JournalOf returns the name of the stream with the history beside a bucket. Its subjects
// begin as those of a bucket of that name would.
func JournalOf(bucket string) string { return bucket + "_history" }

// The headers of a record.
const (
	headerKind         = "Roost-History"
	headerEpoch        = "Roost-Epoch"
	headerGeneration   = "Roost-Generation"
	headerRevision     = "Roost-Revision"
	headerRecordedTime = "Roost-Time"
	headerRemoved      = "Roost-Removed"
	headerFrom         = "Roost-From"
	headerTo           = "Roost-To"

	headerExpectLast = "Nats-Expected-Last-Sequence"
)

// marks is the key of records that are not of a change.
const markKey = "_mark"

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
	m, err := s.GetMsg(ctx, info.State.LastSeq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		// Everything was forgotten: what is recorded next begins anew, behind it.
		return journal.Place{Sequence: info.State.LastSeq}, nil
	}
	if err != nil {
		return journal.Place{}, j.failed("read the newest history", err)
	}
	r, err := j.decode(m.Subject, m.Header, m.Data, m.Sequence)
	return journal.PlaceOf(&r), err
}

// Append implements [journal.Log].
func (j *Journal) Append(ctx context.Context, at journal.Place, records []journal.Record) (journal.Place, error) {
	if at.Sequence == 0 { // there may be no stream yet
		if _, err := j.stream(ctx); err != nil {
			return journal.Place{}, err
		}
	}
	id, final := nuid.Next(), len(records)-1
	for i := range records {
		m := j.message(&records[i])
		if i == 0 {
			m.Header[headerExpectLast] = []string{strconv.FormatUint(at.Sequence, 10)}
		}
		if final > 0 {
			m.Header[headerBatch] = []string{id}
			m.Header[headerBatchSeq] = []string{strconv.Itoa(i + 1)}
		}
		if i < final {
			if err := j.store.nc.PublishMsg(m); err != nil {
				return journal.Place{}, j.failed("record history", err)
			}
			continue
		}
		if final > 0 {
			m.Header[headerBatchDone] = []string{"1"}
		}
		patience := 5 * time.Second
		if deadline, ok := ctx.Deadline(); ok {
			patience = min(patience, time.Until(deadline))
		}
		sequence, err := j.store.publish(ctx, m, patience)
		if err != nil {
			return journal.Place{}, j.refused(err)
		}
		last := records[final]
		last.Sequence = sequence
		return journal.PlaceOf(&last), nil
	}
	return journal.Place{}, fmt.Errorf("record nothing: %w", kvstore.ErrInvalid)
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

func (j *Journal) message(r *journal.Record) *nats.Msg {
	h := nats.Header{
		headerKind: {string(r.Kind)}, headerEpoch: {strconv.FormatUint(uint64(r.Epoch), 10)},
		headerGeneration: {string(r.Generation)}, headerRevision: {strconv.FormatUint(r.Revision, 10)},
		headerRecordedTime: {r.Time.UTC().Format(time.RFC3339Nano)},
	}
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{value}
		}
	}
	set(HeaderOperation, r.Operation)
	set(HeaderEvent, r.Event)
	set(HeaderReason, r.Reason)
	if r.Removed {
		set(headerRemoved, "1")
	}
	key := r.Key
	if r.Kind != journal.Change {
		key = markKey
		set(headerFrom, strconv.FormatUint(r.From, 10))
		set(headerTo, strconv.FormatUint(r.To, 10))
	}
	return &nats.Msg{Subject: j.store.config.publishTo(j.prefix() + key), Header: h, Data: r.Value}
}

func (j *Journal) decode(subject string, h nats.Header, value []byte, sequence uint64) (journal.Record, error) {
	number := func(name string) uint64 {
		n, _ := parseNumber(first(h, name))
		return n
	}
	r := journal.Record{
		Kind: journal.Kind(first(h, headerKind)), Epoch: uint32(number(headerEpoch)), //nolint:gosec // as it was written
		Generation: kvstore.Generation(first(h, headerGeneration)), From: number(headerFrom), To: number(headerTo), Sequence: sequence,
		Entry: kvstore.Entry{
			Value: value, Revision: number(headerRevision), Removed: first(h, headerRemoved) != "",
			Labels: kvstore.Labels{Operation: first(h, HeaderOperation), Event: first(h, HeaderEvent), Reason: first(h, HeaderReason)},
		},
	}
	var err error
	if r.Time, err = time.Parse(time.RFC3339Nano, first(h, headerRecordedTime)); err != nil || r.Kind == "" {
		return r, fmt.Errorf("message %d of the history is no record: %w", sequence, kvstore.ErrInvalid)
	}
	if r.Kind == journal.Change {
		r.Key = subject[len(j.prefix()):]
	}
	return r, nil
}
