package engine_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/kvstore/memkv"
)

func TestALockExcludesAndIsHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		one, other := start(t, store, "one").keep(1), start(t, store, "other")
		grant(t, store, "a", "b")
		first, err := one.try("a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.try("b"); !errors.Is(err, backend.ErrTimeout) {
			t.Fatalf("while another holds it: %v; want ErrTimeout", err)
		}
		if again, err := other.try("a"); err != nil || again != first {
			t.Errorf("again: %v, %v; want %v", again, err, first)
		}
		got := make(chan error)
		second := first
		go func() {
			var err error
			second, err = other.lock("b", time.Minute)
			got <- err
		}()
		synctest.Wait()
		one.unlock(t, "a")
		if err := <-got; err != nil || second.Compare(first) <= 0 {
			t.Errorf("after the release: %v, %v; want a token above %v", second, err, first)
		}
	})
}

func TestAWaitThatIsOverLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, "one")
		grant(t, store, "a", "b")
		if _, err := n.try("a"); err != nil {
			t.Fatal(err)
		}
		if _, err := n.lock("b", time.Second); !errors.Is(err, backend.ErrTimeout) {
			t.Errorf("%v; want ErrTimeout", err)
		}
		if l := stored(t, store); len(l.Waiters) != 0 || len(l.Holders) != 1 {
			t.Errorf("%+v; want one holder alone", l)
		}
	})
}
