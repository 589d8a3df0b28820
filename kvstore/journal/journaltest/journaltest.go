// Package journaltest is the contract of a [journal.Log], as tests.
package journaltest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/journal"
)

// Run checks the contract against fresh, empty logs made by open.
func Run(t *testing.T, open func(t *testing.T) journal.Log) {
	t.Helper()
	for _, c := range []struct {
		name  string
		check func(*testing.T, journal.Log)
	}{
		{"AnEmptyLogHasNoPlaceAndNoFirst", empty},
		{"WhatIsAppendedIsReadBackInOrder", order},
		{"OfTwoWhoAppendAtOnePlaceOneIsRefused", conflict},
		{"ManyAreAppendedTogether", together},
		{"APatternSelectsChangesAndEveryMark", pattern},
		{"PagesFollowEachOther", pages},
		{"PagesPartWhatWasAppendedTogether", parted},
		{"MuchIsAppendedTogetherOrNotAtAll", much},
		{"ATimeSelectsWhatIsNotOlder", since},
	} {
		t.Run(c.name, func(t *testing.T) { c.check(t, open(t)) })
	}
}

func change(key string, revision uint64) journal.Record {
	return journal.Record{Kind: journal.Change, Epoch: 7, Generation: "g", Entry: kvstore.Entry{
		Key: key, Value: fmt.Appendf(nil, `{"n":%d}`, revision), Revision: revision, Removed: revision%2 == 0,
		Labels: kvstore.Labels{Operation: "o", Event: "updated", Reason: "because"},
		Time:   time.Now().UTC().Truncate(time.Millisecond),
	}}
}

