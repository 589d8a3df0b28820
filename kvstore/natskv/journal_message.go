package natskv

import (
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/journal"
)

// The further headers of a record that is a message of its own, as records were before
// there were packs. They are read for as long as a stream has any.
const (
	headerRemoved = "Roost-Removed"
	headerFrom    = "Roost-From"
	headerTo      = "Roost-To"

	markKey = "_mark" // of those that are not of a change
)

// common returns what a message's headers say of all its records: of where it was recorded,
// or of the message itself, which may be one record.
func common(h nats.Header, sequence uint64) (journal.Record, error) {
	r := journal.Record{
		Kind: journal.Kind(first(h, headerKind)), Epoch: uint32(numberIn(h, headerEpoch)), //nolint:gosec // as it was written
		Generation: kvstore.Generation(first(h, headerGeneration)),
		Entry:      kvstore.Entry{Revision: numberIn(h, headerRevision)},
	}
	var err error
	if r.Time, err = time.Parse(time.RFC3339Nano, first(h, headerRecordedTime)); err != nil || r.Kind == "" {
		return r, fmt.Errorf("message %d of the history is no record: %w", sequence, kvstore.ErrInvalid)
	}
	return r, nil
}

func numberIn(h nats.Header, name string) uint64 {
	n, _ := parseNumber(first(h, name))
	return n
}

// placeOf returns the place behind a message.
func placeOf(h nats.Header, sequence uint64) (journal.Place, error) {
	r, err := common(h, sequence)
	if err != nil {
		return journal.Place{}, err
	}
	n := 1
	if r.Kind == packKind {
		if n, err = strconv.Atoi(first(h, headerRecords)); err != nil || n < 1 || n > maxPack {
			return journal.Place{}, fmt.Errorf("message %d of the history has no number of records: %w", sequence, kvstore.ErrInvalid)
		}
	}
	r.Sequence = position(sequence, n-1)
	return journal.PlaceOf(&r), nil
}

// decode shows the records of a message in their order, until show returns false.
func (j *Journal) decode(subject string, h nats.Header, data []byte, sequence uint64, show func(*journal.Record) bool) error {
	r, err := common(h, sequence)
	if err != nil {
		return err
	}
	if r.Kind == packKind {
		r.Entry = kvstore.Entry{}
		return unpack(r, sequence, data, show)
	}
	r.Sequence, r.Value, r.Removed = position(sequence, 0), data, first(h, headerRemoved) != ""
	r.Labels = kvstore.Labels{Operation: first(h, HeaderOperation), Event: first(h, HeaderEvent), Reason: first(h, HeaderReason)}
	r.From, r.To = numberIn(h, headerFrom), numberIn(h, headerTo)
	if r.Kind == journal.Change {
		r.Key = subject[len(j.prefix()):]
	}
	show(&r)
	return nil
}
