package keeper_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/coordination/keeper"
	"github.com/roostbus/roost/kvstore/memkv"
)

// tower is an Announcer that keeps what it is told, and its own Epochs.
type tower struct {
	mu     sync.Mutex
	source string
	err    error
	epoch  uint32
	sent   []keeper.Beacon
}

func (w *tower) Source(context.Context) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.source, w.err
}

func (w *tower) Announce(b keeper.Beacon) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, b)
	return nil
}

func (w *tower) Current() (uint32, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.epoch, w.epoch != 0
}

func (w *tower) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// take returns what was sent since.
func (w *tower) take() []keeper.Beacon {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = nil
	return sent
}

func beaming(w *tower) setup {
	return setup{options: []keeper.Option{keeper.WithAnnouncer(w, w)}}
}

func TestTheKeeperAnnouncesItselfOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &tower{epoch: 7, source: "s"}
		n := start(t, memkv.New(), "a", beaming(w))
		time.Sleep(10*time.Second + time.Millisecond)
		sent := w.take()
		if len(sent) != 11 { // one at once
			t.Errorf("%d beacons in 10s; want 11", len(sent))
		}
		last := sent[len(sent)-1]
		want := keeper.Beacon{Revision: last.Revision, Epoch: 7, Feed: sent[0].Feed, Keeper: keeper.Holder{Node: "a", Term: 1}}
		if diff := cmp.Diff(want, last); diff != "" || last.Feed == "" || last.Revision == 0 {
			t.Errorf("last beacon (-want +got):\n%s", diff)
		}
		if now := n.tail.Revision(); now-last.Revision > 3 {
			t.Errorf("revision of the last beacon = %d; want about %d", last.Revision, now)
		}
	})
}

func TestNobodyButTheKeeperAnnounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, w := memkv.New(), &tower{epoch: 7}
		a := start(t, store, "a", setup{})
		start(t, store, "b", beaming(w))
		time.Sleep(10 * time.Second)
		if sent := w.take(); len(sent) != 0 {
			t.Errorf("a contender announced %v", sent)
		}
		a.kill()
		time.Sleep(10 * time.Second)
		if sent := w.take(); len(sent) == 0 || sent[0].Keeper != (keeper.Holder{Node: "b", Term: 2}) {
			t.Errorf("announced %v; want b in term 2", sent)
		}
	})
}

func TestAKeeperWithoutAnEpochOrASourceIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &tower{}
		start(t, memkv.New(), "a", beaming(w))
		time.Sleep(5500 * time.Millisecond)
		w.change(func() { w.epoch, w.err = 7, errors.New("no leader") })
		time.Sleep(5 * time.Second)
		if sent := w.take(); len(sent) != 0 {
			t.Errorf("announced %v", sent)
		}
		w.change(func() { w.err = nil })
		time.Sleep(time.Second + time.Millisecond)
		if sent := w.take(); len(sent) == 0 {
			t.Error("announces nothing once there is all of it")
		}
	})
}

// TestTheFeedChangesWheneverSomethingMayHaveBeenLost: R6 depends on it.
func TestTheFeedChangesWheneverSomethingMayHaveBeenLost(t *testing.T) {
	for name, happen := range map[string]func(w *tower, store *memkv.Store, n *node){
		"AnotherSource": func(w *tower, _ *memkv.Store, _ *node) { w.change(func() { w.source = "another" }) },
		"AnInterruptedFeed": func(_ *tower, s *memkv.Store, _ *node) {
			s.InterruptFeeds(errors.New("gone"))
			synctest.Wait()
			s.ResumeFeeds()
		},
		"AFeedBegunAnew": func(_ *tower, s *memkv.Store, _ *node) { s.RestartFeeds() },
		"AStoreMadeAnew": func(_ *tower, s *memkv.Store, _ *node) { s.Reset() },
		"AKeeperThatStalled": func(_ *tower, _ *memkv.Store, n *node) {
			n.store.freeze()
			time.Sleep(9 * time.Second)
			n.store.unfreeze()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, w := memkv.New(), &tower{epoch: 7, source: "s"}
				n := start(t, store, "a", beaming(w))
				time.Sleep(5 * time.Second)
				before := w.take()
				revision := n.tail.Revision()
				happen(w, store, n)
				time.Sleep(10 * time.Second)
				after := w.take()
				if len(after) == 0 || after[len(after)-1].Feed == before[len(before)-1].Feed {
					t.Fatalf("feed before %v, after %v; want another", before[len(before)-1], after)
				}
				for i, b := range before {
					if b.Feed != before[0].Feed {
						t.Errorf("feed of beacon %d = %s before anything happened; want %s", i, b.Feed, before[0].Feed)
					}
				}
				if name != "AStoreMadeAnew" && after[len(after)-1].Revision <= revision {
					t.Errorf("revision = %d; want more than %d", after[len(after)-1].Revision, revision)
				}
			})
		})
	}
}
