package e2e_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/kvstoretest"
	"github.com/roostbus/roost/kvstore/natskv"
)

// bucket is a configuration that checks itself often.
func bucket(change ...func(*natskv.Config)) natskv.Config {
	c := natskv.DefaultConfig()
	c.Bucket = "e2e"
	c.Check = c.Check / 10
	for _, f := range change {
		f(&c)
	}
	return c
}

func openStore(tb testing.TB, nc *nats.Conn, config natskv.Config) *natskv.Store {
	tb.Helper()
	s, err := natskv.Open(tb.Context(), nc, config)
	if err != nil {
		tb.Fatalf("Open() = %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close() = %v", err)
		}
	})
	return s
}

func TestNatskvKeepsTheContractOnFileStorage(t *testing.T) {
	t.Parallel()
	kvstoretest.Run(t, kvstoretest.Profile{}, func(t *testing.T) kvstore.Store {
		t.Helper()
		return openStore(t, natstest.Start(t).Connect(t), bucket())
	})
}

func TestNatskvKeepsTheContractInMemoryStorage(t *testing.T) {
	t.Parallel()
	kvstoretest.Run(t, kvstoretest.Profile{}, func(t *testing.T) kvstore.Store {
		t.Helper()
		return openStore(t, natstest.Start(t).Connect(t), bucket(func(c *natskv.Config) { c.Storage = natskv.Memory }))
	})
}
