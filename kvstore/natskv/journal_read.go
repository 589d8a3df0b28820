package natskv

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/journal"
)

const (
	// readBytes is how much of the history is asked for at a time, about.
	readBytes = 4 << 20
	// scanBytes is how much of it one page is looked for in.
	scanBytes = 64 << 20
	// firstFetch is how many messages are asked for before it is known how large they are.
	firstFetch = 16
	// readPatience is how long a reader waits for what it has asked for.
	readPatience = 2 * time.Second
)

// Read implements [journal.Log], with a consumer that lives for as long as the call. Packs
// are read whole, whatever is wanted of them, and a page ends where it has taken scanBytes.
func (j *Journal) Read(ctx context.Context, r journal.Range) (page journal.Page, err error) {
	s, err := j.stream(ctx)
	if err != nil {
		return page, err
	}
	if page.First, err = j.oldest(ctx, s); err != nil || page.First == nil {
		return page, err
	}
	consumer, err := s.CreateConsumer(ctx, j.readerConfig(&r))
	if err != nil {
		return page, j.failed("read history", err)
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = s.DeleteConsumer(end, consumer.CachedInfo().Name) // else it goes by itself
	}()
	read := reading{wanted: &r, page: &page}
	for left, n := consumer.CachedInfo().NumPending, firstFetch; left > 0 && !read.full; {
		// Not more than there are: a fetch waits for all that it asks for.
		n = min(n, r.Limit-len(page.Records)+1, pullMessages, int(min(left, pullMessages))) //nolint:gosec // small
		batch, err := consumer.Fetch(n, jetstream.FetchMaxWait(readPatience))
		if err != nil {
			return page, j.failed("read history", err)
		}
		got, most := 0, 1
		for m := range batch.Messages() {
			place, ok := parsePlace(m.Reply())
			if !ok {
				return page, j.failed("read history", nats.ErrBadSubject)
			}
			got++
			most, left = max(most, len(m.Data())), place.pending
			if err := j.decode(m.Subject(), m.Headers(), m.Data(), place.sequence, read.take); err != nil {
				j.store.log.LogAttrs(ctx, slog.LevelWarn, "message of the history is no record", slog.Any("err", err))
			}
			if read.scanned(place, len(m.Data())); read.full {
				break
			}
		}
		if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, jetstream.ErrNoMessages) {
			return page, j.failed("read history", err)
		}
		if got == 0 && left > 0 {
			return page, j.failed("read history", nats.ErrTimeout)
		}
		if ctx.Err() != nil {
			return page, j.failed("read history", context.Cause(ctx))
		}
		n = max(min(4*n, readBytes/most), 1)
	}
	return page, nil
}

// readerConfig is of a consumer that shows what may be wanted.
func (j *Journal) readerConfig(r *journal.Range) jetstream.ConsumerConfig {
	config := jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: 30 * time.Second,
		DeliverPolicy: jetstream.DeliverAllPolicy,
	}
	if r.Pattern != "" && r.Pattern != ">" {
		config.FilterSubjects = []string{j.prefix() + packKey, j.prefix() + r.Pattern, j.prefix() + markKey}
	}
	switch {
	case r.After > 0: // there may be more in that message
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, max(r.After>>positionBits, 1)
	case !r.Since.IsZero():
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &r.Since
	}
	return config
}

// reading is a page that is being filled.
type reading struct {
	wanted *journal.Range
	page   *journal.Page
	size   int  // of what has been looked at
	full   bool // and there is more
}

// take puts a record into the page if it is wanted, and reports whether there is room for
// the next.
func (r *reading) take(one *journal.Record) bool {
	w := r.wanted
	switch {
	case one.Sequence <= w.After, one.Kind == journal.Alive, one.Time.Before(w.Since):
	case one.Kind == journal.Change && w.Pattern != "" && !kvstore.Matches(w.Pattern, one.Key):
	case len(r.page.Records) == w.Limit:
		r.page.Next, r.full = r.page.Records[w.Limit-1].Sequence, true
	default:
		r.page.Records = append(r.page.Records, *one)
	}
	return !r.full
}

// scanned takes note of a message that has been looked at, and ends a page for which much
// has been.
func (r *reading) scanned(at place, size int) {
	if r.size += size; r.size >= scanBytes && at.pending > 0 && !r.full {
		r.page.Next, r.full = position(at.sequence, maxPack-1), true
	}
}

// oldest returns the first record that is left, nil if there is none.
func (j *Journal) oldest(ctx context.Context, s jetstream.Stream) (oldest *journal.Record, err error) {
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
	err = j.decode(m.Subject, m.Header, m.Data, m.Sequence, func(r *journal.Record) bool {
		oldest = r
		return false
	})
	return oldest, err
}
