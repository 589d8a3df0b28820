package natskv

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/journal"
)

// TestAPageEndsWhereMuchHasBeenLookedAt has the next page go on behind what was looked at,
// though little of it was wanted.
func TestAPageEndsWhereMuchHasBeenLookedAt(t *testing.T) {
	t.Parallel()
	change := func(key string, sequence uint64, n int) *journal.Record {
		return &journal.Record{Kind: journal.Change, Entry: kvstore.Entry{Key: key, Revision: sequence}, Sequence: position(sequence, n)}
	}
	wanted := journal.Range{Pattern: "event.a", Limit: 10}
	page := journal.Page{}
	r := reading{wanted: &wanted, page: &page}
	r.take(change("event.a", 7, 0))
	r.take(change("event.b", 7, 1))
	if r.scanned(place{sequence: 7, pending: 5}, scanBytes-1); r.full || page.Next != 0 {
		t.Fatalf("full %t, next %d before much has been looked at", r.full, page.Next)
	}
	r.take(change("event.b", 8, 0))
	if r.scanned(place{sequence: 8, pending: 4}, 1); !r.full || len(page.Records) != 1 {
		t.Fatalf("full %t with %d records; want a page of one that ends here", r.full, len(page.Records))
	}
	wanted.After = page.Next
	next := journal.Page{}
	r = reading{wanted: &wanted, page: &next}
	for _, one := range []*journal.Record{
		change("event.a", 8, maxPack-1), change("event.a", 9, 0), change("event.a", 9, 1),
	} {
		r.take(one)
	}
	var got []uint64
	for i := range next.Records {
		got = append(got, next.Records[i].Sequence)
	}
	if diff := cmp.Diff([]uint64{position(9, 0), position(9, 1)}, got); diff != "" {
		t.Errorf("the next page (-want +got):\n%s", diff)
	}
	last := journal.Page{}
	r = reading{wanted: &wanted, page: &last, size: scanBytes}
	if r.scanned(place{sequence: 9}, 1); r.full || last.Next != 0 {
		t.Errorf("full %t, next %d behind the last message; want no other page", r.full, last.Next)
	}
}
