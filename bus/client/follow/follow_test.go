package follow_test

import (
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client/follow"
)

var start = time.Unix(0, 0)

// settled returns a follower that is at revision 10 of epoch 1 and wants nothing.
func settled(t *testing.T) *follow.Follower {
	t.Helper()
	f := follow.Continue(backend.Stamp{Revision: 10, Epoch: 1})
	wants(t, f, nil)
	return f
}

// wants checks the list that f wants; nil: none.
func wants(t *testing.T, f *follow.Follower, want *follow.Request) follow.Request {
	t.Helper()
	got, wanted := f.Wanted()
	switch {
	case wanted != (want != nil):
		t.Fatalf("Wanted() = %+v, %v; want %+v", got, wanted, want)
	case want != nil && (got.Afresh != want.Afresh || got.Since != want.Since || got.Least != want.Least ||
		got.Epoch != want.Epoch || got.Linearizable != want.Linearizable):
		t.Fatalf("Wanted() = %+v; want %+v", got, *want)
	}
	return got
}

func answered(f *follow.Follower, r follow.Request, revision backend.Revision, epoch backend.Epoch) follow.Outcome {
	nothing := func(func(backend.Key, backend.Revision) bool) {}
	return f.Merge(follow.Answer{Request: r, Stamp: backend.Stamp{Revision: revision, Epoch: epoch}}, nothing, start)
}

func TestAGapIsClosedByAListThatReachesTheEvent(t *testing.T) {
	t.Parallel()
	f := settled(t)
	if got := f.Event(follow.Event{Key: keyOf(1), Revision: 15, Previous: 12}, start); got != follow.List {
		t.Errorf("verdict %d on a gap; want List", got)
	}
	r := wants(t, f, &follow.Request{Since: 10, Least: 15, Epoch: 1})
	answered(f, r, 16, 1)
	wants(t, f, nil)
}

func TestTheFirstBeaconAfterAReconnectIsANewFeed(t *testing.T) {
	t.Parallel()
	f := settled(t)
	sure := &follow.Request{Since: 10, Least: 10, Epoch: 1, Linearizable: true}
	f.Beacon(1, "feed")
	answered(f, wants(t, f, sure), 10, 1)
	f.Beacon(1, "feed")
	wants(t, f, nil)
	f.Reconnected()
	answered(f, wants(t, f, sure), 10, 1)
	f.Beacon(1, "feed")
	answered(f, wants(t, f, sure), 10, 1)
	f.Beacon(1, "another")
	answered(f, wants(t, f, sure), 10, 1)
	wants(t, f, nil)
}

func TestANewEpochBeginsAfreshAndAnOldOneIsNotListenedTo(t *testing.T) {
	t.Parallel()
	f := settled(t)
	f.Beacon(2, "feed")
	r := wants(t, f, &follow.Request{Afresh: true, Linearizable: true})
	if got := f.Event(follow.Event{Key: keyOf(1), Revision: 11, Previous: 0}, start); got != follow.List {
		t.Errorf("verdict %d on an event of which nobody knows the epoch; want List", got)
	}
	if o := answered(f, r, 3, 2); !o.Restart {
		t.Errorf("outcome %+v; want a restart", o)
	}
	answered(f, wants(t, f, &follow.Request{Since: 3, Least: 3, Epoch: 2, Linearizable: true}), 3, 2)
	f.Beacon(1, "old")
	f.Epoch(1)
	wants(t, f, nil)
}

func TestARevisionThatIsNeverReachedIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	f := settled(t)
	f.Event(follow.Event{Key: keyOf(1), Revision: 15, Previous: 12}, start)
	f.Failed(wants(t, f, &follow.Request{Since: 10, Least: 15, Epoch: 1}))
	wants(t, f, &follow.Request{Since: 10, Least: 10, Epoch: 1, Linearizable: true})
}

func TestARemovalIsRememberedUntilAListHasReachedItAndHalfAnHour(t *testing.T) {
	t.Parallel()
	f := settled(t)
	late := follow.Event{Key: keyOf(1), Revision: 11, Previous: 9}
	f.Event(follow.Event{Key: keyOf(1), Revision: 12, Previous: 9, Removes: true}, start)
	f.Event(follow.Event{Key: keyOf(2), Revision: 13}, start.Add(2*follow.Memory))
	if got := f.Event(late, start.Add(2*follow.Memory)); got != follow.Ignore {
		t.Errorf("verdict %d on an event older than the removal; want Ignore", got)
	}
}
