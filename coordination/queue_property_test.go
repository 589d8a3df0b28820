package coordination_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/coordination"
)

// line is what a lock and a semaphore have in common.
type line struct {
	holders []coordination.Hold
	waiters []coordination.Wait
}

// checkOrder checks that those who waited before, and have neither left nor ended, are served
// in their order and none is overtaken: what is left of before is the same as those of it who
// were served followed by those who wait still.
func checkOrder(t *rapid.T, b *book, before, after line, left func(coordination.Wait) bool, came coordination.Party) {
	t.Helper()
	var want, got []string
	for _, w := range before.waiters {
		if !b.dead[w.Owner] && !left(w) {
			want = append(want, fmt.Sprint(w.Party))
		}
	}
	waited := func(p coordination.Party) bool {
		return slices.ContainsFunc(before.waiters, func(w coordination.Wait) bool { return w.Party == p && !left(w) })
	}
	held := func(p coordination.Party) bool {
		return slices.ContainsFunc(before.holders, func(h coordination.Hold) bool { return h.Party == p })
	}
	for _, h := range after.holders {
		switch {
		case waited(h.Party):
			got = append(got, fmt.Sprint(h.Party))
		case held(h.Party):
		case h.Party != came:
			t.Fatalf("%v holds and never asked", h.Party)
		case len(after.waiters) > 0:
			t.Fatalf("%v was served on coming, before %v", h.Party, after.waiters)
		}
	}
	for i, w := range after.waiters {
		switch {
		case waited(w.Party):
			got = append(got, fmt.Sprint(w.Party))
		case w.Party != came || i != len(after.waiters)-1:
			t.Fatalf("%v waits as number %d of %d", w.Party, i+1, len(after.waiters))
		}
	}
	if !slices.Equal(want, got) {
		t.Fatalf("those who waited are served in the order %v; want %v", got, want)
	}
	seen := map[coordination.Party]bool{}
	for _, h := range after.holders {
		if seen[h.Party] {
			t.Fatalf("%v holds twice", h.Party)
		}
		seen[h.Party] = true
	}
	for _, w := range after.waiters {
		if seen[w.Party] {
			t.Fatalf("%v holds and waits, or waits twice", w.Party)
		}
		seen[w.Party] = true
	}
}

// checkTokens checks that holders keep their tokens, and that whoever is new has the newest,
// which was not there before.
func checkTokens(t *rapid.T, before, after line, was, newest coordination.Token) {
	t.Helper()
	for _, h := range after.holders {
		i := slices.IndexFunc(before.holders, func(held coordination.Hold) bool { return held.Party == h.Party })
		if i >= 0 && before.holders[i].Token == h.Token {
			continue
		}
		if h.Token != newest || newest == was {
			t.Fatalf("%v was given the token %v; the newest is %v", h.Party, h.Token, newest)
		}
	}
}

func none(coordination.Wait) bool { return false }

func of(p coordination.Party) func(coordination.Wait) bool {
	return func(w coordination.Wait) bool { return w.Party == p }
}

func ticketOf(t *rapid.T) *coordination.Ticket {
	t.Helper()
	if rapid.Bool().Draw(t, "waits") {
		return nil
	}
	return &coordination.Ticket{Node: fmt.Sprint("n", rapid.IntRange(1, 2).Draw(t, "node")), ID: fmt.Sprint(rapid.Uint16().Draw(t, "id"))}
}

