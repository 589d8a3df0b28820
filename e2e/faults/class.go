package faults

import (
	"slices"
	"syscall"
	"time"

	"github.com/roostbus/roost/e2e/natstest"
)

// Target is what a fault meets.
type Target uint8

// The targets.
const (
	OfNode   Target = iota + 1 // one node
	OfServer                   // one NATS server
	OfClient                   // links of clients
	OfStore                    // everything that is stored, or all servers at once
	OfMove                     // the registry, on its way to another store
)

// Class is a sort of fault.
type Class struct {
	Name              string
	Target            Target
	Shortest, Longest time.Duration

	// begin has it begin and returns what ends it.
	begin func(w *world, pick uint64) (end func())
}

// All are the classes of faults.
func All() []Class {
	all := slices.Concat(ofNodes(), ofServers(), ofClients(), ofStores())
	if natstest.WallMoves {
		all = append(all, ofClocks()...)
	}
	return all
}

// Merged returns classes for nodes that store, too: a fault of a node and one of a server
// could meet the same process.
func Merged(classes []Class) []Class {
	merged := slices.Clone(classes)
	for i := range merged {
		if merged[i].Target == OfServer {
			merged[i].Target = OfNode
		}
	}
	return merged
}

// Moves are classes, too: the registry moves to another store, and whoever moves it has
// trouble. They are apart from All so that a seed goes on meaning what it has meant.
func Moves() []Class { return ofMoves() }

// Named returns those of classes that are called so.
func Named(classes []Class, names ...string) []Class {
	var found []Class
	for _, c := range classes {
		if slices.Contains(names, c.Name) {
			found = append(found, c)
		}
	}
	return found
}

func ofNodes() []Class {
	on := func(choose func(*world, uint64) Member, do func(*world, Member) func()) func(*world, uint64) func() {
		return func(w *world, pick uint64) func() {
			m := choose(w, pick)
			w.tb.Logf("  it meets %s", m.Name())
			return do(w, m)
		}
	}
	kill := func(w *world, m Member) func() {
		m.Kill(w.tb)
		return func() { m.Start(w.tb) }
	}
	stop := func(w *world, m Member) func() {
		m.Signal(w.tb, syscall.SIGSTOP)
		return func() { m.Signal(w.tb, syscall.SIGCONT) }
	}
	cut := func(w *world, m Member) func() {
		m.CutOff(w.tb)
		return func() { m.Rejoin(w.tb) }
	}
	deafen := func(w *world, m Member) func() {
		m.Deafen(w.tb)
		return func() { m.Rejoin(w.tb) }
	}
	mute := func(w *world, m Member) func() {
		m.Mute(w.tb)
		return func() { m.Rejoin(w.tb) }
	}
	flicker := func(w *world, m Member) func() { return w.flicker(m) }
	return []Class{
		{"kill-keeper", OfNode, 100 * time.Millisecond, 6 * time.Second, on((*world).keeper, kill)},
		{"kill-node", OfNode, 100 * time.Millisecond, 6 * time.Second, on((*world).follower, kill)},
		{"stop-keeper", OfNode, time.Second, 8 * time.Second, on((*world).keeper, stop)},
		{"stop-node", OfNode, time.Second, 8 * time.Second, on((*world).follower, stop)},
		{"cut-keeper", OfNode, time.Second, 8 * time.Second, on((*world).keeper, cut)},
		{"cut-node", OfNode, time.Second, 8 * time.Second, on((*world).follower, cut)},
		{"deafen-keeper", OfNode, 200 * time.Millisecond, 6 * time.Second, on((*world).keeper, deafen)},
		{"deafen-node", OfNode, 200 * time.Millisecond, 6 * time.Second, on((*world).follower, deafen)},
		{"mute-keeper", OfNode, 200 * time.Millisecond, 6 * time.Second, on((*world).keeper, mute)},
		{"flicker-keeper", OfNode, time.Second, 4 * time.Second, on((*world).keeper, flicker)},

		{"kill-leader", OfServer, 100 * time.Millisecond, 8 * time.Second, on((*world).leader, kill)},
		{"kill-server", OfServer, 100 * time.Millisecond, 8 * time.Second, on((*world).replica, kill)},
		{"stop-leader", OfServer, time.Second, 8 * time.Second, on((*world).leader, stop)},
		{"stop-server", OfServer, time.Second, 8 * time.Second, on((*world).replica, stop)},
		{"split-leader", OfServer, 2 * time.Second, 12 * time.Second, on((*world).leader, cut)},
		{"split-server", OfServer, 2 * time.Second, 12 * time.Second, on((*world).replica, cut)},
		{"deafen-leader", OfServer, 2 * time.Second, 12 * time.Second, on((*world).leader, deafen)},
		{"mute-leader", OfServer, 2 * time.Second, 12 * time.Second, on((*world).leader, mute)},
		{"slow-leader", OfServer, 2 * time.Second, 6 * time.Second, on((*world).leader, flicker)},
		{"slow-server", OfServer, 2 * time.Second, 6 * time.Second, on((*world).replica, flicker)},
	}
}

// running and standing are how long a process runs and stands that flickers: as one does
// that waits for a slow disk at every turn, or has a small share of its machine.
const (
	running  = 20 * time.Millisecond
	standing = 150 * time.Millisecond
)

// flicker stops a member and wakes it, again and again.
func (w *world) flicker(m Member) (end func()) {
	over := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			m.Signal(w.tb, syscall.SIGSTOP)
			<-time.After(standing)
			m.Signal(w.tb, syscall.SIGCONT)
			select {
			case <-over:
				return
			case <-time.After(running):
			}
		}
	}()
	return func() {
		close(over)
		<-ended
	}
}
