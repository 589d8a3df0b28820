package faults

import "time"

// ofClocks are faults of clocks on the wall, which jump there and back. They need a program
// that can move its own: see overlay.sh.
//
// A server's stays within what docs/operations.md asks for: by its time of day NATS forgets
// marks of removals, so an hour hides one from whoever is behind.
func ofClocks() []Class {
	jump := func(choose func(*world, uint64) Member) func(*world, uint64) func() {
		return func(w *world, pick uint64) func() {
			m := choose(w, pick)
			far := []time.Duration{2 * time.Second, 10 * time.Second, time.Minute, time.Hour, 24 * time.Hour}
			if _, stores := m.(Server); stores {
				far = []time.Duration{2 * time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute}
			}
			ahead := far[pick>>8%uint64(len(far))]
			if pick>>7&1 == 1 {
				ahead = -ahead
			}
			w.tb.Logf("  it meets %s, whose clock is ahead by %v", m.Name(), ahead)
			m.SetWall(w.tb, ahead)
			return func() { m.SetWall(w.tb, 0) }
		}
	}
	return []Class{
		{"jump-keeper", OfNode, time.Second, 6 * time.Second, jump((*world).keeper)},
		{"jump-node", OfNode, time.Second, 6 * time.Second, jump((*world).follower)},
		{"jump-leader", OfServer, time.Second, 6 * time.Second, jump((*world).leader)},
		{"jump-server", OfServer, time.Second, 6 * time.Second, jump((*world).replica)},
	}
}
