package coordination_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostbus/roost/coordination"
)

// book is a store with one record, and everybody who may appear in it.
type book struct {
	revision uint64
	epoch    uint32
	present  bool
	dead     map[string]bool
	newest   coordination.Token // of all that were ever given
}

func newBook() *book { return &book{revision: 1, epoch: 1, dead: map[string]bool{}} }

func (b *book) ended(owner string) bool { return b.dead[owner] }

func (b *book) turn() *coordination.Turn {
	turn := &coordination.Turn{Epoch: b.epoch, Ended: b.ended}
	if !b.present {
		turn.Floor = b.revision
	}
	return turn
}

func encode(t rapid.TB, x any) string {
	t.Helper()
	text, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// apply makes a transition of x as an engine does, and checks what holds of every one: the
// record that it was given stays as it is, its tokens grow by at most one, and above all
// that were given before, and it names nobody who has ended.
func apply[T any](t *rapid.T, b *book, x T, token func(*T) coordination.Token, owners func(*T) []string,
	do func(T, *coordination.Turn) (T, error),
) (T, error) {
	t.Helper()
	before := encode(t, x)
	next, err := do(x, b.turn())
	if after := encode(t, x); after != before {
		t.Fatalf("a transition has changed what it was given:\n%s\n%s", before, after)
	}
	if err != nil {
		return x, err
	}
	if i := slices.IndexFunc(owners(&next), b.ended); i >= 0 {
		t.Fatalf("%s has ended and is in %s", owners(&next)[i], encode(t, next))
	}
	if encode(t, next) == before {
		return x, nil
	}
	b.revision += rapid.Uint64Range(1, 3).Draw(t, "passed")
	was, is := token(&x), token(&next)
	if is != was {
		if is.Compare(b.newest) <= 0 {
			t.Fatalf("token %v was given after %v", is, b.newest)
		}
		if b.present && is.Epoch == was.Epoch && is.Counter != was.Counter+1 {
			t.Fatalf("token %v was given next after %v", is, was)
		}
		if is.Epoch == b.epoch && is.Counter > b.revision {
			t.Fatalf("token %v is above the revision %d", is, b.revision)
		}
		b.newest = is
	}
	b.present = true
	return next, nil
}

// happen has something happen to the store or to an owner, or reports false. idle says that
// the record may be removed.
func happen[T any](t *rapid.T, b *book, x *T, idle bool) bool {
	t.Helper()
	switch what := rapid.IntRange(0, 11).Draw(t, "happens"); {
	case what == 0:
		owner := someone(t)
		b.dead[owner] = !b.dead[owner] // another of the same name, as far as records know
	case what == 1 && idle && b.present: // cleaned up
		b.revision++
		b.present = false
		*x = *new(T)
	case what == 2 && rapid.IntRange(0, 4).Draw(t, "anew") == 0: // the store was made anew
		b.epoch++
		b.revision, b.present = rapid.Uint64Range(1, 3).Draw(t, "revision"), false
		*x = *new(T)
	case what == 3 && rapid.IntRange(0, 4).Draw(t, "raised") == 0: // an epoch was asked for
		b.epoch++
	default:
		return false
	}
	return true
}

func someone(t *rapid.T) string {
	t.Helper()
	return fmt.Sprint("o", rapid.IntRange(1, 6).Draw(t, "owner"))
}

func anyParty(t *rapid.T) coordination.Party {
	t.Helper()
	return coordination.Party{Owner: someone(t), Holder: rapid.SampledFrom([]string{"", "h"}).Draw(t, "holder")}
}

// living returns a party that may ask for something.
func living(t *rapid.T, b *book) (coordination.Party, bool) {
	t.Helper()
	p := anyParty(t)
	return p, !b.dead[p.Owner]
}

func nobody(string) bool { return false }

// plain is a turn in which nobody has ended.
func plain() *coordination.Turn { return &coordination.Turn{Epoch: 1, Ended: nobody} }

// endedIn is a turn in which owners have ended.
func endedIn(owners ...string) *coordination.Turn {
	return &coordination.Turn{Epoch: 1, Ended: func(owner string) bool { return slices.Contains(owners, owner) }}
}

// must returns x where there is no error.
func must[T any](t *testing.T) func(x T, err error) T {
	t.Helper()
	return func(x T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
}
