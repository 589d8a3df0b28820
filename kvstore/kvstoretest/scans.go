package kvstoretest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/roostbus/roost/kvstore"
)

// scan returns what patterns find, as revisions by key.
func scan(t *testing.T, s kvstore.Store, atLeast uint64, patterns ...string) map[string]uint64 {
	t.Helper()
	scanned, err := s.Scan(t.Context(), patterns, atLeast)
	if err != nil {
		t.Fatalf("Scan(%q, %d) = %v", patterns, atLeast, err)
	}
	if scanned.Revision < atLeast {
		t.Errorf("Scan(%q, %d) reaches %d", patterns, atLeast, scanned.Revision)
	}
	found := map[string]uint64{}
	for _, e := range scanned.Entries {
		if _, twice := found[e.Key]; twice {
			t.Errorf("Scan(%q) shows %s twice", patterns, e.Key)
		}
		found[e.Key] = e.Revision
	}
	return found
}

func scanShows(t *testing.T, s kvstore.Store) {
	w := kvstore.Write{Key: "event.a.b.c", Value: []byte("was"), Labels: kvstore.Labels{Operation: "op", Event: "registered", Reason: "r"}}
	first := write(t, s, w)
	marker := write(t, s, kvstore.Write{
		Key: "event.a.b.d", Value: []byte("gone"), Expect: write(t, s, kvstore.Write{Key: "event.a.b.d"}),
		Remove: true, Keep: time.Hour, Labels: kvstore.Labels{Event: "expired"},
	})
	scanned, err := s.Scan(t.Context(), []string{"event.a.b.*"}, marker)
	if err != nil || len(scanned.Entries) != 2 || scanned.Revision < marker {
		t.Fatalf("Scan = %+v, %v; want two entries as of %d", scanned, err, marker)
	}
	slices.SortFunc(scanned.Entries, func(a, b kvstore.Entry) int { return int(a.Revision) - int(b.Revision) })
	e, gone := scanned.Entries[0], scanned.Entries[1]
	if e.Key != w.Key || string(e.Value) != "was" || e.Revision != first || e.Removed || e.Labels != w.Labels || !e.Time.Equal(get(t, s, w.Key).Time) {
		t.Errorf("Scan shows %+v, want what was written: %+v", e, w)
	}
	if gone.Key != "event.a.b.d" || string(gone.Value) != "gone" || gone.Revision != marker || !gone.Removed || gone.Event != "expired" {
		t.Errorf("Scan shows %+v, want the marker at %d", gone, marker)
	}
}

func scanPatterns(t *testing.T, s kvstore.Store) {
	at := map[string]uint64{}
	var last uint64
	for _, key := range []string{"epoch", "event.a.b.c", "event.a.b.d", "event.a.bb.c", "event.b.b.c", "lease.a"} {
		last = write(t, s, kvstore.Write{Key: key})
		at[key] = last
	}
	for _, c := range []struct{ patterns, want []string }{
		{[]string{"epoch"}, []string{"epoch"}},
		{[]string{"event.a.b.*"}, []string{"event.a.b.c", "event.a.b.d"}},
		{[]string{"event.a.>"}, []string{"event.a.b.c", "event.a.b.d", "event.a.bb.c"}},
		{[]string{"event.*.b.c", "lease.*"}, []string{"event.a.b.c", "event.b.b.c", "lease.a"}},
		{[]string{"event.>"}, []string{"event.a.b.c", "event.a.b.d", "event.a.bb.c", "event.b.b.c"}},
		{[]string{"event.a.>", "event.a.b.c", "epoch", "epoch"}, []string{"epoch", "event.a.b.c", "event.a.b.d", "event.a.bb.c"}},
		{[]string{"event.a.b.x", "event.x.>"}, nil},
	} {
		found := scan(t, s, last, c.patterns...)
		if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, c.want) {
			t.Errorf("Scan(%q) shows %q, want %q", c.patterns, got, c.want)
		}
		for key, revision := range found {
			if revision != at[key] {
				t.Errorf("Scan(%q) shows %s at %d, want %d", c.patterns, key, revision, at[key])
			}
		}
	}
}

func scanNothing(t *testing.T, s kvstore.Store) {
	if found := scan(t, s, 0, "event.>"); len(found) != 0 {
		t.Errorf("Scan of an empty store shows %v", found)
	}
	last := write(t, s, kvstore.Write{Key: "a"})
	if found := scan(t, s, last, "event.>", "b"); len(found) != 0 {
		t.Errorf("Scan of nothing shows %v", found)
	}
}

