package observed_test

import (
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/backendtest"
	"github.com/roostbus/roost/backend/memory"
	"github.com/roostbus/roost/backend/observed"
)

func TestAnObservedBackendKeepsTheContract(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Profile{}, func(t *testing.T, live backend.Liveness) backend.Backend {
		t.Helper()
		b := observed.New(memory.New(live))
		t.Cleanup(func() { _ = b.Close() })
		return b
	})
}
