package follow_test

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus/client/follow"
)

// version is what a key became at a revision, and until when.
type version struct {
	epoch  backend.Epoch
	key    backend.Key
	at     backend.Revision
	until  backend.Revision // it was changed, removed or hidden; 0: it is the newest
	exists bool
	marker bool // the removal of what was hidden already
	prev   backend.Revision
}

// world is a registry that remembers everything, nodes that lag behind it, and a
// follower that its messages reach in part.
type world struct {
	epoch    backend.Epoch
	seq      backend.Revision
	versions []*version // of the epoch, by revision
	newest   map[backend.Key]*version
	stored   map[backend.Key]backend.Revision // newest stored message of a key
	hidden   map[backend.Key]bool             // by the end of its lease, and still stored
	node     backend.Revision                 // how far the node that answers has come
	floor    backend.Revision                 // from where on it remembers removals
	feed     int

	events   []*version                 // on their way
	told     []*version                 // that may be delivered again
	missed   map[backend.Key][]*version // lost, and nothing of the key was heard since
	suspects []*version                 // lost, and something was
	answers  []follow.Answer            // under way

	f     *follow.Follower
	state map[backend.Key]*version
	seen  map[backend.Key]*version // newest that was ever taken in, removals included
	now   time.Time
}

func newWorld(remote bool) *world {
	w := &world{f: follow.New(), state: map[backend.Key]*version{}, seen: map[backend.Key]*version{}, missed: map[backend.Key][]*version{}, now: time.Unix(0, 0)}
	if remote {
		w.f.JudgedByLists()
	}
	w.recreate()
	return w
}

func (w *world) recreate() {
	w.epoch++
	w.seq, w.node, w.floor = 0, 0, 0
	w.versions = nil
	w.newest, w.stored, w.hidden = map[backend.Key]*version{}, map[backend.Key]backend.Revision{}, map[backend.Key]bool{}
	w.feed++
}

func keyOf(i int) backend.Key {
	return backend.Key{Namespace: "n", Service: "s", Instance: fmt.Sprint(i)}
}

// put makes a version, and returns it if there is an event of it.
func (w *world) put(key backend.Key, exists, stored bool) *version {
	w.seq++
	v := &version{epoch: w.epoch, key: key, at: w.seq, exists: exists, prev: w.stored[key]}
	if old := w.newest[key]; old != nil && old.until == 0 {
		old.until = w.seq
	}
	w.versions = append(w.versions, v)
	w.newest[key] = v
	w.hidden[key] = !stored
	if !stored {
		return nil
	}
	w.stored[key] = w.seq
	return v
}

// bury is the removal of what was hidden.
func (w *world) bury(key backend.Key) *version {
	w.seq++
	v := &version{epoch: w.epoch, key: key, at: w.seq, marker: true, prev: w.stored[key]}
	w.stored[key] = w.seq
	w.hidden[key] = false
	return v
}

func (w *world) alive(key backend.Key) bool { return w.newest[key] != nil && w.newest[key].exists }

// asOf returns each key's version at revision.
func (w *world) asOf(revision backend.Revision) map[backend.Key]*version {
	m := map[backend.Key]*version{}
	for _, v := range w.versions {
		if v.at <= revision {
			m[v.key] = v
		}
	}
	return m
}

// serve answers r, or says why not: nil, nil. Later pages may be newer than the first.
func (w *world) serve(t *rapid.T, r follow.Request) (*follow.Answer, error) {
	if r.Epoch != 0 && r.Epoch != w.epoch || !r.Afresh && r.Since < w.floor {
		return nil, backend.ErrCompacted
	}
	if r.Linearizable {
		w.node = w.seq
	}
	if least := max(r.Least, r.Since); least > w.seq {
		return nil, backend.ErrUnavailable
	} else if least > w.node {
		w.node = least
	}
	a := follow.Answer{Request: r, Stamp: backend.Stamp{Revision: w.node, Epoch: w.epoch}}
	first, second := w.asOf(w.node), w.asOf(w.node)
	if w.seq > w.node {
		second = w.asOf(w.node + backend.Revision(rapid.IntRange(0, int(w.seq-w.node)).Draw(t, "later page")))
	}
	for i := range keys {
		v := first[keyOf(i)]
		if i >= keys/2 {
			v = second[keyOf(i)]
		}
		switch {
		case v == nil || !r.Afresh && v.at <= r.Since:
		case v.exists:
			a.Registrations = append(a.Registrations, &backend.Registration{Key: v.key, Revision: v.at})
		case !r.Afresh:
			a.Removed = append(a.Removed, backend.Removed{Key: v.key, Revision: v.at})
		}
	}
	return &a, nil
}

// compareVersions orders what is shown of a key in time.
func compareVersions(a, b *version) int {
	return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.at, b.at))
}

