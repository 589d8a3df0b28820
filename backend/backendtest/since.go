package backendtest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/roostbus/roost/backend"
)

var sinceClauses = []clause{
	{name: "AListSinceARevisionIsWhatChangedAfterIt", check: sinceChanges},
	{name: "AListSinceKeepsToItsScope", check: sinceScope},
	{name: "AListSinceTellsWhatDoesNotMatch", check: sinceUnmatched},
	{name: "AListSinceTellsOfAnEndedLease", check: sinceEnding, owners: true},
	{name: "AListSinceTheNewestRevisionIsEmpty", check: sinceNewest},
	{name: "AListSinceNothingIsEverythingOrErrCompacted", check: sinceNothing},
	{name: "PagesOfAListSinceMakeUpTheWholeAndCountRemovals", check: sincePages},
	{name: "APageOfAListSinceHasAtMostItsBytes", check: sinceBytes},
	{name: "PagesOfAListSinceEndExactWhileOthersWrite", check: sincePagesWhileOthersWrite},
	{name: "AListSinceARevisionThatIsStillToComeWaitsForIt", check: sinceAhead},
	{name: "AListSinceARevisionOfAnotherEpochIsErrCompacted", check: sinceOtherEpoch},
}

// after returns a query of what changed in scope after what has the stamp.
func after(in backend.Scope, stamp backend.Stamp) backend.Query {
	return backend.Query{Scope: in, Since: &stamp.Revision, Read: backend.Read{Epoch: stamp.Epoch}}
}

// since returns all that q, which has a Since, selects, and the stamp of the first page.
func (s subject) since(t *testing.T, q backend.Query) (there []*backend.Registration, gone []backend.Removed, first backend.Stamp) {
	t.Helper()
	for {
		page, stamp, err := s.List(patient(t), q)
		if err != nil {
			t.Fatalf("List(%s since %d) = %v; want nil", q.Scope, *q.Since, err)
		}
		if q.After == "" {
			first = stamp
		}
		there, gone = append(there, page.Registrations...), append(gone, page.Removed...)
		if q.After = page.Next; q.After == "" {
			return there, gone, first
		}
	}
}

// changed checks what q gives: instances that are there, and those that are not with the
// reason, as "instance reason".
func (s subject) changed(t *testing.T, q backend.Query, there []string, gone ...string) {
	t.Helper()
	q.Consistency = backend.Linearizable
	gotThere, gotGone, _ := s.since(t, q)
	if got := instances(gotThere); !slices.Equal(got, there) {
		t.Errorf("List(%s since %d) has %q; want %q", q.Scope, *q.Since, got, there)
	}
	if got := reasons(gotGone); !slices.Equal(got, gone) {
		t.Errorf("List(%s since %d) has removed %q; want %q", q.Scope, *q.Since, got, gone)
	}
}

func reasons(gone []backend.Removed) (all []string) {
	for _, r := range gone {
		all = append(all, r.Instance+" "+r.Reason)
	}
	return all
}

