package kvstoretest

import (
	"context"
	"errors"
	"testing"

	"github.com/roostbus/roost/kvstore"
)

func eachByItself(t *testing.T, s kvstore.Store) {
	writes := several(6, "v")
	there := write(t, s, kvstore.Write{Key: writes[1].Key, Value: []byte("there")})
	removed := write(t, s, kvstore.Write{Key: writes[2].Key})
	writes[2].Expect, writes[2].Remove = removed, true
	writes[3].Key = "not a key"
	writes[4].Operation = ""
	results := kvstore.WriteEach(t.Context(), s, writes)
	if len(results) != len(writes) {
		t.Fatalf("WriteEach() = %d results, want %d", len(results), len(writes))
	}
	wantConflict(t, results[1].Err, writes[1].Key, there)
	wantErr(t, "WriteEach of a malformed write", results[3].Err, kvstore.ErrInvalid)
	for _, i := range []int{0, 2, 4, 5} {
		if results[i].Err != nil {
			t.Errorf("result %d = %v, want a revision", i, results[i].Err)
			continue
		}
		e := get(t, s, writes[i].Key)
		if e.Revision != results[i].Revision || string(e.Value) != string(writes[i].Value) || e.Removed != writes[i].Remove {
			t.Errorf("Get(%s) = %+v, want what was written at %d", writes[i].Key, e, results[i].Revision)
		}
	}
	if e := get(t, s, writes[1].Key); e.Revision != there {
		t.Errorf("Get(%s) = %+v, want what was there", writes[1].Key, e)
	}
}

func manyOfEach(t *testing.T, s kvstore.Store) {
	writes := several(3000, "v")
	seen := make(map[uint64]bool)
	for i, r := range kvstore.WriteEach(t.Context(), s, writes) {
		if r.Err != nil || seen[r.Revision] {
			t.Fatalf("result %d = %+v, want a revision of its own", i, r)
		}
		seen[r.Revision] = true
	}
	for _, i := range []int{0, 1, 511, 512, 1500, 2999} {
		if e := get(t, s, writes[i].Key); string(e.Value) != string(writes[i].Value) {
			t.Errorf("Get(%s) = %q, want %q", writes[i].Key, e.Value, writes[i].Value)
		}
	}
}

func eachRepeated(t *testing.T, s kvstore.Store) {
	writes := several(20, "v")
	first := kvstore.WriteEach(t.Context(), s, writes[:10])
	again := kvstore.WriteEach(t.Context(), s, writes)
	for i, r := range again {
		if r.Err != nil || i < 10 && r.Revision != first[i].Revision {
			t.Errorf("result %d of the repeat = %+v, want the revision that the first made", i, r)
		}
	}
}

func noneOfEach(t *testing.T, s kvstore.Store) {
	if r := kvstore.WriteEach(t.Context(), s, nil); len(r) != 0 {
		t.Errorf("WriteEach(nothing) = %v, want nothing", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, r := range kvstore.WriteEach(ctx, s, several(3, "v")) {
		wantErr(t, "WriteEach with a context that is done", r.Err, kvstore.ErrUnavailable)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range kvstore.WriteEach(t.Context(), s, several(3, "v")) {
		if !errors.Is(r.Err, kvstore.ErrClosed) {
			t.Errorf("WriteEach after Close = %v, want ErrClosed", r.Err)
		}
	}
}
