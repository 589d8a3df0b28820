package bench_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/cmd/roost/bench"
)

func TestTheMedianIsTheMiddleOrTheMeanOfBothMiddles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := bench.MedianFloat(c.values); got != c.want {
			t.Errorf("median of %v = %v; want %v", c.values, got, c.want)
		}
	}
	if got := bench.MedianDuration([]time.Duration{4, 2}); got != 3 {
		t.Errorf("median of 4ns and 2ns = %v; want 3ns", got)
	}
}

func TestAPercentileIsAValueThatSoManyDoNotExceed(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, c := range []struct {
		values []time.Duration
		share  float64
		want   time.Duration
	}{
		{nil, 0.5, 0},
		{hundred, 0.50, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
		{[]time.Duration{1, 2, 3}, 0.50, 2},
		{[]time.Duration{1, 2, 3}, 0.99, 3},
	} {
		if got := bench.Percentile(c.values, c.share); got != c.want {
			t.Errorf("percentile %v of %d values = %v; want %v", c.share, len(c.values), got, c.want)
		}
	}
}

func TestRatiosAreMediansOfThoseOfEachRound(t *testing.T) {
	t.Parallel()
	// The machine is four times slower in the second round: a ratio of medians would not
	// be one of what took place together.
	c := bench.CaseOf(bench.Budget{Rate: 0.5, P50: 2},
		[]time.Duration{20 * time.Millisecond, 80 * time.Millisecond, 30 * time.Millisecond},
		[]time.Duration{10 * time.Millisecond, 40 * time.Millisecond, 20 * time.Millisecond}, 0)
	if c.RateRatio != 0.5 || c.P50Ratio != 2 {
		t.Errorf("ratios = %v of the rate, %v of the p50; want 0.5 and 2", c.RateRatio, c.P50Ratio)
	}
	if c.Met == nil || !*c.Met {
		t.Errorf("met = %v; want true on the very budget", c.Met)
	}
}

func TestABudgetIsMissedByRateByLatencyAndByFailures(t *testing.T) {
	t.Parallel()
	slow, fast := []time.Duration{3 * time.Millisecond}, []time.Duration{time.Millisecond}
	for _, c := range []struct {
		why    string
		budget bench.Budget
		roost  []time.Duration
		failed int64
	}{
		{"rate", bench.Budget{Rate: 0.5}, slow, 0},
		{"rate whatever the baseline's", bench.Budget{PerSecond: 334}, slow, 0},
		{"latency", bench.Budget{P50: 2}, slow, 0},
		{"the slowest", bench.Budget{P99: 2}, slow, 0},
		{"latency whatever the baseline's", bench.Budget{P50Us: 2999}, slow, 0},
		{"the slowest whatever the baseline's", bench.Budget{P99Us: 2999}, slow, 0},
		{"allocations", bench.Budget{NoAllocations: true}, fast, 0},
		{"failures", bench.Budget{Rate: 0.5}, fast, 1},
	} {
		report := bench.CaseOf(c.budget, c.roost, fast, c.failed)
		if report.Met == nil || *report.Met {
			t.Errorf("%s: met = %v; want false", c.why, report.Met)
		}
	}
	every := bench.Budget{Rate: 0.3, PerSecond: 333, P50: 3, P99: 3, P50Us: 3000, P99Us: 3000}
	if report := bench.CaseOf(every, slow, fast, 0); report.Met == nil || !*report.Met {
		t.Errorf("met = %v on the very budgets; want true", report.Met)
	}
	if report := bench.CaseOf(bench.Budget{}, slow, fast, 0); report.Met != nil {
		t.Errorf("met = %v without a budget; want nothing", *report.Met)
	}
}

func TestABudgetOfCPUTimeIsJudgedWhereThatIsKnown(t *testing.T) {
	t.Parallel()
	for _, k := range []struct {
		budget            bench.Budget
		used, bare        float64
		judgeable, within bool
	}{
		{bench.Budget{CPU: 1.3}, 13, 10, true, true},
		{bench.Budget{CPU: 1.3}, 14, 10, true, false},
		{bench.Budget{Cores: 0.5}, 500_000, 0, true, true},
		{bench.Budget{Cores: 0.5}, 500_001, 0, true, false},
		{bench.Budget{CPU: 1.3}, 0, 0, false, true},
		{bench.Budget{Cores: 0.5}, 0, 0, false, true},
	} {
		c := bench.CaseWithCPU(k.budget, k.used, k.bare)
		if judgeable, within := c.Judgeable(), c.Within(); judgeable != k.judgeable || within != k.within {
			t.Errorf("%+v, %v µs used, %v by the baseline: judgeable %v, within %v; want %v, %v",
				k.budget, k.used, k.bare, judgeable, within, k.judgeable, k.within)
		}
	}
}

func TestCPUTimeIsReadBehindANameThatHoldsAnything(t *testing.T) {
	t.Parallel()
	stat := "77 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 100 1 2"
	if got, ok := bench.ParseStat([]byte(stat)); !ok || got != 2*time.Second {
		t.Errorf("CPU time = %v, %v; want 2s", got, ok)
	}
	for _, bad := range []string{"", "77", "77 (a) S 1 2", "77 (a) S 1 2 3 4 5 6 7 8 9 10 x y 0"} {
		if got, ok := bench.ParseStat([]byte(bad)); ok {
			t.Errorf("CPU time of %q = %v; want none", bad, got)
		}
	}
}

func TestTheSizeOfAReplyCountsItsHeaders(t *testing.T) {
	t.Parallel()
	m := &nats.Msg{Data: []byte("12345"), Header: nats.Header{"A": {"b"}, "Cd": {"e", "f"}}}
	if got, want := bench.SizeOf(m), len("NATS/1.0\r\nA: b\r\nCd: e\r\nCd: f\r\n\r\n12345"); got != want {
		t.Errorf("size = %d; want %d", got, want)
	}
	if got := bench.SizeOf(&nats.Msg{Data: []byte("12345")}); got != 5 {
		t.Errorf("size without headers = %d; want 5", got)
	}
}

func TestABatchIsDoneOnlyIfEveryOperationHasARevision(t *testing.T) {
	t.Parallel()
	if err := bench.CheckBatch([]byte(`{"results":[{"revision":7},{"revision":8}]}`), 2); err != nil {
		t.Errorf("a batch that was done is %v", err)
	}
	for _, bad := range []string{
		``, `{"results":[{"revision":7}]}`, `{"results":[{"revision":7},{}]}`,
		`{"results":[{"revision":7},{"code":"already_exists","message":"taken"}]}`,
	} {
		if err := bench.CheckBatch([]byte(bad), 2); err == nil {
			t.Errorf("%s passes for a batch of two that was done", bad)
		}
	}
}
