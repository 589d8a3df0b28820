package chart_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/roostbus/roost/cmd/roost/bench"
	"github.com/roostbus/roost/cmd/roost/bench/chart"
)

// drawn draws a report and returns the picture's texts and how many circles it has.
func drawn(t *testing.T, r *bench.Report) (texts string, circles int) {
	t.Helper()
	var out bytes.Buffer
	if err := chart.Write(&out, r); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	d := xml.NewDecoder(&out)
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return said.String(), circles
		}
		if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Local == "circle" {
				circles++
			}
		case xml.CharData:
			said.Write(token)
			said.WriteByte('\n')
		}
	}
}

func report() *bench.Report {
	met := false
	k := bench.CaseReport{
		What: "a <b> & c", InFlight: 64, Budget: bench.Budget{Rate: 0.9}, RateRatio: 0.3, Met: &met,
		Roost: bench.SideReport{PerSecond: 3, P50Us: 10}, Bare: bench.SideReport{PerSecond: 10, P50Us: 10},
	}
	near, far := k, k
	near.Curve, near.X, far.Curve, far.X = true, 1000, true, 100_000
	return &bench.Report{Version: "1", Cells: []bench.CellReport{{ID: "P1", Cases: []bench.CaseReport{k, near, far}}}}
}

func TestAChartShowsEachBudgetAndEachCurve(t *testing.T) {
	t.Parallel()
	texts, circles := drawn(t, report())
	for _, want := range []string{"a <b> & c, 64 in flight: rate\n", "0.30 ×\n", "≥ 0.90 ×\n", "P1  look-ups, 64 in flight\n", "registrations\n", "100k\n"} {
		if !strings.Contains(texts, want) {
			t.Errorf("the chart does not say %q but\n%s", want, texts)
		}
	}
	if want := 1 + 2*2; circles != want {
		t.Errorf("the chart has %d points; want one of the budget and two of each curve", circles)
	}
}

func TestAChartOfNothingAndOfExtremesIsStillOne(t *testing.T) {
	t.Parallel()
	drawn(t, &bench.Report{})
	r := report()
	for i := range r.Cells[0].Cases {
		r.Cells[0].Cases[i].RateRatio, r.Cells[0].Cases[i].Roost.PerSecond, r.Cells[0].Cases[i].Bare.PerSecond = 0, 0, 0
	}
	if texts, _ := drawn(t, r); strings.Contains(texts, "NaN") || strings.Contains(texts, "Inf") {
		t.Errorf("the chart says\n%s", texts)
	}
}