// show takes v in, and fails if that leads back or shows a ghost.
func (w *world) show(t *rapid.T, v *version) {
	if old := w.seen[v.key]; old != nil && compareVersions(v, old) <= 0 {
		t.Fatalf("%s goes back from %d/%d to %d/%d", v.key, old.epoch, old.at, v.epoch, v.at)
	}
	stamp := w.f.Stamp()
	if v.epoch < stamp.Epoch {
		t.Fatalf("%s is shown as of epoch %d in epoch %d", v.key, v.epoch, stamp.Epoch)
	}
	if v.exists && v.epoch == stamp.Epoch && v.until != 0 && v.until <= stamp.Revision {
		t.Fatalf("ghost: %s at %d was over at %d, and the list shows %d", v.key, v.at, v.until, stamp.Revision)
	}
	w.seen[v.key] = v
	w.missed[v.key] = slices.DeleteFunc(w.missed[v.key], func(lost *version) bool { return compareVersions(lost, v) <= 0 })
	delete(w.state, v.key)
	if v.exists {
		w.state[v.key] = v
	}
}

func (w *world) held() iter.Seq2[backend.Key, backend.Revision] {
	return func(yield func(backend.Key, backend.Revision) bool) {
		for key, v := range w.state {
			if !yield(key, v.at) {
				return
			}
		}
	}
}

// hear delivers one event. Events carry no epoch, so nobody could tell that an answer of
// an earlier one comes after it.
func (w *world) hear(t *rapid.T, v *version) {
	w.answers = slices.DeleteFunc(w.answers, func(a follow.Answer) bool { return a.Stamp.Epoch < v.epoch })
	e := follow.Event{Key: v.key, Revision: v.at, Previous: v.prev, Removes: !v.exists}
	if w.f.Event(e, w.now) == follow.Apply {
		w.show(t, v)
	}
}

// deliver takes an answer in.
func (w *world) deliver(t *rapid.T, a follow.Answer) {
	o := w.f.Merge(a, w.held(), w.now)
	if o.Restart { // what was on its way may be of the epoch before
		w.events = nil
	}
	for _, r := range o.Drop {
		if _, held := w.state[r.Key]; held || w.seen[r.Key] == nil {
			w.show(t, &version{epoch: a.Stamp.Epoch, key: r.Key, at: r.Revision})
		}
	}
	for _, r := range o.Take {
		v := w.find(a.Stamp.Epoch, r)
		if old := w.state[r.Key]; o.Restart && old != nil && compareVersions(v, old) == 0 {
			continue // an event of the epoch was taken in before the epoch was heard of
		}
		w.show(t, v)
	}
}

// find returns the version that a list has shown.
func (w *world) find(epoch backend.Epoch, r *backend.Registration) *version {
	for _, v := range w.versions {
		if epoch == w.epoch && v.at == r.Revision {
			return v
		}
	}
	return &version{epoch: epoch, key: r.Key, at: r.Revision, exists: true} // an epoch that is over
}

// suspect notes what must have been lost if v is heard.
func (w *world) suspect(v *version) {
	var rest []*version
	for _, lost := range w.missed[v.key] {
		switch {
		case lost.epoch == v.epoch && lost.at < v.at:
			w.suspects = append(w.suspects, lost)
		case lost != v:
			rest = append(rest, lost)
		}
	}
	w.missed[v.key] = rest
}

// noticed fails if a loss that could be noticed was not repaired.
func (w *world) noticed(t *rapid.T) {
	for _, v := range w.suspects {
		if v.epoch == w.epoch && v.at > w.f.Stamp().Revision {
			t.Fatalf("the loss of %s at %d was not noticed", v.key, v.at)
		}
	}
}

// settle makes every list that is wanted, at once.
func (w *world) settle(t *rapid.T) {
	for range 20 {
		r, want := w.f.Wanted()
		if !want {
			return
		}
		w.ask(t, r, func(a follow.Answer) { w.deliver(t, a) })
	}
	t.Fatal("the rule wants one list after the other")
}

func (w *world) ask(t *rapid.T, r follow.Request, answered func(follow.Answer)) {
	a, err := w.serve(t, r)
	switch {
	case a != nil:
		answered(*a)
	case err == backend.ErrCompacted: //nolint:errorlint // serve returns it bare
		w.f.Compacted(r)
	default:
		w.f.Failed(r)
	}
}

// exact fails unless the follower has exactly the registry's state.
func (w *world) exact(t *rapid.T) {
	for i := range keys {
		key := keyOf(i)
		v := w.state[key]
		switch {
		case w.alive(key) != (v != nil):
			t.Fatalf("%s is held: %v; in the registry: %v", key, v != nil, w.alive(key))
		case v != nil && (v.at != w.newest[key].at || v.epoch != w.epoch):
			t.Fatalf("%s is held at %d/%d; in the registry at %d/%d", key, v.epoch, v.at, w.epoch, w.newest[key].at)
		}
	}
}