// C1, C4, C5, C6 of locks.
func TestALockExcludesServesInOrderAndItsTokensGrow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b, l := newBook(), coordination.Lock{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if happen(t, b, &l, l.Idle()) {
				continue
			}
			before, was := line{l.Holders, l.Waiters}, l.Token
			p, lives := living(t, b)
			came, left := coordination.Party{}, none
			var do func(coordination.Lock, *coordination.Turn) (coordination.Lock, error)
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op < 6 && lives:
				mode, ticket := rapid.SampledFrom([]coordination.Mode{coordination.Exclusive, coordination.Shared}).Draw(t, "mode"), ticketOf(t)
				came = p
				if ticket == nil {
					left = of(p)
				}
				do = func(l coordination.Lock, turn *coordination.Turn) (coordination.Lock, error) {
					return l.Acquire(turn, p, mode, ticket)
				}
			case op < 8:
				left = of(p)
				do = func(l coordination.Lock, turn *coordination.Turn) (coordination.Lock, error) {
					return l.Release(turn, p), nil
				}
			case op == 8:
				node := fmt.Sprint("n", rapid.IntRange(1, 2).Draw(t, "gone"))
				left = func(w coordination.Wait) bool { return w.Ticket.Node == node }
				do = func(l coordination.Lock, turn *coordination.Turn) (coordination.Lock, error) {
					return l.GiveUp(turn, func(t coordination.Ticket) bool { return t.Node == node }), nil
				}
			default:
				do = func(l coordination.Lock, turn *coordination.Turn) (coordination.Lock, error) {
					return l.Advance(turn), nil
				}
			}
			next, err := apply(t, b, l, func(l *coordination.Lock) coordination.Token { return l.Token },
				func(l *coordination.Lock) []string { return l.Owners() }, do)
			if err != nil {
				continue
			}
			l = next
			after := line{l.Holders, l.Waiters}
			if _, held := l.Held(came); held {
				left = none // served before it could leave
			}
			checkOrder(t, b, before, after, left, came)
			checkTokens(t, before, after, was, l.Token)
			for _, h := range l.Holders {
				if h.Mode == coordination.Exclusive && len(l.Holders) > 1 {
					t.Fatalf("held exclusively beside others: %v", l.Holders)
				}
			}
			if len(l.Waiters) > 0 && (len(l.Holders) == 0 || l.Waiters[0].Mode == coordination.Shared && l.Holders[0].Mode == coordination.Shared) {
				t.Fatalf("%v could be served beside %v", l.Waiters[0], l.Holders)
			}
		}
	})
}

// C1, C4, C5, C6 of semaphores.
func TestASemaphoreNeverGivesMoreThanItsLimitAndServesInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b, s := newBook(), coordination.Semaphore{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if happen(t, b, &s, s.Idle()) {
				continue
			}
			before, limit, was := line{s.Holders, s.Waiters}, s.Limit, s.Token
			p, lives := living(t, b)
			came, left := coordination.Party{}, none
			do := func(s coordination.Semaphore, turn *coordination.Turn) (coordination.Semaphore, error) {
				return s.Advance(turn), nil
			}
			switch op := rapid.IntRange(0, 8).Draw(t, "op"); {
			case op < 6 && lives:
				permits, asked, ticket := rapid.IntRange(1, 3).Draw(t, "permits"), rapid.SampledFrom([]int{3, 3, 3, 4}).Draw(t, "limit"), ticketOf(t)
				came = p
				if ticket == nil {
					left = of(p)
				}
				do = func(s coordination.Semaphore, turn *coordination.Turn) (coordination.Semaphore, error) {
					return s.Acquire(turn, p, permits, asked, ticket)
				}
			case op < 8:
				left = of(p)
				do = func(s coordination.Semaphore, turn *coordination.Turn) (coordination.Semaphore, error) {
					return s.Release(turn, p), nil
				}
			}
			next, err := apply(t, b, s, func(s *coordination.Semaphore) coordination.Token { return s.Token },
				func(s *coordination.Semaphore) []string { return s.Owners() }, do)
			if err != nil {
				if errors.Is(err, backend.ErrConflict) && limit == 0 {
					t.Fatalf("an unused semaphore refuses: %v", err)
				}
				continue
			}
			s = next
			if _, held := s.Held(came); held {
				left = none
			}
			after := line{s.Holders, s.Waiters}
			checkOrder(t, b, before, after, left, came)
			checkTokens(t, before, after, was, s.Token)
			taken := 0
			for _, h := range s.Holders {
				taken += h.Permits
			}
			switch {
			case taken > s.Limit:
				t.Fatalf("%d permits of %d are given", taken, s.Limit)
			case s.Idle() != (s.Limit == 0):
				t.Fatalf("idle: %t, limit %d", s.Idle(), s.Limit)
			case len(s.Waiters) > 0 && taken+s.Waiters[0].Permits <= s.Limit:
				t.Fatalf("%v could be served beside %v", s.Waiters[0], s.Holders)
			}
		}
	})
}
