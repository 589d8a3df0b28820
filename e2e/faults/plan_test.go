package faults_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostbus/roost/e2e/faults"
)

func TestASeedIsAPlan(t *testing.T) {
	t.Parallel()
	plan := func(seed uint64) faults.Plan { return faults.Make(seed, time.Hour, faults.All()) }
	if diff := cmp.Diff(plan(7), plan(7)); diff != "" {
		t.Errorf("two plans of one seed differ:\n%s", diff)
	}
	if cmp.Equal(plan(7), plan(8)) {
		t.Error("two seeds have one plan")
	}
}

func TestAPlanHasEveryClassOnceAndThenSomeTogether(t *testing.T) {
	t.Parallel()
	all := faults.All()
	p := faults.Make(7, 10*time.Minute, all)
	once := map[string]int{}
	for _, s := range p.Steps[:len(all)] {
		if len(s.Faults) != 1 {
			t.Errorf("%v: want one fault at a time", s)
		}
		once[s.Faults[0]]++
	}
	for _, c := range all {
		if once[c.Name] != 1 {
			t.Errorf("%s is among the first %d times; want once", c.Name, once[c.Name])
		}
	}
	two, lasts := 0, time.Duration(0)
	for _, s := range p.Steps {
		lasts += s.Lasts + s.Quiet
		if len(s.Faults) != len(s.Picks) {
			t.Errorf("%v: %d picks", s, len(s.Picks))
		}
		if len(s.Faults) == 2 {
			two++
			if faults.Named(all, s.Faults[0])[0].Target == faults.Named(all, s.Faults[1])[0].Target {
				t.Errorf("%v: they meet the same", s)
			}
		}
	}
	if two == 0 || lasts < 10*time.Minute {
		t.Errorf("%d steps of two, %v in all", two, lasts)
	}
}
