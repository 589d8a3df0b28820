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

func noToken[T any](*T) coordination.Token { return coordination.Token{} }

// C6, C8.
func TestABarrierReleasesEachGenerationOnceAndAllTogether(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		book, b := newBook(), coordination.Barrier{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if owner := someone(t); rapid.IntRange(0, 9).Draw(t, "ends") == 0 {
				book.dead[owner] = !book.dead[owner]
				continue
			}
			before := b
			p, lives := living(t, book)
			ticket := ticketOf(t)
			size := rapid.SampledFrom([]int{1, 3, 3, 3, 3, 2}).Draw(t, "size")
			generation := uint64(0)
			if rapid.Bool().Draw(t, "says") {
				generation = b.Done + rapid.Uint64Range(0, 2).Draw(t, "generation")
			}
			var arrival coordination.Arrival
			arrives := lives && rapid.IntRange(0, 4).Draw(t, "op") > 0
			next, err := apply(t, book, b, noToken[coordination.Barrier], (*coordination.Barrier).Owners,
				func(b coordination.Barrier, turn *coordination.Turn) (next coordination.Barrier, err error) {
					if arrives {
						next, arrival, err = b.Arrive(turn, p, size, generation, ticket)
						return next, err
					}
					return b.GiveUp(turn, func(t coordination.Ticket) bool { return t.Node == "n1" }), nil
				})
			if err != nil {
				if !errors.Is(err, backend.ErrConflict) {
					t.Fatal(err)
				}
				continue
			}
			b = next
			others := 0
			for _, a := range before.Parties {
				if !book.dead[a.Owner] && a.Party != p {
					others++
				}
			}
			switch {
			case b.Done == before.Done:
				if arrives && arrival.Released && generation != arrival.Generation {
					t.Fatalf("%+v although generation %d waits", arrival, b.Generation())
				}
			case b.Done != before.Done+1, !arrives, others+1 != size:
				t.Fatalf("%d of %d released generation %d", others+1, size, b.Done)
			case len(b.Parties) > 0 || b.Size != 0:
				t.Fatalf("after a release: %+v", b)
			case !arrival.Released || arrival.Generation != b.Done:
				t.Fatalf("the last is told %+v", arrival)
			}
			if len(b.Parties) > 0 && len(b.Parties) >= b.Size {
				t.Fatalf("%d wait at a barrier of %d", len(b.Parties), b.Size)
			}
			if !arrives || ticket == nil || arrival.Released {
				continue
			}
			again, once, err := b.Arrive(book.turn(), p, size, arrival.Generation, ticket)
			if err != nil || once != arrival || encode(t, again) != encode(t, b) {
				t.Fatalf("a repeat: %+v, %v, %v; want nothing changed", again, once, err)
			}
		}
	})
}

// C7.
func TestAProposalHasOneOutcomeThatAgreesWithItsVotes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b, s := newBook(), coordination.Proposals{}
		decided := map[string]string{}
		proposed := 0
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			if owner := someone(t); rapid.IntRange(0, 14).Draw(t, "ends") == 0 {
				b.dead[owner] = true
			}
			owner := someone(t)
			do := func(s coordination.Proposals, turn *coordination.Turn) (coordination.Proposals, error) {
				return s.Advance(turn), nil
			}
			expires := ""
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op == 0:
				clear(b.dead)
				proposed++
				voters := []string{"o1", "o2", "o3", "o4", "o5"}[:rapid.IntRange(1, 5).Draw(t, "voters")]
				p := coordination.Proposal{
					ID: fmt.Sprint(proposed), Proposer: owner, Voters: voters, TimeoutMs: 1,
					Quorum: rapid.IntRange(1, len(voters)).Draw(t, "quorum"),
				}
				do = func(s coordination.Proposals, turn *coordination.Turn) (coordination.Proposals, error) {
					return s.Propose(turn, p)
				}
			case op < 8 && !b.dead[owner]:
				id, accept := fmt.Sprint(max(1, proposed-rapid.IntRange(0, 2).Draw(t, "old"))), rapid.Bool().Draw(t, "accept")
				do = func(s coordination.Proposals, turn *coordination.Turn) (coordination.Proposals, error) {
					return s.Vote(turn, id, coordination.Ballot{Owner: owner, Accept: accept})
				}
			case op == 8 && s.Latest != nil && rapid.IntRange(0, 3).Draw(t, "expires") == 0:
				expires = s.Latest.ID
				do = func(s coordination.Proposals, turn *coordination.Turn) (coordination.Proposals, error) {
					return s.Expire(turn, expires, coordination.ReasonTimeout), nil
				}
			}
			next, err := apply(t, b, s, noToken[coordination.Proposals], func(*coordination.Proposals) []string { return nil }, do)
			if err != nil {
				continue
			}
			s = next
			for i := range s.Past {
				checkProposal(t, &s.Past[i], decided, b)
			}
			if s.Latest != nil {
				checkProposal(t, s.Latest, decided, b)
			}
			if len(s.Past) > coordination.Remembered {
				t.Fatalf("%d are remembered", len(s.Past))
			}
		}
	})
}

func checkProposal(t *rapid.T, p *coordination.Proposal, decided map[string]string, b *book) {
	t.Helper()
	yes, no, gone := 0, 0, 0
	seen := map[string]bool{}
	for _, v := range p.Votes {
		if seen[v.Owner] || !slices.Contains(p.Voters, v.Owner) {
			t.Fatalf("votes %v of voters %v", p.Votes, p.Voters)
		}
		seen[v.Owner] = true
		if v.Accept {
			yes++
		} else {
			no++
		}
	}
	for _, v := range p.Voters {
		if !seen[v] && b.dead[v] {
			gone++
		}
	}
	if was, ok := decided[p.ID]; ok && was != encode(t, p) {
		t.Fatalf("what was decided has changed:\n%s\n%s", was, encode(t, p))
	}
	open := len(p.Voters) - yes - no
	switch {
	case p.State == coordination.Voting && (yes >= p.Quorum || yes+open-gone < p.Quorum):
		t.Fatalf("still voted on: %+v, with %d gone", p, gone)
	case p.State == coordination.Committed && yes < p.Quorum:
		t.Fatalf("committed with %d of %d: %+v", yes, p.Quorum, p)
	case p.State == coordination.Aborted && yes >= p.Quorum:
		t.Fatalf("aborted with %d of %d: %+v", yes, p.Quorum, p)
	}
	if p.State != coordination.Voting {
		decided[p.ID] = encode(t, p)
	}
}
