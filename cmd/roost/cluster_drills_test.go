package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/bus/client"
)

// The drills of docs/operations.md, each carried out as it is written there.

// "A node's store directory is lost": it starts with an empty one, under the same name.
func TestDrillANodeWhoseStoreDirectoryIsLostComesBackEmptyAndIsFilled(t *testing.T) {
	if testing.Short() {
		return
	}
	t.Parallel()
	f := newFleet(t, 3)
	f.start(t)
	for i := range 20 {
		writeOn(t, f.url(), fmt.Sprintf("i-%02d", i))
	}
	before := instances(t, f.url())
	lost := f.nodes[0]
	lost.kill(t)
	writeOn(t, f.url(), "meanwhile")
	if err := os.RemoveAll(lost.dir); err != nil {
		t.Fatal(err)
	}
	lost.again(t)
	f.awaitWhole(t)
	// What it has been given is all there is, when the others that kept it are gone.
	f.nodes[1].kill(t)
	if diff := cmp.Diff(before+" meanwhile", instances(t, lost.url)); diff != "" {
		t.Errorf("after the loss (-want +got):\n%s", diff)
	}
}

// "A node is gone for good and another takes its place": start the new one, remove the old.
func TestDrillANodeIsReplacedByOneOfAnotherName(t *testing.T) {
	if testing.Short() {
		return
	}
	t.Parallel()
	f := newFleet(t, 3)
	f.start(t)
	writeOn(t, f.url(), "before")
	c, err := client.Connect(t.Context(), f.url())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	s, err := c.NewSession(t.Context(), client.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Register(t.Context(), client.Registration{Key: loadKey("living")}, client.Write{}); err != nil {
		t.Fatal(err)
	}
	if code, _, said := roost(t, f.url(), "cluster", "remove", "n1"); code != exitFailed && code != exitUsage || !strings.Contains(said, "stop it first") {
		t.Errorf("removal of a node that is there = %d: %s", code, said)
	}
	if code, _, _ := roost(t, f.url(), "cluster", "remove", "nobody"); code != exitNotFound {
		t.Errorf("removal of nobody = %d; want %d", code, exitNotFound)
	}
	gone := f.nodes[0]
	gone.kill(t)
	addresses := freeAddresses(t, 2)
	f.routes = append(f.routes, addresses[1])
	f.nodes = f.nodes[1:]
	fresh := f.add(t, "n4", addresses[0], addresses[1])
	fresh.again(t)
	if _, out, _ := roost(t, f.url(), "health", "--all"); strings.Contains(out, "name unknown") || !strings.Contains(out, "n1") {
		t.Errorf("roost health --all does not name the nodes, with one gone and a new one there:\n%s", out)
	}
	if got := must(t, fresh.url, "cluster", "remove", gone.name, "--timeout", "20s"); got != "removed n1\n" {
		t.Errorf("remove said %q", got)
	}
	f.awaitWhole(t)
	for name, h := range f.reports(t, f.url()) {
		for _, p := range h.Cluster.Peers {
			if p.Name == gone.name {
				t.Errorf("%s still knows %s", name, gone.name)
			}
		}
	}
	// Three again: one more may go.
	f.nodes[0].kill(t)
	writeOn(t, f.url(), "after")
	if diff := cmp.Diff("after before", instances(t, fresh.url)); diff != "" {
		t.Errorf("after the replacement (-want +got):\n%s", diff)
	}
	if !s.Valid() || s.Registered() != nil {
		t.Errorf("the session is lost: %v", s.Registered())
	}
}

// "All nodes were killed at once": start them again. With sync interval the machine's cache
// outlives a process, and nothing that was acknowledged is lost.
func TestDrillNothingAcknowledgedIsLostWhenAllNodesAreKilledAtOnce(t *testing.T) {
	if testing.Short() {
		return
	}
	t.Parallel()
	for _, sync := range []string{"interval", "always"} {
		t.Run(sync, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 3, "--sync", sync)
			f.start(t)
			for round := range 3 {
				l := startLoad(t, f.url(), 4, fmt.Sprintf("r%d-", round))
				await(t, "load", func() (bool, string) { return l.calls() > 200, "" })
				for _, m := range f.nodes {
					go m.signal(t, 9)
				}
				for _, m := range f.nodes {
					<-m.exited
				}
				l.halt() // before the clients would write again what was lost
				f.begin(t)
				f.awaitWhole(t)
				l.isThere(t, f.url(), round)
			}
		})
	}
}

// isThere fails the test where a node has forgotten a write that was acknowledged.
func (l *load) isThere(t *testing.T, url string, round int) {
	t.Helper()
	c, err := client.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	checked := 0
	for instance, revision := range l.written {
		r, _, err := c.Lookup(t.Context(), loadKey(instance), client.Read{Consistency: client.Linearizable})
		if err != nil || r.Revision < revision {
			t.Errorf("round %d: %s was written at %d and is there of %d: %v", round, instance, revision, r.Revision, err)
		}
		checked++
	}
	if checked == 0 {
		t.Errorf("round %d: nothing was written, so this does not count", round)
	}
	t.Logf("round %d: %d names are as new as was acknowledged", round, checked)
}

// "The secret is changed", "a setting is changed", "an upgrade" are rolling restarts; see
// TestARollingRestartUnderLoadFailsNoCall.

// "Without a majority": nothing is written, look-ups go on, and writing goes on when one is
// back.
func TestDrillWithoutAMajorityLookUpsGoOnAndWritesAreRefusedUntilOneIsBack(t *testing.T) {
	if testing.Short() {
		return
	}
	t.Parallel()
	f := newFleet(t, 3)
	f.start(t)
	writeOn(t, f.url(), "i-1")
	f.nodes[0].kill(t)
	f.nodes[1].kill(t)
	left := "nats://" + f.nodes[2].listen
	if got := must(t, left, "lookup", "orders/i-1"); !strings.Contains(got, "i-1") {
		t.Errorf("a look-up without a majority: %s", got)
	}
	code, _, said := roost(t, left, "register", "orders/i-2", "--permanent", "--timeout", "3s")
	if code != exitUnavailable && code != exitUnknown {
		t.Errorf("a write without a majority = %d: %s", code, said)
	}
	await(t, "word of the loss", func() (bool, string) {
		code, out, _ := roost(t, left, "health")
		return code == exitDegraded && strings.Contains(out, "no server leads"), out
	})
	f.nodes[0].begin(t)
	f.nodes[0].awaitReady(t)
	begun := time.Now()
	must(t, left, "register", "orders/i-3", "--permanent", "--timeout", "25s")
	t.Logf("a write %v after the majority was back", time.Since(begun).Round(time.Millisecond))
}
