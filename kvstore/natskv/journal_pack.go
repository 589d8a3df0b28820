package natskv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/journal"
)

// Many records are one message, a pack: what is recorded at all costs a server as much for
// each message, however little is in it. docs/protocol.md has the format.
const (
	packKey  = "_pack"
	packKind = "pack"
	// packBytes is how long a pack may become by a record that is not its first.
	packBytes = 256 << 10
	// positionBits of a record's Sequence are its place in its message; the others are the
	// message's own sequence.
	positionBits = 10
	maxPack      = 1 << positionBits
)

// The headers of a pack: how many records it has, and of the last of them where a journal
// has come with it. Those of epoch and generation are of all.
const (
	headerKind         = "Roost-History"
	headerRecords      = "Roost-Records"
	headerEpoch        = "Roost-Epoch"
	headerGeneration   = "Roost-Generation"
	headerRevision     = "Roost-Revision"
	headerRecordedTime = "Roost-Time"

	headerExpectLast = "Nats-Expected-Last-Sequence"
)

// position is the Sequence of the n-th record of a message.
func position(sequence uint64, n int) uint64 {
	return sequence<<positionBits | uint64(n) //nolint:gosec // below maxPack
}

// The kinds of records in a pack.
var marks = map[byte]journal.Kind{'b': journal.Begin, 'g': journal.Gap, 'a': journal.Anew, 'l': journal.Alive}

const (
	packChange  = 'c'
	packRemoval = 'r'
)

// packLimit is how long the packs of j may become by a record that is not their first.
func (j *Journal) packLimit() int {
	limit := packBytes
	if most := int(j.store.nc.MaxPayload()) - maxPackHeader; most > 0 {
		limit = min(limit, most)
	}
	// With few great messages much would be forgotten at once for want of room.
	return min(limit, int(j.bytes/16)) //nolint:gosec // it is not greater
}

// maxPackHeader is more than the headers of a pack take.
const maxPackHeader = 4 << 10

// pack returns records as messages to subject, one unless they are too much for one.
func pack(subject string, records []journal.Record, limit int) (messages []*nats.Msg) {
	for len(records) > 0 {
		n, size := 1, packedSize(&records[0])
		for n < min(len(records), maxPack) && records[n].Epoch == records[0].Epoch && records[n].Generation == records[0].Generation {
			more := packedSize(&records[n])
			if size+more > limit {
				break
			}
			size += more
			n++
		}
		body := make([]byte, 0, size)
		for i := range n {
			body = appendRecord(body, &records[i])
		}
		last := &records[n-1]
		messages = append(messages, &nats.Msg{Subject: subject, Data: body, Header: nats.Header{
			headerKind: {packKind}, headerRecords: {strconv.Itoa(n)},
			headerEpoch: {strconv.FormatUint(uint64(last.Epoch), 10)}, headerGeneration: {string(last.Generation)},
			headerRevision: {strconv.FormatUint(last.Revision, 10)}, headerRecordedTime: {last.Time.UTC().Format(time.RFC3339Nano)},
		}})
		records = records[n:]
	}
	return messages
}

// packedSize is how long a record is in a pack, at most.
func packedSize(r *journal.Record) int {
	const numbers = 8 * binary.MaxVarintLen64
	return numbers + 1 + len(r.Key) + len(r.Operation) + len(r.Event) + len(r.Reason) + len(r.Value)
}

// appendRecord appends r: the length of what follows, what it is, its revision and time,
// and of a change the names and the value, of a mark the revisions that a gap is between.
func appendRecord(b []byte, r *journal.Record) []byte {
	var room [3 * binary.MaxVarintLen64]byte
	head := append(room[:0], kindByte(r))
	head = binary.AppendUvarint(head, r.Revision)
	head = binary.AppendUvarint(head, uint64(r.Time.UnixNano())) //nolint:gosec // after 1970
	if r.Kind != journal.Change {
		var ends [2 * binary.MaxVarintLen64]byte
		tail := binary.AppendUvarint(binary.AppendUvarint(ends[:0], r.From), r.To)
		b = binary.AppendUvarint(b, uint64(len(head)+len(tail)))
		return append(append(b, head...), tail...)
	}
	names := [...]string{r.Key, r.Operation, r.Event, r.Reason}
	size := len(head) + len(r.Value)
	for _, s := range names {
		size += uvarintSize(len(s)) + len(s)
	}
	b = binary.AppendUvarint(b, uint64(size)) //nolint:gosec // it is not negative
	b = append(b, head...)
	for _, s := range names {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return append(b, r.Value...)
}

func uvarintSize(n int) (size int) {
	for size = 1; n >= 0x80; size++ {
		n >>= 7
	}
	return size
}

func kindByte(r *journal.Record) byte {
	switch r.Kind {
	case journal.Begin:
		return 'b'
	case journal.Gap:
		return 'g'
	case journal.Anew:
		return 'a'
	case journal.Alive:
		return 'l'
	case journal.Change:
	}
	if r.Removed {
		return packRemoval
	}
	return packChange
}

var errNoPack = errors.New("no such pack")

// unpack shows the records of a pack in their order, until show returns false. Those of a
// kind that is not known it leaves out. Values are parts of body.
func unpack(common journal.Record, sequence uint64, body []byte, show func(*journal.Record) bool) error {
	for n := 0; len(body) > 0; n++ {
		size, k := binary.Uvarint(body)
		if k <= 0 || size > uint64(len(body)-k) {
			return fmt.Errorf("record %d of message %d of the history: %w: %w", n, sequence, errNoPack, kvstore.ErrInvalid)
		}
		one := common
		one.Sequence = position(sequence, n)
		c := cursor{rest: body[k : k+int(size)]} //nolint:gosec // not more than there is
		body = body[k+int(size):]                //nolint:gosec // likewise
		known := c.record(&one)
		if c.broken {
			return fmt.Errorf("record %d of message %d of the history: %w: %w", n, sequence, errNoPack, kvstore.ErrInvalid)
		}
		if known && !show(&one) {
			return nil
		}
	}
	return nil
}

// cursor reads one record.
type cursor struct {
	rest   []byte
	broken bool
}

// record reads into r, and reports whether it is of a kind that is known.
func (c *cursor) record(r *journal.Record) bool {
	if len(c.rest) == 0 {
		c.broken = true
		return false
	}
	kind := c.rest[0]
	c.rest = c.rest[1:]
	r.Revision = c.number()
	r.Time = time.Unix(0, int64(c.number())).UTC() //nolint:gosec // as it was written
	if kind == packChange || kind == packRemoval {
		r.Kind, r.Removed = journal.Change, kind == packRemoval
		r.Key, r.Operation, r.Event, r.Reason = c.text(), c.text(), c.text(), c.text()
		if len(c.rest) > 0 {
			r.Value = c.rest[:len(c.rest):len(c.rest)]
		}
		return true
	}
	var known bool
	if r.Kind, known = marks[kind]; known {
		r.From, r.To = c.number(), c.number()
	}
	return known
}

func (c *cursor) number() uint64 {
	n, k := binary.Uvarint(c.rest)
	if k <= 0 {
		c.broken = true
		return 0
	}
	c.rest = c.rest[k:]
	return n
}

func (c *cursor) text() string {
	n := c.number()
	if n > uint64(len(c.rest)) {
		c.broken = true
		return ""
	}
	s := string(c.rest[:n])
	c.rest = c.rest[n:]
	return s
}
