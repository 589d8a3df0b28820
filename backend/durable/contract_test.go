package durable_test

import (
	"testing"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/backendtest"
	"github.com/roostbus/roost/kvstore/memkv"
)

// TestContract shows R9 for durable on a store in memory; e2e has it on JetStream.
func TestContract(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Profile{}, func(t *testing.T, live backend.Liveness) backend.Backend {
		t.Helper()
		return ready(t, memkv.New(), live)
	})
}