func sinceChanges(t *testing.T, s subject) {
	for _, name := range []string{"kept", "updated", "removed", "again"} {
		s.register(t, instance("payments", name), backend.Write{})
	}
	_, stamp := s.register(t, instance("payments", "last"), backend.Write{})
	updated, _ := s.update(t, instance("payments", "updated").Key, backend.Change{Weight: address[uint16](7)}, backend.Write{})
	removal, _ := s.unregister(t, instance("payments", "removed").Key, backend.Write{Reason: "scaled down"})
	s.unregister(t, instance("payments", "again").Key, backend.Write{})
	again, _ := s.register(t, instance("payments", "again"), backend.Write{})
	added, _ := s.register(t, instance("payments", "added"), backend.Write{})
	s.register(t, instance("payments", "brief"), backend.Write{})
	_, newest := s.unregister(t, instance("payments", "brief").Key, backend.Write{})

	q := after(scope("payments"), stamp)
	q.MinRevision = newest.Revision
	there, gone, at := s.since(t, q)
	if len(there) != 3 || len(gone) != 2 {
		t.Fatalf("%d there, %+v removed; want added, again and updated, and brief and removed", len(there), gone)
	}
	same(t, *there[0], added)
	same(t, *there[1], again)
	same(t, *there[2], updated)
	want := backend.Removed{Key: instance("payments", "removed").Key, Revision: removal.Revision, Reason: "scaled down"}
	if gone[1] != want || gone[0].Key != instance("payments", "brief").Key || gone[0].Revision != newest.Revision {
		t.Errorf("removed %+v; want brief at %d and %+v", gone, newest.Revision, want)
	}
	if at.Revision < newest.Revision || at.Epoch != newest.Epoch {
		t.Errorf("stamped %+v; want at least %+v", at, newest)
	}
	s.changed(t, after(scope("payments"), newest), []string{})
}

func sinceScope(t *testing.T, s subject) {
	other := instance("payments", "far")
	other.Namespace = "other"
	_, stamp := s.register(t, instance("payments", "old"), backend.Write{})
	s.register(t, instance("payments", "a"), backend.Write{})
	s.register(t, instance("pay", "b"), backend.Write{})
	s.register(t, other, backend.Write{})
	s.unregister(t, instance("payments", "old").Key, backend.Write{Reason: "old"})
	s.changed(t, after(scope("payments"), stamp), []string{"a"}, "old old")
	s.changed(t, after(scope("pay"), stamp), []string{"b"})
	s.changed(t, after(scope("orders"), stamp), []string{})
	s.changed(t, after(backend.Scope{Namespace: "default"}, stamp), []string{"b", "a"}, "old old")
	s.changed(t, after(backend.Scope{Namespace: "other"}, stamp), []string{"far"})
	s.changed(t, after(backend.Scope{}, stamp), []string{"b", "a", "far"}, "old old")
}

func sinceUnmatched(t *testing.T, s subject) {
	_, stamp := s.register(t, described("payments", "in", `{"zone":"a"}`), backend.Write{})
	s.register(t, described("payments", "out", `{"zone":"b"}`), backend.Write{})
	_, both := s.register(t, described("payments", "kept", `{"zone":"a"}`), backend.Write{})
	left := backend.Change{Metadata: address(backend.Metadata(`{"zone":"b"}`)), Weight: address[uint16](1), Status: address(backend.Draining)}
	now, _ := s.update(t, instance("payments", "in").Key, left, backend.Write{})
	s.update(t, instance("payments", "out").Key, backend.Change{Metadata: address(backend.Metadata(`{"zone":"a"}`))}, backend.Write{})

	q := after(scope("payments"), stamp)
	q.Where = conditions{"zone": `"a"`}
	s.changed(t, q, []string{"kept", "out"}, "in "+backend.ReasonUnmatched)
	q.Where, q.Filter = nil, `metadata.zone == "a" && weight > 0`
	s.changed(t, q, []string{"kept", "out"}, "in "+backend.ReasonUnmatched)
	q.Filter, q.Status = "", []backend.Status{backend.Up}
	s.changed(t, q, []string{"kept", "out"}, "in "+backend.ReasonUnmatched)

	q = after(scope("payments"), both)
	q.Status = []backend.Status{backend.Up}
	q.Consistency = backend.Linearizable
	_, gone, _ := s.since(t, q)
	if want := (backend.Removed{Key: now.Key, Revision: now.Revision, Reason: backend.ReasonUnmatched}); len(gone) != 1 || gone[0] != want {
		t.Errorf("removed %+v; want %+v", gone, want)
	}
}

