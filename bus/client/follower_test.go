package client

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
)

// told is what a consumer sees of an event.
type told struct {
	Kind     EventKind
	Instance string
	Revision Revision
}

func following(q Query, list []*Registration, stamp Stamp) *follower {
	f := &follower{
		query: q, epoch: stamp.Epoch,
		held: map[Key]*Registration{}, removed: map[Key]Revision{},
	}
	f.merge(list, stamp)
	return f
}

func at(instance string, revision Revision) *Registration {
	return &Registration{
		Key:      Key{Namespace: "default", Service: "payments", Instance: instance},
		Status:   Up,
		Revision: revision,
	}
}

func event(kind EventKind, instance string, revision, previous Revision) Event {
	return Event{Kind: kind, Registration: at(instance, revision), Revision: revision, Previous: previous}
}

func see(events []Event) []told {
	var seen []told
	for _, e := range events {
		seen = append(seen, told{e.Kind, e.Registration.Instance, e.Revision})
	}
	return seen
}

// hear applies events and returns what is news of them; it fails if any shows a gap.
func hear(t *testing.T, f *follower, events ...Event) []told {
	t.Helper()
	var fresh []Event
	for _, e := range events {
		e, verdict := f.apply(e)
		switch verdict {
		case missing:
			t.Fatalf("revision %d of %s shows a gap", e.Revision, e.Registration.Key)
		case news:
			fresh = append(fresh, e)
		}
	}
	return see(fresh)
}

func TestAnEventIsAppliedOnceAndNeverAfterANewerOne(t *testing.T) {
	t.Parallel()
	f := following(Query{}, []*Registration{at("a", 3)}, Stamp{Revision: 5, Epoch: 1})
	got := hear(t, f,
		event(Updated, "a", 3, 2), // the list showed it
		event(Updated, "a", 6, 3),
		event(Updated, "a", 6, 3),
		event(Registered, "b", 7, 0),
		event(Unregistered, "b", 8, 7),
		event(Registered, "b", 7, 0), // late
	)
	want := []told{{Updated, "a", 6}, {Registered, "b", 7}, {Unregistered, "b", 8}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnEventWhosePredecessorWasLostShowsAGap(t *testing.T) {
	t.Parallel()
	f := following(Query{}, []*Registration{at("a", 3)}, Stamp{Revision: 5, Epoch: 1})
	if _, verdict := f.apply(event(Updated, "a", 9, 7)); verdict != missing {
		t.Errorf("revision 9 after an unseen 7: got verdict %d; want a gap", verdict)
	}
	got := see(f.merge([]*Registration{at("a", 9), at("b", 8)}, Stamp{Revision: 9, Epoch: 1}))
	want := []told{{Registered, "b", 8}, {Updated, "a", 9}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, verdict := f.apply(event(Updated, "a", 9, 7)); verdict != stale {
		t.Errorf("revision 9 after the list: got verdict %d; want stale", verdict)
	}
}

func TestAListRemovesWhatItLacksUnlessThatIsNewerThanTheList(t *testing.T) {
	t.Parallel()
	f := following(Query{}, []*Registration{at("a", 3), at("b", 4)}, Stamp{Revision: 5, Epoch: 1})
	hear(t, f, event(Registered, "c", 9, 0))
	got := see(f.merge([]*Registration{at("a", 3)}, Stamp{Revision: 8, Epoch: 1}))
	if diff := cmp.Diff([]told{{Unregistered, "b", 8}}, got); diff != "" {
		t.Error(diff)
	}
	// The removal's own event comes late; its key is gone already.
	if got := hear(t, f, event(Unregistered, "b", 7, 4)); got != nil {
		t.Errorf("told again: %v", got)
	}
}

func TestALateListDoesNotBringBackWhatWasRemovedAfterIt(t *testing.T) {
	t.Parallel()
	f := following(Query{}, []*Registration{at("a", 3)}, Stamp{Revision: 5, Epoch: 1})
	hear(t, f, event(Unregistered, "a", 9, 3))
	if got := see(f.merge([]*Registration{at("a", 3)}, Stamp{Revision: 8, Epoch: 1})); got != nil {
		t.Errorf("told %v of a key that is gone", got)
	}
	if f.held[at("a", 3).Key] != nil {
		t.Error("a ghost is held")
	}
}

func TestARemovalSeenInALaterPageIsToldOnce(t *testing.T) {
	t.Parallel()
	f := following(Query{}, []*Registration{at("a", 3)}, Stamp{Revision: 5, Epoch: 1})
	// The first page was made at 6; a was removed at 8, before its page was made.
	if diff := cmp.Diff([]told{{Unregistered, "a", 6}}, see(f.merge(nil, Stamp{Revision: 6, Epoch: 1}))); diff != "" {
		t.Error(diff)
	}
	if got := hear(t, f, event(Unregistered, "a", 8, 3)); got != nil {
		t.Errorf("told again: %v", got)
	}
}

func TestAnAnswerOlderThanWhatIsKnownChangesNothing(t *testing.T) {
	t.Parallel()
	f := following(Query{}, []*Registration{at("a", 3)}, Stamp{Revision: 5, Epoch: 2})
	for _, old := range []Stamp{{Revision: 4, Epoch: 2}, {Revision: 900, Epoch: 1}} {
		if got := see(f.merge(nil, old)); got != nil {
			t.Errorf("a list as of %+v tells %v", old, got)
		}
	}
}

func TestANewEpochTellsWhatDiffersInContent(t *testing.T) {
	t.Parallel()
	f := following(Query{}, []*Registration{at("a", 300), at("b", 301), at("c", 302)}, Stamp{Revision: 500, Epoch: 1})
	changed := at("b", 2)
	changed.Weight = 7
	got := see(f.merge([]*Registration{at("a", 1), changed, at("d", 3)}, Stamp{Revision: 4, Epoch: 2}))
	want := []told{{Updated, "b", 2}, {Registered, "d", 3}, {Unregistered, "c", 4}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := hear(t, f, event(Updated, "a", 5, 1)); len(got) != 1 {
		t.Errorf("the new epoch's events: got %v; want one", got)
	}
}

func TestWhatDoesNotMatchIsUnmatched(t *testing.T) {
	t.Parallel()
	f := following(Query{Status: []backend.Status{Up}}, []*Registration{at("a", 3)}, Stamp{Revision: 5, Epoch: 1})
	drained := event(Updated, "a", 6, 3)
	drained.Registration.Status = Draining
	back := event(Updated, "a", 7, 6)
	got := hear(t, f, drained, back, event(Unregistered, "a", 8, 7))
	want := []told{{Unmatched, "a", 6}, {Updated, "a", 7}, {Unregistered, "a", 8}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
