package coordination_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostbus/roost/coordination"
)

// C1, C2, C5, C6 of elections.
func TestAnElectionHasOneLeaderATermAndRemembersThem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b, e := newBook(), coordination.Election{}
		leaders := map[uint64]string{} // by term, in this life of the store
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			epoch := b.epoch
			if happen(t, b, &e, false) {
				if b.epoch != epoch && !b.present {
					clear(leaders)
				}
				continue
			}
			p, lives := living(t, b)
			to := someone(t)
			before := e
			var do func(coordination.Election, *coordination.Turn) (coordination.Election, error)
			transfers := false
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op < 5 && lives:
				c := coordination.Candidate{
					Owner: p.Owner, Priority: rapid.IntRange(-1, 1).Draw(t, "priority"),
					Value: []byte(fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "value"))),
				}
				do = func(e coordination.Election, turn *coordination.Turn) (coordination.Election, error) {
					return e.Campaign(turn, c)
				}
			case op < 7:
				do = func(e coordination.Election, turn *coordination.Turn) (coordination.Election, error) {
					return e.Resign(turn, p.Owner), nil
				}
			case op == 7 && lives:
				transfers = true
				do = func(e coordination.Election, turn *coordination.Turn) (coordination.Election, error) {
					return e.Transfer(turn, p.Owner, to)
				}
			case op == 8:
				do = func(e coordination.Election, turn *coordination.Turn) (coordination.Election, error) {
					return e.Clear(turn), nil
				}
			default:
				do = func(e coordination.Election, turn *coordination.Turn) (coordination.Election, error) {
					return e.Advance(turn), nil
				}
			}
			next, err := apply(t, b, e, func(e *coordination.Election) coordination.Token { return e.Token },
				(*coordination.Election).Owners, do)
			if err != nil {
				continue
			}
			e = next
			checkElection(t, &before, &e, leaders, p.Owner, transfers)
		}
	})
}

func checkElection(t *rapid.T, before, e *coordination.Election, leaders map[uint64]string, came string, transfers bool) {
	t.Helper()
	was, is := "", ""
	if before.Leader != nil {
		was = before.Leader.Owner
	}
	if e.Leader != nil {
		is = e.Leader.Owner
	}
	switch {
	case is == "" && len(e.Candidates) > 0:
		t.Fatalf("nobody leads of %v", e.Candidates)
	case e.Term == before.Term && is != was && is != "":
		t.Fatalf("%q leads in term %d, in which %q did", is, e.Term, was)
	case e.Term != before.Term && e.Term != before.Term+1:
		t.Fatalf("term %d follows %d", e.Term, before.Term)
	case e.Term != before.Term && is == "":
		t.Fatalf("term %d began without a leader", e.Term)
	case (e.Term != before.Term) != (e.Token != before.Token):
		t.Fatalf("term %d to %d, token %v to %v", before.Term, e.Term, before.Token, e.Token)
	}
	if is != "" {
		if other, ok := leaders[e.Term]; ok && other != is {
			t.Fatalf("%q and %q lead in term %d", other, is, e.Term)
		}
		leaders[e.Term] = is
		newest := e.Recent[len(e.Recent)-1]
		if want := (coordination.Leadership{Term: e.Term, Owner: is, Token: e.Token}); newest != want {
			t.Fatalf("the newest remembered is %v; want %v", newest, want)
		}
	}
	for i, r := range e.Recent {
		if i > 0 && r.Term != e.Recent[i-1].Term+1 || leaders[r.Term] != "" && leaders[r.Term] != r.Owner {
			t.Fatalf("remembered: %v; led: %v", e.Recent, leaders)
		}
	}
	if len(e.Recent) != int(min(e.Term, coordination.Remembered)) {
		t.Fatalf("%d are remembered in term %d", len(e.Recent), e.Term)
	}
	ordered := slices.IsSortedFunc(e.Candidates, func(a, b coordination.Candidate) int {
		if a.Priority != b.Priority {
			return b.Priority - a.Priority
		}
		return int(a.Came) - int(b.Came)
	})
	if !ordered {
		t.Fatalf("candidates are in the order %v", e.Candidates)
	}
	if transfers || e.Term == before.Term || is == "" || is == came {
		return
	}
	for _, c := range e.Candidates { // whoever leads was before all who waited
		if c.Owner != came && (c.Priority > e.Leader.Priority || c.Priority == e.Leader.Priority && c.Came < e.Leader.Came) {
			t.Fatalf("%v leads before %v", e.Leader, c)
		}
	}
}
