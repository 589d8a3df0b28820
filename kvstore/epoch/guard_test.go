package epoch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/epoch"
	"github.com/roostbus/roost/kvstore/memkv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is one node's Guard at work on a store.
type node struct {
	*epoch.Guard
	tail *kvstore.Tail
	stop func()
}

func start(t *testing.T, store kvstore.Store, memory epoch.Memory, opts ...epoch.Option) *node {
	t.Helper()
	guard, err := epoch.NewGuard(store, memory, opts...)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Guard: guard, tail: kvstore.NewTail(store)}
	n.tail.Subscribe(epoch.Key, guard)
	ctx, cancel := context.WithCancel(t.Context())
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = n.tail.Run(ctx) })
	tasks.Go(func() { _ = guard.Run(ctx) })
	n.stop = sync.OnceFunc(func() {
		cancel()
		tasks.Wait()
	})
	t.Cleanup(n.stop)
	return n
}

// current waits for n's epoch.
func (n *node) current(t *testing.T) uint32 {
	t.Helper()
	for range 100 {
		synctest.Wait()
		if e, ok := n.Current(); ok {
			return e
		}
		time.Sleep(100 * time.Millisecond) // in a bubble
	}
	t.Fatal("no epoch within ten seconds")
	return 0
}

func TestANewStoreGetsTheUnixTimeOrMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := uint32(time.Now().Unix())
		n := start(t, memkv.New(), epoch.Forgetful())
		defer n.stop()
		if got := n.current(t); got < now {
			t.Errorf("epoch = %d; want at least %d", got, now)
		}
	})
}

func TestARestartKeepsTheEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, memory := memkv.New(), epoch.Forgetful()
		first := start(t, store, memory)
		want := first.current(t)
		first.stop()
		time.Sleep(time.Hour)
		second := start(t, store, memory)
		defer second.stop()
		if got := second.current(t); got != want {
			t.Errorf("epoch after a restart = %d; want %d", got, want)
		}
	})
}

func TestNodesOfOneStoreAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		var nodes []*node
		for range 5 {
			nodes = append(nodes, start(t, store, epoch.Forgetful()))
		}
		want := nodes[0].current(t)
		for _, n := range nodes {
			defer n.stop()
			if got := n.current(t); got != want {
				t.Errorf("epoch = %d; want %d as the others have it", got, want)
			}
		}
	})
}

func TestAStoreMadeAnewGetsAHigherEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, epoch.Forgetful())
		defer n.stop()
		before := n.current(t)
		store.Reset()
		synctest.Wait()
		if after := n.current(t); after <= before {
			t.Errorf("epoch after a reset = %d; want more than %d", after, before)
		}
	})
}

func TestAPurgedStoreGetsAHigherEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, epoch.Forgetful())
		defer n.stop()
		before := n.current(t)
		store.Purge()
		time.Sleep(10 * time.Second)
		if after := n.current(t); after <= before {
			t.Errorf("epoch after a purge = %d; want more than %d", after, before)
		}
	})
}

// TestWhatANodeRemembersIsNeverUndercut covers a bucket that was restored from an older
// copy while the node was away: R7 and C1 depend on it.
func TestWhatANodeRemembersIsNeverUndercut(t *testing.T) {
	for name, tell := range map[string]func(r *epoch.Remembered){
		"AHigherEpoch":                 func(r *epoch.Remembered) { r.Epoch += 1000 },
		"MoreRevisionsOfTheSameEpoch":  func(r *epoch.Remembered) { r.Last += 1000 },
		"AnotherLifeWithTheSameNumber": func(r *epoch.Remembered) { r.Generation = "another" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, memory := memkv.New(), epoch.Forgetful()
				first := start(t, store, memory)
				before := first.current(t)
				time.Sleep(3 * time.Second)
				first.stop()
				r, err := memory.Load()
				if err != nil || r.Epoch != before || r.Last == 0 {
					t.Fatalf("remembered %+v, %v; want epoch %d and a revision", r, err, before)
				}
				tell(&r)
				if err := memory.Save(r); err != nil {
					t.Fatal(err)
				}
				second := start(t, store, memory)
				defer second.stop()
				if got := second.current(t); got <= max(before, r.Epoch) {
					t.Errorf("epoch = %d; want more than %d", got, max(before, r.Epoch))
				}
			})
		})
	}
}

func TestARaiseIsDoneOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, memory := memkv.New(), epoch.Forgetful()
		first := start(t, store, memory)
		before := first.current(t)
		first.stop()
		second := start(t, store, memory, epoch.WithRaise())
		defer second.stop()
		raised := second.current(t)
		if raised <= before {
			t.Errorf("epoch = %d; want more than %d", raised, before)
		}
		time.Sleep(time.Minute)
		if got := second.current(t); got != raised {
			t.Errorf("epoch a minute later = %d; want %d still", got, raised)
		}
	})
}

func TestAnEpochIsWrittenWhenTheStoreIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		store.FailWrites(3)
		n := start(t, store, epoch.Forgetful())
		defer n.stop()
		if _, ok := n.Current(); ok {
			t.Error("there is an epoch before any could be written")
		}
		n.current(t)
	})
}

func TestAForeignValueIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		if _, err := store.Write(t.Context(), kvstore.Write{Key: epoch.Key, Value: []byte("?")}); err != nil {
			t.Fatal(err)
		}
		n := start(t, store, epoch.Forgetful())
		defer n.stop()
		n.current(t)
	})
}

func TestAFileRemembers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "epoch.json")
	want := epoch.Remembered{Epoch: 7, Generation: "g", Last: 42}
	if got, err := epoch.File(path).Load(); err != nil || got != (epoch.Remembered{}) {
		t.Errorf("Load of nothing = %+v, %v; want the zero value", got, err)
	}
	for range 2 {
		if err := epoch.File(path).Save(want); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := epoch.File(path).Load(); err != nil || got != want {
		t.Errorf("Load = %+v, %v; want %+v", got, err, want)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("the folder holds %v, %v; want the one file", left, err)
	}
}

func TestADamagedFileIsAnErrorThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "epoch.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := epoch.NewGuard(memkv.New(), epoch.File(path))
	if _, syntax := errors.AsType[*json.SyntaxError](err); !syntax || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--new-epoch") {
		t.Errorf("NewGuard = %v; want the syntax error, the path and the way out", err)
	}
}

func TestAStoreThatFellBackGetsAHigherEpochHoweverFarItHasComeSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, epoch.Forgetful())
		defer n.stop()
		before := n.current(t)
		e, err := store.Get(t.Context(), epoch.Key)
		if err != nil {
			t.Fatal(err)
		}
		n.Stale(fmt.Errorf("%w from revision 7", kvstore.ErrFellBack))
		n.Begin(n.tail.Generation())
		n.Apply(e)
		n.Live(e.Revision + 1000)
		if got := n.current(t); got <= before {
			t.Errorf("epoch = %d after a fall back; want more than %d", got, before)
		}
	})
}