// R3.
func sinceEnding(t *testing.T, s subject) {
	first, _ := s.owns(t, "a", instance("payments", "a-1"))
	s.owns(t, "a", instance("payments", "a-2"))
	_, stamp := s.owns(t, "b", instance("payments", "b-1"))
	s.leases.End("a", backend.ReasonClosed)
	q := after(scope("payments"), stamp)
	s.changed(t, q, []string{}, "a-1 closed", "a-2 closed")
	_, gone, now := s.since(t, q)
	if gone[0].Revision != gone[1].Revision || gone[0].Revision <= first.Revision || gone[0].Revision > now.Revision {
		t.Errorf("removed %+v as of %+v; want both at the revision of the end", gone, now)
	}
	again, _ := s.owns(t, "c", instance("payments", "a-1"))
	s.changed(t, q, []string{again.Instance}, "a-2 closed")
}

func sinceNewest(t *testing.T, s subject) {
	_, stamp := s.fill(t, 5)
	for range 3 {
		there, gone, now := s.since(t, after(backend.Scope{}, stamp))
		if len(there)+len(gone) != 0 || now.Revision < stamp.Revision || now.Epoch != stamp.Epoch {
			t.Errorf("since %+v: %d there, %d removed, as of %+v; want nothing", stamp, len(there), len(gone), now)
		}
		stamp = now
	}
}

func sinceNothing(t *testing.T, s subject) {
	all, stamp := s.fill(t, 5)
	_, stamp2 := s.unregister(t, instance("payments", all[2]).Key, backend.Write{Reason: "gone"})
	q := after(scope("payments"), backend.Stamp{Epoch: stamp.Epoch})
	q.MinRevision = stamp2.Revision
	if _, _, err := s.List(patient(t), q); err != nil {
		fails(t, "List since 0", err, backend.ErrCompacted) // it is not surely remembered
		return
	}
	s.changed(t, q, slices.Delete(slices.Clone(all), 2, 3), all[2]+" gone")
}

func sincePages(t *testing.T, s subject) {
	all, stamp := s.fill(t, 12)
	for i, name := range all {
		key := instance("payments", name).Key
		if i%3 == 0 {
			s.unregister(t, key, backend.Write{})
		} else {
			s.update(t, key, backend.Change{Weight: address[uint16](7)}, backend.Write{})
		}
	}
	s.register(t, instance("orders", "i"), backend.Write{})
	for _, limit := range []int{1, 3, 11, 12, 13, 0} {
		q := after(scope("payments"), stamp)
		q.Limit, q.Consistency = limit, backend.Linearizable
		var first backend.Stamp
		var names []string
		for i := 0; ; i++ {
			page, stamp, err := s.List(patient(t), q)
			if err != nil {
				t.Fatalf("page %d of %d: %v", i, limit, err)
			}
			if i == 0 {
				first = stamp
			} else if stamp.Revision != first.Revision || stamp.Epoch != first.Epoch {
				t.Errorf("page %d of %d is stamped %+v; want the first one's %+v", i, limit, stamp, first)
			}
			n := len(page.Registrations) + len(page.Removed)
			if limit > 0 && n > limit || n == 0 {
				t.Errorf("page %d of %d has %d entries", i, limit, n)
			}
			both := instances(page.Registrations)
			for _, r := range page.Removed {
				both = append(both, r.Instance)
			}
			slices.Sort(both)
			names = append(names, both...)
			if q.After = page.Next; q.After == "" {
				break
			}
			s.register(t, instance("orders", fmt.Sprint(limit, "-", i)), backend.Write{})
		}
		if !slices.Equal(names, all) {
			t.Errorf("pages of %d: %q; want %q", limit, names, all)
		}
	}
}

