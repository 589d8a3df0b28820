package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
)

// TestAScanShowsMoreThanAServerListsWhole shows R6 for more keys than a server names at
// once, while keys that are always there are written again.
func TestAScanShowsMoreThanAServerListsWhole(t *testing.T) {
	if testing.Short() {
		t.Skip("writes more than 100,000 keys: left out with -short")
	}
	t.Parallel()
	s := openStore(t, natstest.Start(t).Connect(t), bucket())
	const keys, hot = 101_000, 400
	revisions := make([]uint64, 0, keys)
	for len(revisions) < keys {
		var batch []kvstore.Write
		for i := range kvstore.MaxBatch {
			batch = append(batch, kvstore.Write{Key: fmt.Sprintf("event.a.b.%d", len(revisions)+i)})
		}
		made, err := s.Batch(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		revisions = append(revisions, made...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer cancel()
	for part := range 4 {
		writers.Go(func() {
			for i := part; ctx.Err() == nil; i = (i + 4) % hot {
				at := keys - hot + i // the last ones that a consumer comes to
				revision, err := s.Write(ctx, kvstore.Write{Key: fmt.Sprintf("event.a.b.%d", at), Expect: revisions[at]})
				if err == nil {
					revisions[at] = revision
				} else if ctx.Err() == nil {
					t.Errorf("Write = %v", err)
					return
				}
			}
		})
	}
	for range 5 {
		last, err := s.Barrier(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		scanned, err := s.Scan(t.Context(), []string{"event.a.>"}, last)
		if err != nil || len(scanned.Entries) != keys || scanned.Revision < last {
			t.Fatalf("Scan shows %d keys as of %d, %v; want the %d that are there as of %d", len(scanned.Entries), scanned.Revision, err, keys, last)
		}
	}
}
