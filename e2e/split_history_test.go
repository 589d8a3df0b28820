package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/bus/client"
)

// change is one that was acknowledged: of one key, by the only one who writes it.
type change struct {
	key      string
	revision client.Revision
	text     string // "" for a removal
	acked    time.Time
}

// chronicle is what has been acknowledged of keys each of which one writer changes.
type chronicle struct {
	mu      sync.Mutex
	changes map[string][]change // by key, in order
}

// write changes keys, one after the other, until ctx is done. Every call must succeed.
func (h *chronicle) write(ctx context.Context, t *testing.T, c *client.Client, keys ...string) {
	t.Helper()
	there := map[string]bool{}
	for n := 0; ctx.Err() == nil; n++ {
		made := change{key: keys[rand.IntN(len(keys))]}
		var err error
		if there[made.key] && rand.IntN(3) == 0 {
			var removal client.Removal
			removal, _, err = c.Unregister(context.WithoutCancel(ctx), paymentsKey(made.key), client.Write{})
			made.revision = removal.Revision
		} else {
			made.text = fmt.Sprintf(`{"n":"%s %d"}`, made.key, n)
			var r client.Registration
			r, _, err = c.Register(context.WithoutCancel(ctx),
				client.Registration{Key: paymentsKey(made.key), Metadata: client.Metadata(made.text)}, client.Write{})
			made.revision = r.Revision
		}
		if err != nil {
			t.Errorf("write %s where most of the servers are: %v", made.key, err)
			return
		}
		there[made.key] = made.text != ""
		made.acked = time.Now()
		h.mu.Lock()
		h.changes[made.key] = append(h.changes[made.key], made)
		h.mu.Unlock()
	}
}

func (h *chronicle) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, all := range h.changes {
		n += len(all)
	}
	return n
}

// shownEntry is a registration as an answer shows it.
type shownEntry struct {
	Instance string
	Revision client.Revision
	Metadata json.RawMessage
}

// answer is one list of everything, as one node gave it.
type answer struct {
	node         string
	sent, came   time.Time
	linearizable bool
	age          time.Duration // as the answer says
	revision     client.Revision
	entries      map[string]shownEntry
}

// at is the state after all changes up to revision.
func (h *chronicle) at(revision client.Revision) map[string]client.Revision {
	state := map[string]client.Revision{}
	for key, all := range h.changes {
		for _, c := range all {
			switch {
			case c.revision > revision:
			case c.text == "":
				delete(state, key)
			default:
				state[key] = c.revision
			}
		}
	}
	return state
}

// judge complains where answers, in the order in which one asker was given them, say what
// was never true, go back in time, or lack what is older than they say that they are.
func (h *chronicle) judge(t *testing.T, answers []answer) {
	t.Helper()
	place := map[string]int{} // of each key: how many of its changes have been shown
	for _, a := range answers {
		for key := range a.entries {
			if len(h.changes[key]) == 0 {
				t.Errorf("%s shows %s, which nobody registered", a, key)
			}
		}
		for key, all := range h.changes {
			least := place[key]
			for least < len(all) && all[least].acked.Before(a.sent.Add(-a.age)) {
				least++
			}
			now := least
			for now <= len(all) && !a.shows(key, all[:now]) {
				now++
			}
			if now > len(all) {
				t.Errorf("%s shows %s as %+v, which is not or no more what it was after %d of its changes", a, key, a.entries[key], least)
				return
			}
			place[key] = now
		}
	}
}

// shows reports whether a shows key as it is after these changes of it.
func (a answer) shows(key string, changes []change) bool {
	e, there := a.entries[key]
	if len(changes) == 0 {
		return !there
	}
	last := changes[len(changes)-1]
	return there == (last.text != "") && (!there || e.Revision == last.revision && string(e.Metadata) == last.text)
}

func (a answer) String() string {
	how := "local"
	if a.linearizable {
		how = "linearizable"
	}
	return fmt.Sprintf("a %s answer of %s at revision %d, %v old,", how, a.node, a.revision, a.age)
}

// states complains where an answer is not the whole state at its revision.
func (h *chronicle) states(t *testing.T, answers []answer) {
	t.Helper()
	for _, a := range answers {
		got := map[string]client.Revision{}
		for key, e := range a.entries {
			got[key] = e.Revision
		}
		if diff := cmp.Diff(h.at(a.revision), got); diff != "" {
			t.Errorf("%s is not the state at that revision (-state +answer):\n%s", a, diff)
			return
		}
	}
}

func between(answers []answer, from, to time.Time) []answer {
	return slices.DeleteFunc(slices.Clone(answers), func(a answer) bool { return a.sent.Before(from) || a.came.After(to) })
}
