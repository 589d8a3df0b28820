package epoch_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/memkv"
)

func TestARaiseWhileRunningReachesEveryNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		one, other := start(t, store, epoch.Forgetful()), start(t, store, epoch.Forgetful())
		defer one.stop()
		defer other.stop()
		above := one.current(t) + 1_000_000
		got, err := one.Raise(t.Context(), above)
		if err != nil || got <= above {
			t.Fatalf("Raise = %d, %v; want more than %d", got, err, above)
		}
		synctest.Wait()
		if seen := other.current(t); seen != got {
			t.Errorf("the other node is in epoch %d; want %d", seen, got)
		}
		if again, err := other.Raise(t.Context(), above); err != nil || again != got {
			t.Errorf("a second Raise = %d, %v; want %d, which is enough", again, err, got)
		}
	})
}

func TestARaiseThatCannotBeWrittenIsUnavailableAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, epoch.Forgetful())
		defer n.stop()
		above := n.current(t) + 10
		store.FailWrites(3)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := n.Raise(ctx, above); !errors.Is(err, kvstore.ErrUnavailable) {
			t.Fatalf("Raise = %v; want ErrUnavailable", err)
		}
		if got, err := n.Raise(t.Context(), above); err != nil || got <= above {
			t.Errorf("Raise when the store is back = %d, %v; want more than %d", got, err, above)
		}
		if _, err := n.Raise(t.Context(), math.MaxUint32); !errors.Is(err, kvstore.ErrInvalid) {
			t.Errorf("Raise above the highest = %v; want ErrInvalid", err)
		}
	})
}
