package memkv_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/kvstoretest"
	"github.com/roostbus/roost/kvstore/memkv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	t.Parallel()
	kvstoretest.Run(t, kvstoretest.Profile{}, func(t *testing.T) kvstore.Store {
		t.Helper()
		s := memkv.New()
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("Close() = %v", err)
			}
		})
		return s
	})
}
