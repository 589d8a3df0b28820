package bench_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/roostbus/roost/cmd/roost/bench"
)

func TestTheLineOfALockIsItsHolderAndWhoWaitsInOrder(t *testing.T) {
	t.Parallel()
	record := `{"token":"1","holders":[{"owner":"a","mode":"exclusive","token":"1"}],"waiters":[{"owner":"b"},{"owner":"c","mode":"shared"}]}`
	if got := bench.LineOf([]byte(record)); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("line = %v; want a, b, c", got)
	}
	if got := bench.LineOf([]byte(`{"token":"1"}`)); len(got) != 0 {
		t.Errorf("line of a free lock = %v; want none", got)
	}
}

func TestNobodyIsOvertakenInALine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line, next string
		want       bool
	}{
		{"", "a", true},
		{"a", "", true},
		{"ab", "abc", true},
		{"abc", "bc", true},
		{"abc", "bca", true},
		{"abc", "cba", false},
		{"abc", "acb", false},
		{"abc", "c", false},
		{"abc", "ac", false},
		{"abc", "", false},
		{"abc", "b", false},
	} {
		if got := bench.Follows(strings.Split(c.line, ""), strings.Split(c.next, "")); got != c.want {
			t.Errorf("%q after %q: %v; want %v", c.next, c.line, got, c.want)
		}
	}
}

func TestACurveEndsAtTheSettingAndHasTheStepsBelowIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		most int
		want []int
	}{{1, []int{1}}, {5, []int{1, 5}}, {64, []int{1, 10, 64}}, {100, []int{1, 10, 64, 100}}} {
		if got := bench.Scale(c.most, 1, 10, 64, 1000); !slices.Equal(got, c.want) {
			t.Errorf("scale to %d = %v; want %v", c.most, got, c.want)
		}
	}
}
