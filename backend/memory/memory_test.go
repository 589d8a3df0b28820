package memory_test

import (
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/backendtest"
	"github.com/roostbus/roost/backend/memory"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Profile{}, func(t *testing.T, live backend.Liveness) backend.Backend {
		t.Helper()
		b := memory.New(live)
		t.Cleanup(func() { _ = b.Close() })
		return b
	})
}

// R7.
func TestFollowersOfMemoryEndExact(t *testing.T) {
	t.Parallel()
	backendtest.RunFollowers(t, func(t *testing.T, live backend.Liveness) backend.Backend {
		t.Helper()
		b := memory.New(live)
		t.Cleanup(func() { _ = b.Close() })
		return b
	})
}
