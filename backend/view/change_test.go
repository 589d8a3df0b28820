package view_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/view"
)

// changes is what a list that waits for a change has come to.
type changes struct {
	there, gone []string
	stamp       backend.Stamp
	err         error
}

// awaiting waits beside the test for a change in scope after since.
func awaiting(ctx context.Context, v *view.View, in backend.Scope, since backend.Revision, wait time.Duration) <-chan changes {
	answers := make(chan changes, 1)
	go func() {
		q := after(backend.Query{Scope: in, Read: backend.Read{Wait: wait}}, since)
		if err := v.AwaitChange(ctx, &q, time.Now().Add(wait)); err != nil {
			answers <- changes{err: err}
			return
		}
		page, stamp, err := v.List(ctx, q, nil)
		if err != nil {
			answers <- changes{err: err}
			return
		}
		c := changes{there: keysOf(page.Registrations), stamp: stamp}
		for _, r := range page.Removed {
			c.gone = append(c.gone, r.String())
		}
		answers <- c
	}()
	return answers
}

func ofService(service string) backend.Scope {
	return backend.Scope{Namespace: "default", Service: service}
}

func TestAChangeWakesThoseOnlyWhoWaitForItsScope(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := view.New(1)
		v.Apply(1, put(1, key("a", "1"), ""))
		a, b := awaiting(t.Context(), v, ofService("a"), 1, time.Hour), awaiting(t.Context(), v, ofService("b"), 1, time.Hour)
		space := awaiting(t.Context(), v, backend.Scope{Namespace: "default"}, 1, time.Hour)
		other := awaiting(t.Context(), v, backend.Scope{Namespace: "other"}, 1, time.Hour)
		all := awaiting(t.Context(), v, backend.Scope{}, 1, time.Hour)
		synctest.Wait()
		if n := v.Waiting(); n != 5 {
			t.Errorf("%d wait; want 5", n)
		}
		v.Advance(2)
		v.Apply(3, put(3, key("a", "2"), ""))
		for _, c := range []<-chan changes{a, space, all} {
			if got := <-c; got.err != nil || !slices.Equal(got.there, []string{"default.a.2"}) || got.stamp.Revision != 3 {
				t.Errorf("got %+v; want a.2 at 3", got)
			}
		}
		synctest.Wait()
		if n := v.Waiting(); n != 2 {
			t.Errorf("%d wait still; want 2", n)
		}
		begun := time.Now()
		for _, c := range []<-chan changes{b, other} {
			if got := <-c; got.err != nil || len(got.there)+len(got.gone) != 0 || got.stamp.Revision != 3 {
				t.Errorf("got %+v; want nothing at 3", got)
			}
		}
		if took := time.Since(begun); took != time.Hour {
			t.Errorf("they waited for %v; want an hour", took)
		}
		if n := v.Waiting(); n != 0 {
			t.Errorf("%d wait in the end", n)
		}
	})
}

// What happens elsewhere in a long time makes a wait's revision a forgotten one.
func TestALongWaitOutlivesTheMemoryOfRemovals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := view.New(1, view.WithMemory(time.Minute, 100))
		v.Apply(1, put(1, key("a", "1"), ""))
		vain := awaiting(t.Context(), v, ofService("a"), 1, time.Hour)
		long := awaiting(t.Context(), v, ofService("a"), 1, 3*time.Hour)
		synctest.Wait()
		for r := backend.Revision(2); r <= 42; r += 2 {
			v.Apply(r+1, put(r, key("b", "1"), ""), removal(r+1, key("b", "1")))
			time.Sleep(2 * time.Minute)
		}
		v.Advance(44)
		if v.Floor() < 30 {
			t.Fatalf("Floor() = %d; want most removals forgotten", v.Floor())
		}
		time.Sleep(time.Hour)
		if got := <-vain; got.err != nil || len(got.there)+len(got.gone) != 0 || got.stamp.Revision < 30 {
			t.Errorf("the wait in vain = %+v; want nothing", got)
		}
		v.Apply(45, removal(45, key("a", "1")))
		if got := <-long; got.err != nil || !slices.Equal(got.gone, []string{"default.a.1"}) || got.stamp.Revision != 45 {
			t.Errorf("the other = %+v; want the removal of a.1", got)
		}
	})
}

func TestAWaitForAnEndingIsAnsweredAsOfTheEnding(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := view.New(1)
		v.Apply(1, owned(1, key("a", "1"), "o"))
		answer := awaiting(t.Context(), v, ofService("a"), 1, time.Hour)
		synctest.Wait()
		v.End(backend.Ending{Owner: "o", Revision: 2, Reason: backend.ReasonClosed})
		synctest.Wait()
		select {
		case got := <-answer:
			t.Errorf("answered %+v before everything up to the end was applied", got)
		default:
		}
		v.Advance(2)
		if got := <-answer; got.err != nil || !slices.Equal(got.gone, []string{"default.a.1"}) || got.stamp.Revision != 2 {
			t.Errorf("got %+v; want the end at 2", got)
		}
	})
}

func TestASnapshotAnswersWhoWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := view.New(1)
		v.Apply(2, put(1, key("a", "1"), ""), put(2, key("b", "1"), ""))
		a, b := awaiting(t.Context(), v, ofService("a"), 2, time.Hour), awaiting(t.Context(), v, ofService("b"), 2, time.Hour)
		synctest.Wait()
		same := v.Rebuild()
		same.Apply(put(2, key("b", "1"), ""))
		same.Commit(view.Snapshot{Epoch: 1, Revision: 5, Floor: 1})
		if got := <-a; got.err != nil || !slices.Equal(got.gone, []string{"default.a.1"}) || got.stamp.Revision != 5 {
			t.Errorf("what the snapshot removed = %+v", got)
		}
		synctest.Wait()
		if n := v.Waiting(); n != 1 {
			t.Errorf("%d wait after a snapshot that changed nothing of theirs; want 1", n)
		}
		other := v.Rebuild()
		other.Commit(view.Snapshot{Epoch: 2, Revision: 1})
		if got := <-b; !errors.Is(got.err, backend.ErrCompacted) {
			t.Errorf("in another epoch: %+v; want ErrCompacted", got)
		}
	})
}

func TestWhoGivesUpLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := view.New(1)
		v.Advance(1)
		ctx, cancel := context.WithCancel(t.Context())
		gone, stays := awaiting(ctx, v, ofService("a"), 1, time.Hour), awaiting(t.Context(), v, ofService("a"), 1, time.Hour)
		key1 := make(chan error, 1)
		go func() { key1 <- v.AwaitKey(ctx, key("a", "1"), time.Now().Add(time.Hour)) }()
		synctest.Wait()
		cancel()
		if got := <-gone; !errors.Is(got.err, backend.ErrUnavailable) || !errors.Is(got.err, context.Canceled) {
			t.Errorf("got %+v; want ErrUnavailable", got)
		}
		if err := <-key1; !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("AwaitKey = %v; want ErrUnavailable", err)
		}
		if n := v.Waiting(); n != 1 {
			t.Errorf("%d wait; want 1", n)
		}
		v.Close()
		if got := <-stays; !errors.Is(got.err, backend.ErrClosed) {
			t.Errorf("after Close: %+v; want ErrClosed", got)
		}
		if n := v.Waiting(); n != 0 {
			t.Errorf("%d wait after Close", n)
		}
	})
}
