package view_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
)

func TestRebuildServesTheOldStateUntilItIsCommitted(t *testing.T) {
	t.Parallel()
	v := view.New(1)
	v.Apply(3, put(1, key("a", "1"), ""), put(2, key("a", "2"), ""), put(3, key("a", "3"), ""))
	next := watch(t, v, backend.Query{}, 3)
	b := v.Rebuild()
	b.Apply(put(5, key("a", "4"), ""), put(4, key("a", "2"), `{"n":4}`), put(3, key("a", "3"), ""))
	if diff := cmp.Diff([]string{"default.a.1", "default.a.2", "default.a.3"}, list(t, v)); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	b.Commit(view.Snapshot{Epoch: 1, Revision: 6, Floor: 3})
	if diff := cmp.Diff([]string{"default.a.2", "default.a.3", "default.a.4"}, list(t, v)); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
	want := []seen{
		{backend.Gap, "", 3},
		{backend.Registered, "2", 4},
		{backend.Registered, "4", 5},
		{backend.Unregistered, "1", 6},
	}
	if diff := cmp.Diff(want, take(t, next, 4)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if row := v.Row(key("a", "1")); row.Present || row.Revision != 0 {
		t.Errorf("Row = %+v; want nothing stored, no marker either", row)
	}
}

func TestRebuildThatMayHaveMissedRemovalsRaisesTheFloor(t *testing.T) {
	t.Parallel()
	v := view.New(1)
	v.Apply(10, put(10, key("a", "1"), ""))
	b := v.Rebuild()
	b.Apply(put(10, key("a", "1"), ""))
	b.Commit(view.Snapshot{Epoch: 1, Revision: 20, Floor: 10})
	if v.Floor() != 0 {
		t.Errorf("Floor() = %d after a snapshot with every removal since; want 0", v.Floor())
	}
	b = v.Rebuild()
	b.Apply(put(10, key("a", "1"), ""))
	b.Commit(view.Snapshot{Epoch: 1, Revision: 40, Floor: 30})
	if v.Floor() != 30 {
		t.Errorf("Floor() = %d after a snapshot without what was removed after 20; want 30", v.Floor())
	}
	b = v.Rebuild()
	b.Commit(view.Snapshot{Epoch: 1, Revision: 50})
	if v.Floor() != 50 {
		t.Errorf("Floor() = %d after a snapshot that knows no removals; want 50", v.Floor())
	}
}

func TestNewEpochEndsWhatRefersToTheOldOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := view.New(1)
		v.Apply(9, put(8, key("a", "1"), ""), put(9, key("a", "2"), ""))
		page, _, err := v.List(t.Context(), backend.Query{Limit: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		errs := make(chan error, 2)
		go func() { errs <- v.Wait(t.Context(), 10) }()
		go func() {
			for _, err := range v.Watch(t.Context(), backend.Query{}, nil, 0) {
				errs <- err
			}
		}()
		synctest.Wait()
		b := v.Rebuild()
		b.Apply(put(2, key("a", "3"), ""))
		b.Commit(view.Snapshot{Epoch: 2, Revision: 2})
		for range 2 {
			if err := <-errs; !errors.Is(err, backend.ErrCompacted) {
				t.Errorf("a wait and a watch ended with %v; want ErrCompacted", err)
			}
		}
		read := backend.Read{Epoch: 1, MinRevision: 1}
		if err := v.Await(t.Context(), read); !errors.Is(err, backend.ErrCompacted) {
			t.Errorf("Await of a revision of epoch 1 = %v", err)
		}
		if err := v.Await(t.Context(), backend.Read{Epoch: 1}); err != nil {
			t.Errorf("Await that names no revision = %v", err)
		}
		for _, q := range []backend.Query{{After: page.Next}, {Read: read}} {
			if _, _, err := v.List(t.Context(), q, nil); !errors.Is(err, backend.ErrCompacted) {
				t.Errorf("List(%+v) = %v", q, err)
			}
		}
		q := backend.Query{Read: backend.Read{Epoch: 1}}
		if _, _, err := v.List(t.Context(), after(q, 2), nil); !errors.Is(err, backend.ErrCompacted) {
			t.Errorf("Since = %v", err)
		}
		for _, err := range v.Watch(t.Context(), q, nil, 2) {
			if !errors.Is(err, backend.ErrCompacted) {
				t.Errorf("Watch = %v", err)
			}
		}
		r, stamp := v.Lookup(key("a", "3"))
		if want := (backend.Stamp{Revision: 2, Epoch: 2}); r == nil || stamp != want {
			t.Errorf("Lookup = %v, %v; want it at %v", r, stamp, want)
		}
	})
}

func TestRenewKeepsEverythingUnderAnotherEpoch(t *testing.T) {
	t.Parallel()
	v := view.New(1)
	v.Apply(4, owned(1, key("a", "1"), "o"), put(2, key("a", "2"), ""), put(3, key("a", "3"), ""), removal(4, key("a", "3")))
	v.End(backend.Ending{Owner: "o", Revision: 5})
	v.Advance(5)
	b := v.Renew()
	b.Apply(put(6, key("a", "4"), ""))
	b.Commit(view.Snapshot{Epoch: 2, Revision: 6})
	if diff := cmp.Diff([]string{"default.a.2", "default.a.4"}, list(t, v)); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	if row := v.Row(key("a", "3")); row.Present || row.Revision != 4 || row.Epoch != 2 {
		t.Errorf("Row = %+v; want the marker at 4", row)
	}
	if row := v.Row(key("a", "1")); !row.Present || row.Alive {
		t.Errorf("Row = %+v; want it stored and ended", row)
	}
}

func TestKeyThatASnapshotBringsWakesItsWaiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := view.New(0)
		got := make(chan error, 1)
		go func() {
			got <- v.AwaitKey(t.Context(), key("a", "1"), time.Now().Add(time.Minute))
		}()
		synctest.Wait()
		b := v.Rebuild()
		b.Apply(put(1, key("a", "1"), ""))
		b.Commit(view.Snapshot{Epoch: 1, Revision: 1})
		if err := <-got; err != nil {
			t.Errorf("AwaitKey = %v", err)
		}
	})
}
