package view_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
)

func key(service, instance string) backend.Key {
	return backend.Key{Namespace: "default", Service: service, Instance: instance}
}

func put(revision backend.Revision, k backend.Key, metadata backend.Metadata) view.Change {
	return view.Change{
		Registration: &backend.Registration{Key: k, Metadata: metadata, Weight: 100, Status: backend.Up},
		Kind:         backend.Registered, Revision: revision,
	}
}

func owned(revision backend.Revision, k backend.Key, owner string) view.Change {
	c := put(revision, k, "")
	c.Registration.Owner = owner
	return c
}

func removal(revision backend.Revision, k backend.Key) view.Change {
	return view.Change{
		Registration: &backend.Registration{Key: k}, Kind: backend.Unregistered, Revision: revision, Removed: true,
	}
}

// list returns the keys of everything.
func list(t *testing.T, v *view.View) []string {
	t.Helper()
	page, _, err := v.List(t.Context(), backend.Query{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return keysOf(page.Registrations)
}

func keysOf(registrations []*backend.Registration) []string {
	keys := []string{}
	for _, r := range registrations {
		keys = append(keys, r.String())
	}
	return keys
}

func TestChangeThatIsNotNewerIsIgnored(t *testing.T) {
	t.Parallel()
	v := view.New(7)
	k := key("a", "1")
	v.Apply(5, put(5, k, `{"n":5}`))
	v.Apply(5, put(4, k, `{"n":4}`), removal(5, k))
	r, stamp := v.Lookup(k)
	if r == nil || r.Metadata != `{"n":5}` || r.Revision != 5 || r.CreatedRevision != 5 {
		t.Errorf("Lookup = %+v; want what revision 5 wrote", r)
	}
	if want := (backend.Stamp{Revision: 5, Epoch: 7}); stamp != want {
		t.Errorf("stamp = %v; want %v", stamp, want)
	}
}

func TestListIsOrderedByTheBytesOfKeys(t *testing.T) {
	t.Parallel()
	v := view.New(1)
	var want []string
	for i, k := range []backend.Key{
		{Namespace: "a-b", Service: "s", Instance: "x"},
		{Namespace: "a", Service: "s", Instance: ""},
		{Namespace: "a", Service: "s", Instance: "é"},
		{Namespace: "a", Service: "s-1", Instance: "i"},
		{Namespace: "a", Service: "s", Instance: "10.0.0.7:8080"},
		{Namespace: "a", Service: "s", Instance: "10"},
		{Namespace: "a", Service: "s", Instance: "10A"},
		{Namespace: "a", Service: "s", Instance: "Z"},
		{Namespace: "a0", Service: "s", Instance: "i"},
		{Namespace: "a", Service: "s", Instance: "1 0"},
	} {
		v.Apply(0, put(backend.Revision(i+1), k, ""))
		want = append(want, k.String())
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, list(t, v)); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	for _, limit := range []int{1, 3, 7} {
		var got []string
		q := backend.Query{Limit: limit}
		for more := true; more; more = q.After != "" {
			page, _, err := v.List(t.Context(), q, nil)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, keysOf(page.Registrations)...)
			q.After = page.Next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
		}
	}
}

func TestWholeServiceIsTheSamePageUntilSomethingInItChanges(t *testing.T) {
	t.Parallel()
	v := view.New(1)
	v.Apply(2, put(1, key("a", "1"), ""), put(2, key("b", "1"), ""))
	q := backend.Query{Scope: backend.Scope{Namespace: "default", Service: "a"}, MaxBytes: 10_000}
	page := func() *backend.Page {
		p, _, err := v.List(t.Context(), q, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := page()
	v.Apply(3, put(3, key("b", "2"), ""))
	if page() != first {
		t.Error("a change in another service made a new page")
	}
	v.Apply(4, put(4, key("a", "2"), ""))
	if page() == first {
		t.Error("a change in the service did not make a new page")
	}
}

func TestEndedOwnersRegistrationsVanishAndStayStored(t *testing.T) {
	t.Parallel()
	v := view.New(1)
	k := key("a", "1")
	v.Apply(2, owned(1, k, "o"), owned(2, key("a", "2"), "p"))
	v.End(backend.Ending{Owner: "o", Revision: 3, Reason: backend.ReasonClosed})
	v.Advance(3)
	if got := list(t, v); !slices.Equal(got, []string{"default.a.2"}) {
		t.Errorf("List = %v", got)
	}
	row := v.Row(k)
	if !row.Present || row.Alive || row.Revision != 1 || row.Registration.Owner != "o" {
		t.Errorf("Row = %+v; want it stored at 1 and not alive", row)
	}
	changes, _, err := v.List(t.Context(), after(backend.Query{}, 2), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []backend.Removed{{Key: k, Revision: 3, Reason: backend.ReasonClosed}}
	if diff := cmp.Diff(want, changes.Removed); diff != "" {
		t.Errorf("Since(2).Removed (-want +got):\n%s", diff)
	}
	v.Apply(4, owned(4, key("a", "3"), "o"))
	if r, _ := v.Lookup(key("a", "3")); r != nil {
		t.Error("what arrived of an ended owner is shown")
	}
	if n := len(slices.Collect(v.Owned("o"))); n != 2 {
		t.Errorf("Owned yields %d, want 2", n)
	}
	v.Apply(6, removal(5, k), removal(6, key("a", "3")))
	if row := v.Row(k); row.Present || row.Revision != 5 {
		t.Errorf("Row = %+v; want a marker at 5", row)
	}
	if n := len(slices.Collect(v.Owned("o"))); n != 0 {
		t.Errorf("Owned yields %d, want none", n)
	}
}

func TestWaitersAreWokenByRevisionByKeyAndByClose(t *testing.T) {
	t.Parallel()
	v := view.New(1)
	errs := make(chan error, 3)
	go func() { errs <- v.Wait(t.Context(), 2) }()
	go func() {
		err := v.AwaitKey(t.Context(), key("a", "1"), time.Now().Add(time.Minute))
		if r, _ := v.Lookup(key("a", "1")); err == nil && r == nil {
			err = errors.New("woken before it is there")
		}
		errs <- err
	}()
	v.Apply(1, put(1, key("b", "1"), ""))
	v.Apply(2, put(2, key("a", "1"), ""))
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	go func() { errs <- v.Wait(context.WithoutCancel(t.Context()), 9) }()
	v.Close()
	if err := <-errs; !errors.Is(err, backend.ErrClosed) {
		t.Errorf("Wait after Close = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := view.New(1).Wait(ctx, 1); !errors.Is(err, backend.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Wait with a done context = %v", err)
	}
}

// after returns q for what changed after revision.
func after(q backend.Query, revision backend.Revision) backend.Query {
	q.Since = &revision
	return q
}

// What is written after the end of its lease is published before it is removed, so whoever
// follows the events has it and must hear of the removal.
func TestTheRemovalOfWhatWasVoidIsNews(t *testing.T) {
	t.Parallel()
	v := view.New(1)
	known, void := key("a", "1"), key("a", "2")
	v.Apply(1, owned(1, known, "o"))
	v.End(backend.Ending{Owner: "o", Revision: 2, Reason: backend.ReasonRevoked})
	v.Apply(3, owned(3, void, "o"))
	for since, want := range map[backend.Revision][]backend.Removed{
		2: {{Key: void, Revision: 3, Reason: backend.ReasonRevoked}},
		3: {},
	} {
		changes, _, err := v.List(t.Context(), after(backend.Query{}, since), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, changes.Removed); diff != "" {
			t.Errorf("Since(%d).Removed (-want +got):\n%s", since, diff)
		}
	}
	gone := removal(5, void)
	gone.Reason = backend.ReasonRevoked
	v.Apply(5, removal(4, known), gone)
	changes, _, err := v.List(t.Context(), after(backend.Query{}, 3), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []backend.Removed{{Key: void, Revision: 5, Reason: backend.ReasonRevoked}}
	if diff := cmp.Diff(want, changes.Removed); diff != "" {
		t.Errorf("Since(3).Removed after the removals (-want +got):\n%s", diff)
	}
}