func scanWaits(t *testing.T, s kvstore.Store) {
	last := write(t, s, kvstore.Write{Key: "a"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	scanned, err := s.Scan(ctx, []string{"a"}, last+1_000_000)
	wantErr(t, "Scan of what does not come", err, kvstore.ErrUnavailable)
	wantErr(t, "Scan of what does not come", err, context.DeadlineExceeded)
	if len(scanned.Entries) != 0 {
		t.Errorf("Scan shows %+v beside its error", scanned)
	}
	done, target := make(chan error, 1), last+5
	go func() {
		scanned, err := s.Scan(t.Context(), []string{"a"}, target)
		if err == nil && scanned.Revision < target {
			err = fmt.Errorf("reaches %d, want %d", scanned.Revision, target)
		}
		done <- err
	}()
	for range 5 {
		last = write(t, s, kvstore.Write{Key: "a", Expect: last})
	}
	wantErr(t, "Scan of what comes", <-done, nil)
}

func scanBad(t *testing.T, s kvstore.Store) {
	for _, patterns := range [][]string{nil, {""}, {"a", "b."}, {"a*"}, {">.a"}} {
		_, err := s.Scan(t.Context(), patterns, 0)
		wantErr(t, fmt.Sprintf("Scan(%q)", patterns), err, kvstore.ErrInvalid)
	}
}

func scanEnds(t *testing.T, s kvstore.Store) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Scan(cancelled, []string{"a"}, 0)
	wantErr(t, "Scan whose context is done", err, kvstore.ErrUnavailable)
	wantErr(t, "Scan whose context is done", err, context.Canceled)
	done := make(chan error, 1)
	go func() {
		_, err := s.Scan(t.Context(), []string{"a"}, 1_000_000)
		done <- err
	}()
	write(t, s, kvstore.Write{Key: "a"})
	if err := s.Close(); err != nil {
		t.Fatalf("Close() = %v", err)
	}
	wantErr(t, "Scan under way at Close", <-done, kvstore.ErrClosed)
	_, err = s.Scan(t.Context(), []string{"a"}, 0)
	wantErr(t, "Scan after Close", err, kvstore.ErrClosed)
}

// many is more keys than a server answers for at once.
const many = 2500

func scanMany(t *testing.T, s kvstore.Store) {
	want := map[string]uint64{}
	for begin := 0; begin < many; begin += 500 {
		var batch []kvstore.Write
		for i := begin; i < begin+500; i++ {
			batch = append(batch, kvstore.Write{Key: fmt.Sprintf("event.a.b.%d", i), Value: []byte("value")})
		}
		revisions, err := s.Batch(t.Context(), batch)
		if err != nil {
			t.Fatalf("Batch = %v", err)
		}
		for i, w := range batch {
			want[w.Key] = revisions[i]
		}
	}
	last := write(t, s, kvstore.Write{Key: "epoch"})
	want["epoch"] = last
	found := scan(t, s, last, "event.a.b.*", "epoch")
	if !maps.Equal(found, want) {
		t.Errorf("Scan shows %d keys, want the %d that were written", len(found), len(want))
	}
	found = scan(t, s, last, "event.a.>", "event.*.b.*", "epoch", ">")
	if maps.DeleteFunc(found, func(key string, _ uint64) bool { return want[key] == 0 }); !maps.Equal(found, want) {
		t.Errorf("Scan by patterns that overlap shows %d keys, want %d", len(found), len(want))
	}
}

// scanUnderLoad has keys that are always there, and are changed all the while, in every
// scan, at revisions that never go back.
func scanUnderLoad(t *testing.T, s kvstore.Store, keys, scans int) {
	revisions := make([]uint64, keys)
	for i := range keys {
		revisions[i] = write(t, s, kvstore.Write{Key: fmt.Sprintf("event.load.x.%d", i)})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer cancel()
	for part := range 4 {
		writers.Go(func() {
			for i := part; ctx.Err() == nil; i = (i + 4) % (keys - keys%4) {
				revision, err := s.Write(ctx, kvstore.Write{Key: fmt.Sprintf("event.load.x.%d", i), Expect: revisions[i]})
				if err == nil {
					revisions[i] = revision
				} else if ctx.Err() == nil {
					t.Errorf("Write = %v", err)
					return
				}
			}
		})
	}
	seen := map[string]uint64{}
	for range scans {
		last, err := s.Barrier(t.Context())
		if err != nil {
			t.Fatalf("Barrier = %v", err)
		}
		found := scan(t, s, last, "event.load.x.*")
		if len(found) != keys {
			t.Fatalf("Scan shows %d keys, want the %d that are there", len(found), keys)
		}
		for key, revision := range found {
			if revision < seen[key] {
				t.Fatalf("Scan shows %s at %d after %d", key, revision, seen[key])
			}
		}
		seen = found
	}
}

func scanFewUnderLoad(t *testing.T, s kvstore.Store)  { scanUnderLoad(t, s, 40, 200) }
func scanManyUnderLoad(t *testing.T, s kvstore.Store) { scanUnderLoad(t, s, 1500, 10) }
