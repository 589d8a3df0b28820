package kvstoretest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/kvstore"
)

func several(n int, value string) []kvstore.Write {
	writes := make([]kvstore.Write, n)
	for i := range writes {
		writes[i] = kvstore.Write{
			Key: fmt.Sprintf("event.ns.svc.%d", i), Value: fmt.Append(nil, value, i),
			Labels: kvstore.Labels{Operation: fmt.Sprint(value, i)},
		}
	}
	return writes
}

func batch(t *testing.T, s kvstore.Store, writes []kvstore.Write) []uint64 {
	t.Helper()
	revisions, err := s.Batch(t.Context(), writes)
	if err != nil || len(revisions) != len(writes) {
		t.Fatalf("Batch() = %d revisions, %v, want %d", len(revisions), err, len(writes))
	}
	return revisions
}

func batchApplies(t *testing.T, s kvstore.Store) {
	write(t, s, kvstore.Write{Key: "other"})
	writes := several(10, "v")
	revisions := batch(t, s, writes)
	for i, w := range writes {
		if i > 0 && revisions[i] != revisions[i-1]+1 {
			t.Errorf("Batch() = %v, want revisions in a row", revisions)
		}
		if e := get(t, s, w.Key); e.Revision != revisions[i] || string(e.Value) != string(w.Value) || e.Labels != w.Labels {
			t.Errorf("Get(%s) = %+v, want what was written at %d", w.Key, e, revisions[i])
		}
	}
}

func batchConflict(t *testing.T, s kvstore.Store) {
	writes := several(5, "v")
	there := write(t, s, kvstore.Write{Key: writes[2].Key})
	_, err := s.Batch(t.Context(), writes)
	c, ok := errors.AsType[*kvstore.ConflictError](err)
	if !ok {
		t.Fatalf("Batch() = %v, want a ConflictError", err)
	}
	if c.Key != "" && (c.Key != writes[2].Key || c.Current.Revision != there) {
		t.Errorf("the conflict is said to be of %q at %d", c.Key, c.Current.Revision)
	}
	for i, w := range writes {
		if i != 2 {
			_, err := s.Get(t.Context(), w.Key)
			wantErr(t, "Get("+w.Key+")", err, kvstore.ErrNotFound)
		}
	}
	if after := write(t, s, kvstore.Write{Key: "after"}); after != there+1 {
		t.Errorf("the next write made revision %d, want %d: a refused batch uses none up", after, there+1)
	}
}

func greatestBatch(t *testing.T, s kvstore.Store) {
	revisions := batch(t, s, several(kvstore.MaxBatch, "v"))
	if got := revisions[len(revisions)-1] - revisions[0]; got != kvstore.MaxBatch-1 {
		t.Errorf("the revisions span %d, want %d", got, kvstore.MaxBatch-1)
	}
}

func badBatch(t *testing.T, s kvstore.Store) {
	_, err := s.Batch(t.Context(), several(kvstore.MaxBatch+1, "v"))
	wantErr(t, "Batch beyond the limit", err, kvstore.ErrInvalid)
	_, err = s.Batch(t.Context(), []kvstore.Write{{Key: "a"}, {Key: "b"}, {Key: "a"}})
	wantErr(t, "Batch with a key twice", err, kvstore.ErrInvalid)
	_, err = s.Batch(t.Context(), []kvstore.Write{{Key: "b"}, {Key: "a."}})
	wantErr(t, "Batch with a bad key", err, kvstore.ErrInvalid)
	_, err = s.Get(t.Context(), "b")
	wantErr(t, "Get(b)", err, kvstore.ErrNotFound)
}

func emptyBatch(t *testing.T, s kvstore.Store) {
	if revisions, err := s.Batch(t.Context(), nil); err != nil || len(revisions) != 0 {
		t.Errorf("Batch() = %v, %v, want nothing", revisions, err)
	}
}

func repeatBatch(t *testing.T, s kvstore.Store) {
	writes := several(5, "v")
	first := batch(t, s, writes)
	again, err := s.Batch(t.Context(), writes)
	if err != nil {
		t.Fatalf("the repeat = %v", err)
	}
	if d := cmp.Diff(first, again); d != "" {
		t.Errorf("the repeat's revisions (-first +repeat):\n%s", d)
	}
	if e := get(t, s, writes[0].Key); e.Revision != first[0] {
		t.Errorf("%s is at %d, want %d: a repeat writes nothing", e.Key, e.Revision, first[0])
	}
}

func oneBatchWins(t *testing.T, s kvstore.Store) {
	const rivals = 10
	errs := make([]error, rivals)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { _, errs[i] = s.Batch(t.Context(), several(4, fmt.Sprintf("rival %d: ", i))) })
	}
	all.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Fatalf("batches %d and %d both happened", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, kvstore.ErrConflict):
			t.Errorf("batch %d = %v, want ErrConflict", i, err)
		}
	}
	if winner < 0 {
		t.Fatal("no batch happened")
	}
	for _, w := range several(4, fmt.Sprintf("rival %d: ", winner)) {
		if e := get(t, s, w.Key); string(e.Value) != string(w.Value) {
			t.Errorf("Get(%s) = %q, want %q: batches mixed", w.Key, e.Value, w.Value)
		}
	}
}

func batchRemoves(t *testing.T, s kvstore.Store) {
	there := write(t, s, kvstore.Write{Key: "a"})
	revisions := batch(t, s, []kvstore.Write{
		{Key: "a", Value: []byte("was"), Expect: there, Remove: true, Keep: time.Minute},
		{Key: "b"},
	})
	if e := get(t, s, "a"); !e.Removed || e.Revision != revisions[0] || string(e.Value) != "was" {
		t.Errorf("Get(a) = %+v, want the marker at %d", e, revisions[0])
	}
}
