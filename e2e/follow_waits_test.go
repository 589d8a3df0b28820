package e2e_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// fares has a client leave in a channel how its followers fare.
func fares() (<-chan error, client.Option) {
	states := make(chan error, 64)
	return states, client.WithFollowing(func(err error) { states <- err })
}

// wantStates fails unless followers are told to wait for the registry, and then to go on.
func wantStates(t *testing.T, states <-chan error, waits ...bool) {
	t.Helper()
	for i, want := range waits {
		select {
		case err := <-states:
			if (err != nil) != want || want && !errors.Is(err, client.ErrUnavailable) {
				t.Fatalf("state %d is %v; want that it waits: %v", i, err, want)
			}
		case <-time.After(patience):
			t.Fatalf("state %d is not told; want that it waits: %v", i, want)
		}
	}
}

// A registry that is gone while NATS stands publishes nothing, and so does one where
// nothing happens: only the missing beacon tells.
func TestAWatchNoticesThatTheRegistryIsGoneThoughNATSStands(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	node := startRegistry(t, srv, "")
	states, option := fares()
	c := connectClient(t, srv, node.prefix, option)
	go func() {
		for range watchPayments(t.Context(), c) {
		}
	}()
	wantStates(t, states, false)
	node.stop()
	wantStates(t, states, true)
	startRegistry(t, srv, node.prefix)
	wantStates(t, states, false)
}

func TestFollowersSayThatTheyWaitForNATSAndThatTheyGoOn(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	prefix := startRegistry(t, srv, "").prefix
	states, option := fares()
	watchesTell, watchOption := fares()
	watching := watchPayments(t.Context(), connectClient(t, srv, prefix, watchOption))
	go func() {
		for range watching {
		}
	}()
	startReplica(t, connectClient(t, srv, prefix, option), client.Query{})
	wantStates(t, states, false)
	wantStates(t, watchesTell, false)
	srv.Stop()
	wantStates(t, states, true)
	wantStates(t, watchesTell, true)
	srv.Restart(t)
	wantStates(t, states, false)
	wantStates(t, watchesTell, false)
}

// R7, for the client's Watch: the last event of a key is lost, and a new feed tells of it.
func TestAWatchIsExactAtTheNextFeedAlthoughEventsWereLost(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	node := startRegistry(t, srv, "")
	writer := connectClient(t, srv, node.prefix)
	c, link := badlyLinked(t, srv, node.prefix)
	m := &mirror{state: map[string]client.Revision{}}
	changes := watchPayments(t.Context(), c)
	link.percent.Store(100)
	for _, name := range []string{"i-1", "i-2"} {
		if _, _, err := writer.Register(t.Context(), payments(name), client.Write{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := writer.Unregister(t.Context(), paymentsKey("i-1"), client.Write{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := writer.Register(t.Context(), payments("last"), client.Write{}); err != nil {
		t.Fatal(err)
	}
	_, stamp, err := writer.Count(t.Context(), client.Query{})
	if err != nil {
		t.Fatal(err)
	}
	announceFeed(t, srv, node.prefix, stamp.Epoch, "another")
	follow(t, m, changes, "last", nil)
	if diff := cmp.Diff(truth(t, writer), m.state); diff != "" || m.gaps != 1 {
		t.Errorf("%d gaps; %s", m.gaps, diff)
	}
}