func add(t *testing.T, l journal.Log, at journal.Place, records ...journal.Record) journal.Place {
	t.Helper()
	p, err := l.Append(t.Context(), at, records)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func read(t *testing.T, l journal.Log, r journal.Range) journal.Page {
	t.Helper()
	page, err := l.Read(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func revisions(records []journal.Record) (all []uint64) {
	for i := range records {
		all = append(all, records[i].Revision)
	}
	return all
}

func empty(t *testing.T, l journal.Log) {
	t.Helper()
	p, err := l.Last(t.Context())
	if err != nil || p != (journal.Place{}) {
		t.Errorf("Last = %+v, %v; want the zero Place", p, err)
	}
	if page := read(t, l, journal.Range{Limit: 10}); len(page.Records) != 0 || page.Next != 0 || page.First != nil {
		t.Errorf("Read = %+v; want nothing", page)
	}
}

func order(t *testing.T, l journal.Log) {
	t.Helper()
	sent := []journal.Record{change("event.a.b.c", 3), change("event.a.b.d", 4)}
	gap := journal.Record{Kind: journal.Gap, Epoch: 7, Generation: "g", From: 4, To: 9, Entry: kvstore.Entry{Revision: 4, Time: sent[0].Time}}
	p := add(t, l, journal.Place{}, sent[0])
	p = add(t, l, p, sent[1], gap)
	last, err := l.Last(t.Context())
	if err != nil || !last.Time.Equal(p.Time) || last.Sequence != p.Sequence || last.Revision != 4 || last.Generation != "g" || last.Epoch != 7 {
		t.Errorf("Last = %+v, %v; want %+v", last, err, p)
	}
	page := read(t, l, journal.Range{Limit: 10})
	if len(page.Records) != 3 || page.First == nil || page.First.Revision != 3 {
		t.Fatalf("Read = %+v; want three records, the first of which is the oldest", page)
	}
	for i, want := range append(sent, gap) {
		got := page.Records[i]
		if got.Kind != want.Kind || got.Key != want.Key || string(got.Value) != string(want.Value) || got.Revision != want.Revision ||
			got.Removed != want.Removed || got.Labels != want.Labels || !got.Time.Equal(want.Time) || got.From != want.From || got.To != want.To ||
			got.Epoch != want.Epoch || got.Generation != want.Generation || got.Sequence == 0 {
			t.Errorf("record %d is %+v; want %+v", i, got, want)
		}
	}
}

func conflict(t *testing.T, l journal.Log) {
	t.Helper()
	at := add(t, l, journal.Place{}, change("event.a.b.c", 1))
	add(t, l, at, change("event.a.b.c", 2))
	for _, records := range [][]journal.Record{{change("event.a.b.c", 3)}, {change("event.a.b.c", 3), change("event.a.b.d", 4)}} {
		if _, err := l.Append(t.Context(), at, records); !errors.Is(err, journal.ErrConflict) {
			t.Errorf("an append of %d at an old place = %v; want ErrConflict", len(records), err)
		}
	}
	if got := revisions(read(t, l, journal.Range{Limit: 10}).Records); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("the log holds %v; want 1 and 2", got)
	}
}

func together(t *testing.T, l journal.Log) {
	t.Helper()
	var records []journal.Record
	for i := range journal.MaxAppend {
		records = append(records, change("event.a.b.c", uint64(i+1))) //nolint:gosec // small
	}
	p := add(t, l, journal.Place{}, records...)
	if p.Revision != journal.MaxAppend {
		t.Errorf("the place is at %d; want %d", p.Revision, journal.MaxAppend)
	}
	if got := read(t, l, journal.Range{Limit: 1000}); len(got.Records) != journal.MaxAppend || got.Next != 0 {
		t.Errorf("%d records, next %d; want %d and no more", len(got.Records), got.Next, journal.MaxAppend)
	}
}

func pattern(t *testing.T, l journal.Log) {
	t.Helper()
	mark := func(kind journal.Kind, revision uint64) journal.Record {
		return journal.Record{Kind: kind, Generation: "g", Entry: kvstore.Entry{Revision: revision, Time: time.Now()}}
	}
	add(t, l, journal.Place{}, mark(journal.Begin, 1), change("event.a.b.c", 2), change("event.a.x.c", 3),
		mark(journal.Alive, 4), mark(journal.Gap, 5), change("announce.lock.a.b", 6))
	for want, p := range map[string]string{
		"[1 2 3 5 6]": "", "[1 2 5]": "event.a.b.*", "[1 2 3 5]": "event.>", "[1 5 6]": "announce.*.a.*",
	} {
		if got := fmt.Sprint(revisions(read(t, l, journal.Range{Pattern: p, Limit: 10}).Records)); got != want {
			t.Errorf("%q selects %s; want %s", p, got, want)
		}
	}
}

func pages(t *testing.T, l journal.Log) {
	t.Helper()
	var at journal.Place
	for i := range 10 {
		at = add(t, l, at, change("event.a.b.c", uint64(i+1))) //nolint:gosec // small
	}
	var got []uint64
	var after uint64
	for range 4 {
		page := read(t, l, journal.Range{Limit: 3, After: after})
		got = append(got, revisions(page.Records)...)
		if after = page.Next; after == 0 {
			break
		}
	}
	if fmt.Sprint(got) != "[1 2 3 4 5 6 7 8 9 10]" {
		t.Errorf("pages show %v; want 1 to 10", got)
	}
	if page := read(t, l, journal.Range{Limit: 3, After: at.Sequence}); len(page.Records) != 0 || page.Next != 0 {
		t.Errorf("behind the end there is %+v", page)
	}
}

func parted(t *testing.T, l journal.Log) {
	t.Helper()
	var at journal.Place
	for i := range 4 {
		var records []journal.Record
		for n := range 5 {
			records = append(records, change(fmt.Sprintf("event.a.b.%d", n%2), uint64(5*i+n+1))) //nolint:gosec // small
		}
		at = add(t, l, at, records...)
	}
	for _, c := range []struct{ pattern, want string }{
		{"", "[1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20]"}, {"event.a.b.1", "[2 4 7 9 12 14 17 19]"},
	} {
		for _, limit := range []int{1, 3, 5, 8} {
			var got []uint64
			for after, n := uint64(0), 0; n < 30; n++ {
				page := read(t, l, journal.Range{Pattern: c.pattern, Limit: limit, After: after})
				if len(page.Records) > limit {
					t.Errorf("a page of %d has %d", limit, len(page.Records))
				}
				for i, r := range page.Records {
					if i > 0 && r.Sequence <= page.Records[i-1].Sequence {
						t.Errorf("%d has sequence %d, behind %d", r.Revision, r.Sequence, page.Records[i-1].Sequence)
					}
				}
				got = append(got, revisions(page.Records)...)
				if after = page.Next; after == 0 {
					break
				}
			}
			if fmt.Sprint(got) != c.want {
				t.Errorf("%q by %d shows %v; want %s", c.pattern, limit, got, c.want)
			}
		}
	}
	middle := read(t, l, journal.Range{Limit: 7}).Records[6]
	if got := revisions(read(t, l, journal.Range{After: middle.Sequence, Limit: 2}).Records); !slices.Equal(got, []uint64{8, 9}) {
		t.Errorf("behind 7 there are %v; want 8 and 9", got)
	}
}

// much is more than a store would take as one message.
func much(t *testing.T, l journal.Log) {
	t.Helper()
	var records []journal.Record
	for i := range 60 {
		r := change("event.a.b.c", uint64(i+1)) //nolint:gosec // small
		r.Value = []byte(strings.Repeat("x", 5000))
		records = append(records, r)
	}
	first := add(t, l, journal.Place{}, change("event.a.b.c", 1))
	if _, err := l.Append(t.Context(), journal.Place{}, records); !errors.Is(err, journal.ErrConflict) {
		t.Errorf("an append at an old place = %v; want ErrConflict", err)
	}
	for i := range records {
		records[i].Revision++
	}
	p := add(t, l, first, records...)
	if last, err := l.Last(t.Context()); err != nil || last.Sequence != p.Sequence || last.Revision != 61 {
		t.Errorf("Last = %+v, %v; want %+v", last, err, p)
	}
	page := read(t, l, journal.Range{Limit: 100})
	if len(page.Records) != 61 || page.Next != 0 {
		t.Fatalf("%d records, next %d; want 61 and no more", len(page.Records), page.Next)
	}
	for i, r := range page.Records {
		if r.Revision != uint64(i+1) || i > 0 && len(r.Value) != 5000 { //nolint:gosec // small
			t.Errorf("record %d is of revision %d and has %d bytes", i, r.Revision, len(r.Value))
		}
	}
}

func since(t *testing.T, l journal.Log) {
	t.Helper()
	old, recent := change("event.a.b.c", 1), change("event.a.b.c", 2)
	old.Time = recent.Time.Add(-time.Minute)
	add(t, l, journal.Place{}, old, recent)
	page := read(t, l, journal.Range{Since: recent.Time.Add(-time.Second), Limit: 10})
	if got := revisions(page.Records); !slices.Equal(got, []uint64{2}) {
		t.Errorf("since a second ago there are %v; want 2", got)
	}
	if page.First == nil || page.First.Revision != 1 {
		t.Errorf("the first is %+v; want 1", page.First)
	}
}
