package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/backend/durable"
	"github.com/roostbus/roost/coordination/lease"
	"github.com/roostbus/roost/kvstore"
)

// TestWhateverHappensNothingDeadIsListedAndNothingLivingDropped shows R3 and R4 over random
// histories of two nodes: what each kind of backend lists in the end, and what whoever
// followed it has, is exactly what is stored for nobody or for a lease that lives; and when
// all has been taken out, only that is stored.
func TestWhateverHappensNothingDeadIsListedAndNothingLivingDropped(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, w *leaseWorld) {
		for round := range 12 {
			t.Logf("round %d", round)
			seed := rand.New(rand.NewPCG(uint64(round), 7)) //nolint:gosec // for repeating it
			h := &leaseHistory{leaseWorld: w, Rand: seed, lives: map[string]bool{}, granted: round * 100}
			h.run(t)
		}
	})
}

type leaseHistory struct {
	*leaseWorld
	*rand.Rand
	lives   map[string]bool // every lease of the history
	granted int
	ended   []string
}

func (h *leaseHistory) run(t *testing.T) {
	follow := map[*leaseNode]func() []backend.Event{}
	held := map[*leaseNode]map[string]backend.Revision{}
	for _, n := range []*leaseNode{h.one, h.two} {
		b := n.kinds[h.kind]
		page, stamp, err := b.List(t.Context(), backend.Query{Read: surely})
		if err != nil {
			t.Fatal(err)
		}
		held[n] = map[string]backend.Revision{}
		for _, r := range page.Registrations {
			held[n][r.Instance] = r.Revision
		}
		follow[n] = followed(t, b, stamp.Revision)
	}
	synctest.Wait()
	for range 150 {
		h.step(t)
	}
	h.one.store.resume(t)
	h.two.store.resume(t)
	want := h.stored(t, true)
	for _, n := range []*leaseNode{h.one, h.two} {
		listsOnly(t, n.kinds[h.kind], surely, want...)
		var last backend.Revision
		copied := held[n]
		for _, e := range follow[n]() {
			switch {
			case e.Kind == backend.Gap:
				continue
			case e.Kind.Removes():
				delete(copied, e.Registration.Instance)
			default:
				copied[e.Registration.Instance] = e.Revision
			}
			if e.Revision < last {
				t.Errorf("a watch has seen %s at %d after %d", e.Kind, e.Revision, last)
			}
			last = e.Revision
		}
		var names []string
		for name := range copied {
			names = append(names, name)
		}
		if slices.Sort(names); !slices.Equal(names, want) {
			t.Errorf("who followed has %q; want %q", names, want)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	h.reapAll(t, want)
}

// reapAll takes out all that remains, as one node sees it.
func (h *leaseHistory) reapAll(t *testing.T, want []string) {
	t.Helper()
	for _, e := range h.first().Remains() {
		if left, err := h.first().Reap(t.Context(), e); left != 0 || err != nil {
			t.Errorf("Reap(%s) = %d, %v; want nothing left", e.Owner, left, err)
		}
	}
	if got := h.stored(t, false); !slices.Equal(got, want) {
		t.Errorf("when all is taken out %q is stored; want %q", got, want)
	}
	for owner := range h.lives {
		if n := h.first().Owned(owner); !h.lives[owner] && n != 0 {
			t.Errorf("%d are stored of %s; want none", n, owner)
		}
	}
}

// stored returns the instances that are stored, those of leases that have ended left out
// if living.
func (h *leaseHistory) stored(t *testing.T, living bool) (names []string) {
	t.Helper()
	scanned, err := h.store.Scan(t.Context(), []string{"event.>"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range scanned.Entries {
		r, err := durable.Parse(e)
		if err != nil {
			t.Fatal(err)
		}
		if owner := r.Registration.Owner; !r.Removed && (!living || owner == "" || h.leased(t, owner)) {
			names = append(names, r.Key.Instance)
		}
	}
	slices.Sort(names)
	return names
}

// leased reports whether owner's lease lives, by what is stored.
func (h *leaseHistory) leased(t *testing.T, owner string) bool {
	t.Helper()
	e, err := h.store.Get(t.Context(), lease.Key(owner))
	if err != nil || e.Removed {
		return false
	}
	r, err := kvstore.Decode[lease.Record](e)
	if err != nil {
		t.Fatal(err)
	}
	return r.Ended == ""
}

// some returns an owner of this history whose lease lives, or has ended; "" if there is none.
func (h *leaseHistory) some(living bool) string {
	var all []string
	for owner, lives := range h.lives {
		if lives == living {
			all = append(all, owner)
		}
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	return all[h.IntN(len(all))]
}

func (h *leaseHistory) name() string { return fmt.Sprint("i", h.IntN(8)) }

// soon returns a context for a call that may have to wait for a node that stands still.
func (h *leaseHistory) soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func (h *leaseHistory) step(t *testing.T) {
	node := h.one
	if h.IntN(2) == 0 {
		node = h.two
	}
	b := node.kinds[h.kind]
	switch h.IntN(16) {
	case 0, 1:
		h.granted++
		owner := "o" + strconv.Itoa(h.granted)
		h.grant(t, owner)
		h.lives[owner] = true
	case 2:
		if owner := h.some(true); owner != "" {
			h.end(t, owner, backend.ReasonExpired)
			h.lives[owner] = false
			h.ended = append(h.ended, owner)
		}
	case 3:
		if len(h.ended) > 0 {
			h.remove(t, h.ended[0])
			h.ended = h.ended[1:]
		}
	case 4:
		if owner := h.some(false); owner != "" {
			_, _ = b.Reap(h.soon(t), backend.Ending{Owner: owner, Reason: backend.ReasonExpired})
		}
	case 5:
		node.store.freeze()
	case 6:
		node.store.resume(t)
	case 7:
		if h.IntN(4) == 0 {
			h.store.RestartFeeds()
		}
	case 8:
		synctest.Wait()
	case 9:
		_, _, _ = b.Unregister(h.soon(t), leased(h.name()).Key, backend.Write{Owner: h.some(true)})
	default:
		_, _, _ = b.Register(h.soon(t), leased(h.name()), backend.Write{Owner: h.some(h.IntN(4) > 0)})
	}
}
