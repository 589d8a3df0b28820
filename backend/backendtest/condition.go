package backendtest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/roostbus/roost/backend"
)

var registerConditionClauses = []clause{
	{name: "RegisterIfAbsentOfAHeldNameIsErrConflictWithItsRevision", check: registerIfAbsent},
	{name: "RegisterAtARevisionNeedsThatRevision", check: registerAtRevision},
	{name: "RegisterAtARevisionOfAnAbsentNameIsErrConflictWithRevision0", check: registerAtRevisionOfNothing},
	{name: "AConditionOfAnotherEpochIsErrConflict", check: conditionOfAnotherEpoch},
	{name: "OfFiftyConcurrentRegistersIfAbsentExactlyOneWins", check: oneWinnerIfAbsent},
	{name: "OfFiftyConcurrentRegistersByDifferentOwnersExactlyOneWins", check: oneWinnerOfOwners, owners: true},
	{name: "ConcurrentUpdatesAtTheirRevisionsLoseNothing", check: compareAndSwap},
}

func registerIfAbsent(t *testing.T, s subject) {
	r := instance("payments", "i-1")
	first, _ := s.register(t, r, backend.Write{If: backend.IfAbsent()})
	_, _, err := s.Register(patient(t), r, backend.Write{If: backend.IfAbsent()})
	conflicts(t, "Register if absent of the same", err, first.Revision)
	r.Weight = 7
	_, _, err = s.Register(patient(t), r, backend.Write{If: backend.IfRevision(0)})
	conflicts(t, "Register at revision 0", err, first.Revision)
	same(t, s.lookup(t, r.Key, linearizable), first)

	s.unregister(t, r.Key, backend.Write{})
	s.register(t, r, backend.Write{If: backend.IfAbsent()})
}

func registerAtRevision(t *testing.T, s subject) {
	r := instance("payments", "i-1")
	first, _ := s.register(t, r, backend.Write{})
	r.Weight = 7
	second, stamp := s.register(t, r, backend.Write{If: backend.IfRevision(first.Revision)})
	r.Weight = 8
	_, _, err := s.Register(patient(t), r, backend.Write{If: backend.IfRevision(first.Revision)})
	conflicts(t, "Register at an old revision", err, second.Revision)
	_, _, err = s.Register(patient(t), r, backend.Write{If: backend.IfRevision(second.Revision + 1000)})
	conflicts(t, "Register at a revision to come", err, second.Revision)
	same(t, s.lookup(t, r.Key, linearizable), second)
	s.register(t, r, backend.Write{If: backend.IfRevision(second.Revision), Epoch: stamp.Epoch})
}

func registerAtRevisionOfNothing(t *testing.T, s subject) {
	r := instance("payments", "i-1")
	_, _, err := s.Register(patient(t), r, backend.Write{If: backend.IfRevision(1)})
	conflicts(t, "Register at revision 1 of a free name", err, 0)
	s.absent(t, r.Key, linearizable)

	first, _ := s.register(t, r, backend.Write{})
	removal, _ := s.unregister(t, r.Key, backend.Write{})
	for _, revision := range []backend.Revision{first.Revision, removal.Revision} {
		_, _, err = s.Register(patient(t), r, backend.Write{If: backend.IfRevision(revision)})
		conflicts(t, "Register at a revision from before the removal", err, 0)
	}
}

func conditionOfAnotherEpoch(t *testing.T, s subject) {
	r := instance("payments", "i-1")
	first, stamp := s.register(t, r, backend.Write{})
	elsewhere := backend.Write{If: backend.IfRevision(first.Revision), Epoch: stamp.Epoch + 1}
	r.Weight = 7
	_, _, err := s.Register(patient(t), r, elsewhere)
	conflicts(t, "Register", err, first.Revision)
	_, _, err = s.Update(patient(t), r.Key, backend.Change{Weight: address[uint16](7)}, elsewhere)
	conflicts(t, "Update", err, first.Revision)
	_, _, err = s.Unregister(patient(t), r.Key, elsewhere)
	conflicts(t, "Unregister", err, first.Revision)
	same(t, s.lookup(t, r.Key, linearizable), first)
}

// contend calls try for 0 to n-1 at one moment and returns what each returned.
func contend(n int, try func(i int) (backend.Registration, error)) (results []backend.Registration, errs []error) {
	results, errs = make([]backend.Registration, n), make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			results[i], errs[i] = try(i)
		})
	}
	close(start)
	wg.Wait()
	return results, errs
}

// winner returns the index of the one that succeeded.
func winner(t *testing.T, errs []error) int {
	t.Helper()
	won := -1
	for i, err := range errs {
		if err != nil {
			continue
		}
		if won >= 0 {
			t.Fatalf("%d and %d both succeeded; want one", won, i)
		}
		won = i
	}
	if won < 0 {
		t.Fatalf("nobody succeeded, the first with %v; want one", errs[0])
	}
	return won
}

// R1.
func oneWinnerIfAbsent(t *testing.T, s subject) {
	results, errs := contend(50, func(i int) (backend.Registration, error) {
		r := instance("payments", "")
		r.Weight = uint16(i)
		got, _, err := s.Register(patient(t), r, backend.Write{If: backend.IfAbsent()})
		return got, err
	})
	won := winner(t, errs)
	for i, err := range errs {
		if i != won {
			conflicts(t, fmt.Sprintf("Register by contender %d", i), err, results[won].Revision)
		}
	}
	same(t, s.lookup(t, results[won].Key, linearizable), results[won])
}

// R1. foundation: "one owner per key", "5 to 20 concurrent registers".
func oneWinnerOfOwners(t *testing.T, s subject) {
	results, errs := contend(50, func(i int) (backend.Registration, error) {
		owner := "owner-" + strconv.Itoa(i)
		s.leases.Grant(owner)
		got, _, err := s.Register(patient(t), instance("payments", ""), backend.Write{Owner: owner})
		return got, err
	})
	won := winner(t, errs)
	if want := "owner-" + strconv.Itoa(won); results[won].Owner != want {
		t.Errorf("the winner's registration belongs to %q; want %q", results[won].Owner, want)
	}
	for i, err := range errs {
		if i != won {
			held(t, fmt.Sprintf("Register by contender %d", i), err, results[won])
		}
	}
	same(t, s.lookup(t, results[won].Key, linearizable), results[won])
}

func compareAndSwap(t *testing.T, s subject) {
	const writers, rounds = 8, 5
	r := instance("payments", "i-1")
	r.Weight = 0
	s.register(t, r, backend.Write{})
	add := func() error {
		for {
			now, _, err := s.Lookup(patient(t), r.Key, linearizable)
			if err != nil {
				return err
			}
			c := backend.Change{Weight: address(now.Weight + 1)}
			_, _, err = s.Update(patient(t), r.Key, c, backend.Write{If: backend.IfRevision(now.Revision)})
			if !errors.Is(err, backend.ErrConflict) {
				return err
			}
		}
	}
	_, errs := contend(writers, func(int) (backend.Registration, error) {
		for range rounds {
			if err := add(); err != nil {
				return backend.Registration{}, err
			}
		}
		return backend.Registration{}, nil
	})
	for i, err := range errs {
		if err != nil {
			t.Errorf("writer %d: %v", i, err)
		}
	}
	if got := s.lookup(t, r.Key, linearizable).Weight; got != writers*rounds {
		t.Errorf("%d writers added %d times and made %d; want %d", writers, rounds, got, writers*rounds)
	}
}
