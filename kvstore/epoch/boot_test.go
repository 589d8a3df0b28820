package epoch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/memkv"
)

// lives runs a Guard in one life of a machine after another, and returns the epochs it came
// to. What ends without order leaves behind what the memory held while the Guard ran.
func lives(t *testing.T, store kvstore.Store, all ...life) (epochs []uint32) {
	t.Helper()
	memory := epoch.Forgetful()
	for _, l := range all {
		n := start(t, store, memory, epoch.WithBoot(l.boot, l.unsynced))
		epochs = append(epochs, n.current(t))
		time.Sleep(l.lasts)
		synctest.Wait()
		kept, err := memory.Load()
		if err != nil {
			t.Fatal(err)
		}
		n.stop()
		if !l.orderly {
			if err := memory.Save(kept); err != nil {
				t.Fatal(err)
			}
		}
	}
	return epochs
}

type life struct {
	boot     string
	unsynced bool
	lasts    time.Duration
	orderly  bool
}

func TestAMachineThatStopsBeforeItsNodeLeadsToAHigherEpoch(t *testing.T) {
	for name, lasts := range map[string]time.Duration{"soon": 0, "later": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := lives(t, memkv.New(), life{"a", true, lasts, false}, life{"b", true, lasts, false}, life{"c", true, lasts, false})
				if got[1] <= got[0] || got[2] <= got[1] {
					t.Errorf("epochs = %v; want them to grow", got)
				}
			})
		})
	}
}

// Nothing is lost then, and whoever follows need not begin anew.
func TestWithoutALossThereIsNoHigherEpoch(t *testing.T) {
	for name, all := range map[string][]life{
		"the process died":                   {{"a", true, time.Minute, false}, {"a", true, 0, false}, {"a", true, 0, false}},
		"the node was stopped before":        {{"a", true, time.Minute, true}, {"b", true, 0, true}, {"c", true, 0, true}},
		"every write is synced":              {{"a", false, time.Minute, false}, {"b", false, 0, false}, {"c", false, 0, false}},
		"the life of a machine is not known": {{"", true, time.Minute, false}, {"", true, 0, false}, {"b", true, 0, false}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := lives(t, memkv.New(), all...)
				if got[1] != got[0] || got[2] != got[0] {
					t.Errorf("epochs = %v; want one", got)
				}
			})
		})
	}
}

// A node that is stopped before it could give the epoch gives it at its next start.
func TestAHigherEpochIsOwedUntilItIsGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, memory := memkv.New(), epoch.Forgetful()
		first := start(t, store, memory)
		before := first.current(t)
		time.Sleep(3 * time.Second)
		first.stop()
		r, err := memory.Load()
		if err != nil {
			t.Fatal(err)
		}
		r.Boot = "a"
		if err := memory.Save(r); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			guard, err := epoch.NewGuard(store, memory, epoch.WithBoot("b", true))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // before the store has shown anything
			_ = guard.Run(ctx)
		}
		last := start(t, store, memory, epoch.WithBoot("b", true))
		defer last.stop()
		if got := last.current(t); got <= before {
			t.Errorf("epoch = %d; want more than %d", got, before)
		}
	})
}
