package natskv

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/journal"
)

// recorded is one record of each kind.
func recorded() []journal.Record {
	at := time.Unix(0, 1700000000000000001).UTC()
	of := func(kind journal.Kind, e kvstore.Entry) journal.Record {
		e.Time = at.Add(time.Duration(e.Revision)) //nolint:gosec // small
		return journal.Record{Kind: kind, Epoch: 7, Generation: "g", Entry: e}
	}
	gap := of(journal.Gap, kvstore.Entry{Revision: 2})
	gap.From, gap.To = 2, 1<<40
	return []journal.Record{
		of(journal.Begin, kvstore.Entry{Revision: 1}), gap,
		of(journal.Change, kvstore.Entry{
			Key: "event.a.b.c", Value: []byte(strings.Repeat("v", 300)), Revision: 3,
			Labels: kvstore.Labels{Operation: "op", Event: "registered", Reason: "a reason, in words"},
		}),
		of(journal.Change, kvstore.Entry{Key: "event.a.b.c", Revision: 4, Removed: true}),
		of(journal.Anew, kvstore.Entry{}), of(journal.Alive, kvstore.Entry{Revision: 5}),
	}
}

// unpacked returns what the n-th message of a stream holds.
func unpacked(t *testing.T, j *Journal, n uint64, records []journal.Record) (all []journal.Record) {
	t.Helper()
	for _, m := range pack("s", records, packBytes) {
		err := j.decode(m.Subject, m.Header, m.Data, n, func(r *journal.Record) bool {
			all = append(all, *r)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestAPackHoldsWhatWasPutIntoIt(t *testing.T) {
	t.Parallel()
	records := recorded()
	got := unpacked(t, &Journal{}, 9, records)
	for i := range records {
		records[i].Sequence = position(9, i)
	}
	if diff := cmp.Diff(records, got); diff != "" {
		t.Errorf("a pack (-put in +taken out):\n%s", diff)
	}
}

func TestAPackSaysInItsHeadersHowFarItHasCome(t *testing.T) {
	t.Parallel()
	records := recorded()[:4]
	messages := pack("s", records, packBytes)
	if len(messages) != 1 {
		t.Fatalf("%d messages; want one", len(messages))
	}
	got, err := placeOf(messages[0].Header, 9)
	want := journal.Place{Sequence: position(9, 3), Epoch: 7, Generation: "g", Revision: 4, Time: records[3].Time}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("its place (-want +got): %v\n%s", err, diff)
	}
}

func TestWhatIsTooMuchForOnePackIsSeveral(t *testing.T) {
	t.Parallel()
	many := make([]journal.Record, 100)
	for i := range many {
		many[i] = recorded()[2]
		many[i].Revision = uint64(i) //nolint:gosec // small
	}
	many[0].Value = make([]byte, 50_000) // larger than a pack may become, and alone in one
	many[99].Generation = "h"
	messages := pack("s", many, 10_000)
	if len(messages) < 6 || len(messages) > 10 {
		t.Errorf("%d messages for 80 kB of 10 kB each", len(messages))
	}
	next, n := uint64(0), 0
	for i, m := range messages {
		if i > 0 && len(m.Data) > 10_000 {
			t.Errorf("message %d has %d bytes; want at most 10,000", i, len(m.Data))
		}
		err := (&Journal{}).decode(m.Subject, m.Header, m.Data, 1, func(r *journal.Record) bool {
			if n++; r.Revision != next || (r.Generation == "h") != (next == 99) {
				t.Errorf("record %d has revision %d of %s", next, r.Revision, r.Generation)
			}
			next++
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n != len(many) {
		t.Errorf("%d records; want %d", n, len(many))
	}
}

func TestRecordsOfAKindThatIsNotKnownAreLeftOut(t *testing.T) {
	t.Parallel()
	body := appendRecord(nil, &recorded()[2])
	first := len(body)
	body = appendRecord(append(body, body...), &recorded()[3])
	body[first+2] = 'z' // behind a length of two bytes
	var got []uint64
	err := unpack(journal.Record{}, 1, body, func(r *journal.Record) bool {
		got = append(got, r.Revision)
		return true
	})
	if diff := cmp.Diff([]uint64{3, 4}, got); err != nil || diff != "" {
		t.Errorf("revisions (-want +got): %v\n%s", err, diff)
	}
}

// TestABrokenPackIsRefusedAndNoHarm cuts packs short and has bits be wrong.
func TestABrokenPackIsRefusedAndNoHarm(t *testing.T) {
	t.Parallel()
	var whole []byte
	ends := map[int]bool{0: true}
	for _, r := range recorded() {
		whole = appendRecord(whole, &r)
		ends[len(whole)] = true
	}
	taken := func(body []byte) error {
		return unpack(journal.Record{}, 1, body, func(*journal.Record) bool { return true })
	}
	for end := range whole {
		if err := taken(whole[:end]); errors.Is(err, kvstore.ErrInvalid) == ends[end] {
			t.Errorf("the first %d bytes of %d: %v", end, len(whole), err)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		bad := append([]byte(nil), whole...)
		for range 1 + random.IntN(3) {
			bad[random.IntN(len(bad))] = byte(random.Uint32())
		}
		if err := taken(bad); err != nil && !errors.Is(err, kvstore.ErrInvalid) {
			t.Fatal(err)
		}
	}
}
