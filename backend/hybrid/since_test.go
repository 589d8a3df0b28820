package hybrid_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/kvstore/memkv"
)

// since lists what changed after a revision.
func since(t *testing.T, b backend.Backend, at backend.Stamp) (there, gone []string, err error) {
	t.Helper()
	q := backend.Query{Since: &at.Revision, Read: backend.Read{Epoch: at.Epoch, Consistency: backend.Linearizable}}
	page, _, err := b.List(t.Context(), q)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range page.Registrations {
		there = append(there, r.Instance)
	}
	for _, r := range page.Removed {
		gone = append(gone, r.Instance+" "+r.Reason)
	}
	return there, gone, nil
}

func unregister(t *testing.T, b backend.Backend, name, reason string) backend.Stamp {
	t.Helper()
	_, stamp, err := b.Unregister(t.Context(), instance("a", name).Key, backend.Write{Reason: reason})
	if err != nil {
		t.Fatal(err)
	}
	return stamp
}

func TestARestartedNodeKnowsTheRemovalsThatAreStillStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, backend.Nobody)
		if err := n.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, old, err := n.Register(t.Context(), instance("a", "1"), backend.Write{})
		if err != nil {
			t.Fatal(err)
		}
		register(t, n, "2")
		unregister(t, n, "1", "early")
		time.Sleep(durable.MarkerLife - time.Minute)
		_, middle, err := n.Register(t.Context(), instance("a", "3"), backend.Write{})
		if err != nil {
			t.Fatal(err)
		}
		unregister(t, n, "2", "late")
		n.stop()
		time.Sleep(2 * time.Minute) // the first marker goes

		n = start(t, store, backend.Nobody)
		defer n.stop()
		if err := n.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		there, gone, err := since(t, n, middle)
		if err != nil || len(there) != 0 || !slices.Equal(gone, []string{"2 late"}) {
			t.Errorf("since %d: %q there, %q gone, %v; want 2 gone", middle.Revision, there, gone, err)
		}
		if there, gone, err := since(t, n, old); !errors.Is(err, backend.ErrCompacted) {
			t.Errorf("since %d: %q there, %q gone, %v; want ErrCompacted", old.Revision, there, gone, err)
		}
		if _, _, err := since(t, n, backend.Stamp{Epoch: old.Epoch}); !errors.Is(err, backend.ErrCompacted) {
			t.Errorf("since 0: %v; want ErrCompacted", err)
		}
	})
}

func TestAWaitOnAStaleViewIsNoAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		n := start(t, store, backend.Nobody)
		defer n.stop()
		if err := n.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, at, err := n.Register(t.Context(), instance("a", "1"), backend.Write{})
		if err != nil {
			t.Fatal(err)
		}
		names(t, n) // until it has come back
		store.FreezeFeeds()
		read := backend.Read{Epoch: at.Epoch, Wait: 20 * time.Second, MaxAge: 10 * time.Second}
		_, _, err = n.List(t.Context(), backend.Query{Since: &at.Revision, Read: read})
		if !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("List of at most 10s of age after 20s of silence = %v; want ErrUnavailable", err)
		}
		read.MaxAge = time.Minute
		_, stamp, err := n.List(t.Context(), backend.Query{Since: &at.Revision, Read: read})
		if err != nil || stamp.Age < 40*time.Second || stamp.Age > 42*time.Second {
			t.Errorf("List of at most a minute = aged %v, %v; want about 40s", stamp.Age, err)
		}
		read.MaxAge = 45 * time.Second
		_, _, err = n.Lookup(t.Context(), instance("a", "2").Key, read)
		if !errors.Is(err, backend.ErrUnavailable) || errors.Is(err, backend.ErrTimeout) {
			t.Errorf("Lookup after 60s of silence = %v; want ErrUnavailable", err)
		}
		store.ResumeFeeds()
	})
}
