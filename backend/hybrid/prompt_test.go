package hybrid_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/kvstore/memkv"
)

// TestAPromptReadDoesNotWait covers what the server answers without another goroutine.
func TestAPromptReadDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := ready(t, store, backend.Nobody)
		defer n.stop()
		r := register(t, n, "1")
		synctest.Wait()
		store.FreezeFeeds()
		for read, want := range map[backend.Read]bool{
			{}:                                  true,
			{MinRevision: r.Revision}:           true,
			{MinRevision: r.Revision + 9}:       false,
			{Consistency: backend.Linearizable}: false,
			{Wait: time.Second}:                 false,
			{MaxAge: time.Nanosecond}:           true, // refused at once
		} {
			if got := n.Prompt(read); got != want {
				t.Errorf("Prompt(%+v) = %v; want %v", read, got, want)
			}
			if !want {
				continue
			}
			began := time.Now()
			_, _, _ = n.Lookup(t.Context(), r.Key, read)
			if took := time.Since(began); took != 0 { // in the bubble
				t.Errorf("Lookup(%+v) took %v", read, took)
			}
		}
	})
}
