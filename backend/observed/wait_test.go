package observed_test

import (
	"slices"
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/memory"
	"github.com/roostbus/roost/backend/observed"
)

func TestReadsThatWaitAreCountedByThemselves(t *testing.T) {
	t.Parallel()
	b := observed.New(memory.New(backend.Nobody))
	defer b.Close()
	key := backend.Key{Namespace: "n", Service: "s"}
	since := backend.Revision(0)
	for _, wait := range []time.Duration{0, time.Millisecond, time.Millisecond} {
		b.Lookup(t.Context(), key, backend.Read{Wait: wait})
		b.List(t.Context(), backend.Query{Since: &since, Read: backend.Read{Wait: wait}})
	}
	counts := map[string]uint64{}
	for _, op := range b.Operations() {
		counts[op.Name] = op.Count
		if plain := slices.Contains([]string{"lookup", "list"}, op.Name); !plain && op.P50 < time.Millisecond {
			t.Errorf("%s took %v; want the wait", op.Name, op.P50)
		}
	}
	for name, want := range map[string]uint64{"lookup": 1, "list": 1, "lookup_wait": 2, "list_wait": 2} {
		if counts[name] != want {
			t.Errorf("%s was counted %d times; want %d", name, counts[name], want)
		}
	}
}
