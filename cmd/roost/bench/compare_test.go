package bench_test

import (
	"math"
	"strings"
	"testing"

	"github.com/roostbus/roost/cmd/roost/bench"
)

// measured is a report of one case with a budget, and of one figure with a limit.
func measured(rate, p50, server, size float64) *bench.Report {
	met := true
	return &bench.Report{Version: "1", Cells: []bench.CellReport{
		{ID: "P1", Unit: "look-ups", Cases: []bench.CaseReport{{
			InFlight: 64, RateRatio: rate, P50Ratio: p50, Met: &met,
			Budget: bench.Budget{Rate: 0.9, P50: 2},
			Roost:  bench.SideReport{PerSecond: rate * 1000, CPUUs: map[string]float64{"client": 1, "server": server, "responder": 0}},
			Bare:   bench.SideReport{PerSecond: 1000, CPUUs: map[string]float64{"client": 1, "server": 1, "responder": 1}},
		}}},
		{ID: "P17", Figures: []bench.Figure{{What: "size", Unit: "MB", Roost: size, Limit: bench.Limit{Most: 40}, Met: &met}}},
	}}
}

func TestWhatHasBecomeMuchWorseIsFarOff(t *testing.T) {
	t.Parallel()
	before := measured(1, 1, 10, 20)
	for _, c := range []struct {
		why  string
		now  *bench.Report
		want int
	}{
		{"nothing", measured(1, 1, 10, 20), 0},
		{"a little", measured(0.7, 1.7, 14, 29), 0},
		{"better", measured(9, 0.1, 1, 2), 0},
		{"rate", measured(0.6, 1, 10, 20), 1},
		{"latency", measured(1, 1.8, 10, 20), 1},
		{"CPU time", measured(1, 1, 17, 20), 1},
		{"a figure", measured(1, 1, 10, 31), 1},
		{"all", measured(0.6, 1.8, 17, 31), 4},
	} {
		changes := bench.Compare(before, c.now)
		table, farOff := bench.ChangesTable(changes)
		if len(changes) != 4 || farOff != c.want || strings.Count(table, "FAR OFF") != c.want {
			t.Errorf("%s: %d of %d are far off; want %d of 4:\n%s", c.why, farOff, len(changes), c.want, table)
		}
	}
}

func TestAFailureIsFarOffHoweverFastTheRestIs(t *testing.T) {
	t.Parallel()
	now := measured(1, 1, 10, 20)
	now.Cells[0].Cases[0].Roost.Failed = 1
	if _, farOff := bench.ChangesTable(bench.Compare(measured(1, 1, 10, 20), now)); farOff != 1 {
		t.Errorf("%d are far off; want the failure", farOff)
	}
}

func TestWhatOneReportLacksIsNotCompared(t *testing.T) {
	t.Parallel()
	now := measured(1, 1, 10, 20)
	now.Cells = now.Cells[1:]
	if changes := bench.Compare(measured(1, 1, 10, 20), now); len(changes) != 1 {
		t.Errorf("changes = %+v; want that of the figure", changes)
	}
}

func TestReportsOfOneMachineAndVersionAreMerged(t *testing.T) {
	t.Parallel()
	a, b := measured(1, 1, 1, 1), measured(1, 1, 1, 1)
	a.Cells, b.Cells = a.Cells[:1], b.Cells[1:]
	sum, err := bench.Merge([]*bench.Report{a, b})
	if err != nil || len(sum.Cells) != 2 || len(a.Cells) != 1 {
		t.Errorf("Merge = %+v, %v; want both cells", sum, err)
	}
	if _, err := bench.Merge([]*bench.Report{a, a}); err == nil {
		t.Error("a cell that is there twice is merged")
	}
	b.Version = "2"
	if _, err := bench.Merge([]*bench.Report{a, b}); err == nil {
		t.Error("reports of two versions are merged")
	}
}

func TestTheTablesOfAPageAreReplacedAndTheRestIsLeftAlone(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- results: written by roost bench report -->\n", "<!-- end of results -->\n"
	r := measured(0.5, 1, 10, 20)
	page, err := r.Insert("before\n"+begin+"old\n"+end+"after\n", "x.svg")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before\n" + begin, end + "after\n", "](x.svg)", "| P1 | 64 in flight: rate | 0.50 × | ≥ 0.90 × | **missed** |",
		"| P1 | 64 in flight: p50 | 1.00 × | ≤ 2.00 × | met |", "| P17 | size | 20.0 MB | ≤ 40.0 MB | met |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("there is no %q in\n%s", want, page)
		}
	}
	if strings.Contains(page, "old") {
		t.Errorf("what was there before is still in\n%s", page)
	}
	if again, err := r.Insert(page, "x.svg"); err != nil || again != page {
		t.Errorf("the same once more makes another page, %v:\n%s", err, again)
	}
	for _, bad := range []string{"", begin, end} {
		if _, err := r.Insert(bad, ""); err == nil {
			t.Errorf("%q has marks", bad)
		}
	}
}

func TestAShareOfABudgetIsOneOnTheVeryLimit(t *testing.T) {
	t.Parallel()
	if uses := measured(0, 2, 1, 40).Cells[0].Uses(false); uses[0].Met || !math.IsInf(uses[0].Share, 1) {
		t.Errorf("no rate at all is %+v of a budget; want that it is missed", uses[0])
	}
	r := measured(0.45, 2, 1, 40)
	uses := append(r.Cells[0].Uses(false), r.Cells[1].Uses(false)...)
	var shares []float64
	for _, u := range uses {
		shares = append(shares, u.Share)
	}
	if len(shares) != 3 || shares[0] != 2 || shares[1] != 1 || shares[2] != 1 || uses[0].Met || !uses[1].Met || !uses[2].Met {
		t.Errorf("uses = %+v; want twice the budget, missed, and two that take all of theirs", uses)
	}
}