func sinceBytes(t *testing.T, s subject) {
	all, stamp := s.fill(t, 9)
	largest := 0
	for i, name := range all {
		if key := instance("payments", name).Key; i%2 == 0 {
			removal, _ := s.unregister(t, key, backend.Write{Reason: `a "reason"`})
			gone := backend.Removed{Key: key, Revision: removal.Revision, Reason: `a "reason"`}
			largest = max(largest, len(gone.AppendJSON(nil)))
		} else {
			r, _ := s.update(t, key, backend.Change{Weight: address[uint16](7)}, backend.Write{})
			largest = max(largest, len(r.AppendJSON(nil)))
		}
	}
	for _, size := range []int{1, largest, 3 * largest, 100 * largest} {
		q := after(scope("payments"), stamp)
		q.MaxBytes, q.Consistency = size, backend.Linearizable
		total := 0
		for i, page := range s.pages(t, q) {
			bytes, n := 0, len(page.Registrations)+len(page.Removed)
			for _, r := range page.Registrations {
				bytes += len(r.AppendJSON(nil))
			}
			for _, r := range page.Removed {
				bytes += len(r.AppendJSON(nil))
			}
			if n == 0 || n > 1 && bytes > size {
				t.Errorf("page %d of %d bytes has %d entries of %d bytes", i, size, n, bytes)
			}
			total += n
		}
		if total != len(all) {
			t.Errorf("pages of %d bytes have %d entries; want %d", size, total, len(all))
		}
	}
}

func sincePagesWhileOthersWrite(t *testing.T, s subject) {
	all, stamp := s.fill(t, 12)
	f := newFollower(backend.Query{Scope: scope("payments"), Where: conditions{"odd": "true"}})
	s.poll(t, f, 3)
	ctx, stop := context.WithCancel(patient(t))
	done := make(chan struct{})
	go func() {
		defer close(done)
		whole := context.WithoutCancel(ctx) // what is cut short may be done later
		for i := 0; ctx.Err() == nil; i++ {
			key := instance("payments", all[i%12]).Key
			brief := described("payments", fmt.Sprintf("%s-x", all[i*7%12]), `{"odd":true}`)
			_, _, _ = s.Register(whole, brief, backend.Write{})
			odd := backend.Metadata(fmt.Sprintf(`{"odd":%t}`, i%5 < 2))
			_, _, _ = s.Update(whole, key, backend.Change{Metadata: &odd}, backend.Write{})
			_, _, _ = s.Unregister(whole, brief.Key, backend.Write{})
		}
	}()
	for polls := 0; polls < 20 || f.at.Revision < stamp.Revision+50; polls++ {
		s.poll(t, f, 3)
	}
	stop()
	<-done
	s.exact(t, f, 3)
}

func sinceAhead(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	ahead := stamp
	ahead.Revision += 1_000_000
	ctx, cancel := context.WithTimeout(patient(t), 20*time.Millisecond)
	defer cancel()
	page, _, err := s.List(ctx, after(scope("payments"), ahead))
	fails(t, "List", err, backend.ErrUnavailable)
	if page != nil {
		t.Error("List returned a page beside its error")
	}

	ahead.Revision = stamp.Revision + 1
	answer := make(chan error, 1)
	q := after(scope("payments"), ahead)
	waiting := patient(t)
	go func() {
		_, got, err := s.List(waiting, q)
		if err == nil && got.Revision < ahead.Revision {
			err = fmt.Errorf("answered as of %d before %d", got.Revision, ahead.Revision)
		}
		answer <- err
	}()
	s.register(t, instance("payments", "i-2"), backend.Write{})
	fails(t, "List", <-answer, nil)
}

func sinceOtherEpoch(t *testing.T, s subject) {
	_, stamp := s.register(t, instance("payments", "i-1"), backend.Write{})
	for _, revision := range []backend.Revision{0, 1, stamp.Revision} {
		for _, wait := range []time.Duration{0, time.Hour} {
			q := after(scope("payments"), backend.Stamp{Revision: revision, Epoch: stamp.Epoch + 1})
			q.Wait = wait
			_, _, err := s.List(patient(t), q)
			fails(t, fmt.Sprintf("List since %d of another epoch, waiting %v", revision, wait), err, backend.ErrCompacted)
		}
	}
}
