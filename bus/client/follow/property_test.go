package follow_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client/follow"
)

// keys is how many there are.
const keys = 6

// R7: random histories of a registry, whose events are lost, repeated and late, whose
// lists are late and answered by lagging nodes, whose nodes forget, and whose bucket is
// made anew: a follower never goes back, never shows a ghost, notices every loss that a
// later event of the key shows, and is exact once it is told to make sure.
func TestAFollowerNeverGoesBackShowsNoGhostAndEndsExact(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name          string
		remote, lossy bool
	}{{"JudgedByEvents", false, false}, {"JudgedByLists", true, false}, {"Lossy", false, true}, {"LossyJudgedByLists", true, true}} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			for i := range histories {
				t.Run(fmt.Sprint(i), func(t *testing.T) {
					rapid.Check(t, func(t *rapid.T) { newWorld(kind.remote).live(t, kind.lossy) })
				})
			}
		})
	}
}

// histories is how often rapid checks each kind.
const histories = 5

func (w *world) live(t *rapid.T, lossy bool) {
	actions := []func(*rapid.T){
		w.change, w.change, w.hearNext, w.hearNext, w.hearNext, w.hearAgain, w.send, w.send, w.receive, w.receive,
		w.lag, w.restart, w.again, w.beacon, w.doubt, w.cut, w.wait,
	}
	if lossy {
		actions = append(actions, w.lose, w.lose)
	}
	w.change(t) // before the subscription
	w.lag(t)
	w.events = nil
	for range rapid.IntRange(0, 80).Draw(t, "actions") {
		rapid.SampledFrom(actions).Draw(t, "action")(t)
	}
	for i := range keys { // what a lease's end hid is removed at last
		if w.hidden[keyOf(i)] {
			w.events = append(w.events, w.bury(keyOf(i)))
		}
	}
	for len(w.events) > 0 {
		w.hearNext(t)
	}
	w.settle(t)
	if w.f.Stamp().Epoch == w.epoch {
		w.noticed(t)
	}
	if w.misses() || w.f.Stamp().Epoch != w.epoch {
		w.f.Doubt()
		w.settle(t)
	}
	w.exact(t)
}

func (w *world) misses() bool {
	for _, lost := range w.missed {
		if len(lost) > 0 {
			return true
		}
	}
	return false
}

func (w *world) change(t *rapid.T) {
	for range rapid.IntRange(1, 4).Draw(t, "changes") {
		key := keyOf(rapid.IntRange(0, keys-1).Draw(t, "key"))
		var v *version
		switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
		case kind == 0: // something else that the bucket holds
			w.seq++
		case w.hidden[key] && kind < 4:
			v = w.bury(key)
		case kind == 1 && w.alive(key):
			v = w.put(key, false, true)
		case kind == 2 && w.alive(key):
			w.put(key, false, false)
		default:
			v = w.put(key, true, true)
		}
		if v != nil {
			w.events = append(w.events, v)
		}
	}
}

func (w *world) hearNext(t *rapid.T) {
	if len(w.events) == 0 {
		return
	}
	v := w.events[0]
	w.events = w.events[1:]
	w.told = append(w.told, v)
	w.suspect(v)
	w.hear(t, v)
}

// hearAgain delivers an event again, or one that was lost, late; of an earlier epoch none
// can be under way once the epoch has been heard of.
func (w *world) hearAgain(t *rapid.T) {
	if len(w.told) == 0 {
		return
	}
	v := rapid.SampledFrom(w.told).Draw(t, "told")
	if v.epoch == w.epoch {
		w.suspect(v)
		w.hear(t, v)
	}
}

func (w *world) lose(*rapid.T) {
	if len(w.events) > 0 {
		v := w.events[0]
		w.told = append(w.told, v)
		w.events = w.events[1:]
		if old := w.seen[v.key]; old == nil || compareVersions(old, v) < 0 { // no list has shown it
			w.missed[v.key] = append(w.missed[v.key], v)
		}
	}
}

func (w *world) doubt(*rapid.T) { w.f.Doubt() }

func (w *world) wait(*rapid.T) { w.now = w.now.Add(follow.Memory / 2) }

// lag has another node answer, which may be behind or ahead of the one before.
func (w *world) lag(t *rapid.T) {
	w.node = backend.Revision(rapid.Uint64Range(uint64(w.floor), uint64(w.seq)).Draw(t, "node"))
}

// restart makes the node forget removals.
func (w *world) restart(*rapid.T) {
	w.floor = max(w.floor, w.node-min(w.node, 2))
}

func (w *world) again(t *rapid.T) {
	if w.epoch < 4 {
		w.recreate()
		for range rapid.IntRange(0, 10).Draw(t, "again") {
			w.change(t)
		}
	}
}

func (w *world) beacon(t *rapid.T) {
	w.f.Beacon(w.epoch, string(rune('a'+w.feed)))
	if w.epoch > 1 && rapid.Bool().Draw(t, "old keeper") {
		w.f.Beacon(w.epoch-1, "old")
	}
}

// cut loses everything under way and reconnects.
func (w *world) cut(*rapid.T) {
	w.events, w.answers, w.missed = nil, nil, map[backend.Key][]*version{}
	w.f.Reconnected()
}

func (w *world) send(t *rapid.T) {
	if r, want := w.f.Wanted(); want {
		w.ask(t, r, func(a follow.Answer) { w.answers = append(w.answers, a) })
	}
}

func (w *world) receive(t *rapid.T) {
	if len(w.answers) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.answers)-1).Draw(t, "answer")
	a := w.answers[i]
	w.answers = append(w.answers[:i:i], w.answers[i+1:]...)
	w.deliver(t, a)
}
