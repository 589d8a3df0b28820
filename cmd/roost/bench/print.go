package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Print writes r as tables for people.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "roost %s, nats-server %s, nats.go %s, %s\n", r.Version, r.NATS, r.NATSGo, r.Go)
	fmt.Fprintf(&b, "%d cores, %s/%s", r.Machine.Cores, r.Machine.OS, r.Machine.Arch)
	if r.Machine.CPU != "" {
		fmt.Fprintf(&b, ", %s", r.Machine.CPU)
	}
	fmt.Fprintf(&b, "\nserver: %s; %d rounds of %d ms a side; %d connections; %d registrations for reads, %d for copies; batches of %d\n",
		r.Server, r.Rounds, r.DurationMs, r.Connections, r.Registrations, r.Copied, r.BatchSize)
	for i := range r.Cells {
		r.Cells[i].print(&b)
	}
	if len(r.Skipped) > 0 {
		fmt.Fprintf(&b, "\nnot measured here, for it needs a registry of its own or /proc: %s\n", strings.Join(r.Skipped, ", "))
	}
	if n := r.Errors(); n > 0 {
		fmt.Fprintf(&b, "\n%d operations failed\n", n)
	}
	if missed := r.Missed(); len(missed) > 0 {
		fmt.Fprintf(&b, "\nover budget: %s\n", strings.Join(missed, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// print writes two tables: what was measured, and what it cost.
func (c *CellReport) print(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s  %s\n    against %s\n\n", c.ID, c.About, c.Baseline)
	if c.Problem != "" {
		fmt.Fprintf(b, "    not measured, or not to its end: %s\n\n", c.Problem)
	}
	if len(c.Cases) == 0 {
		c.printFigures(b)
		return
	}
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	row(t, "", "in flight", c.Unit+"/s", "bare/s", "ratio", "(rounds)", "budget",
		"p50 µs", "bare", "ratio", "budget", "p99 µs", "bare", "ratio", "budget", "failed", "bare", "")
	for i := range c.Cases {
		k := &c.Cases[i]
		row(t, k.What, fmt.Sprint(k.InFlight), rate(k.Roost.PerSecond), rate(k.Bare.PerSecond),
			fmt.Sprintf("%.2f", k.RateRatio), span(k.RateRatios), k.Budget.rate(),
			show(k.Roost.P50Us), show(k.Bare.P50Us), fmt.Sprintf("%.2f", k.P50Ratio), k.Budget.p50(),
			show(k.Roost.P99Us), show(k.Bare.P99Us), fmt.Sprintf("%.2f", k.P99Ratio), k.Budget.p99(),
			fmt.Sprint(k.Roost.Failed), fmt.Sprint(k.Bare.Failed), verdict(k.Met))
	}
	_ = t.Flush() // a strings.Builder takes everything
	fmt.Fprintf(b, "\n    CPU µs of each process, and allocations of the client, for one of the %s\n\n", c.Unit)
	t = tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	row(t, "", "in flight", "client", "server", "all", "allocs", "budget", "bare: client", "server", "responder", "all", "allocs", "all/all")
	for i := range c.Cases {
		k := &c.Cases[i]
		row(t, k.What, fmt.Sprint(k.InFlight),
			k.Roost.cpu("client"), k.Roost.cpu("server"), total(k.Roost.CPUUs), show(k.Roost.Allocations), k.Budget.allocations(),
			k.Bare.cpu("client"), k.Bare.cpu("server"), k.Bare.cpu("responder"), total(k.Bare.CPUUs), show(k.Bare.Allocations), shareOf(k))
	}
	_ = t.Flush()
	for i := range c.Cases {
		k := &c.Cases[i]
		if limit := k.Budget.cpu(); limit != "" {
			fmt.Fprintf(b, "\n    %s: the server used %.3f core, %.2f of what the baseline's responder did; budget %s\n",
				k.name(), k.Cores, k.CPURatio, limit)
		}
		complain(b, k, "roost", &k.Roost)
		complain(b, k, "bare", &k.Bare)
	}
}

func row(t *tabwriter.Writer, cells ...string) {
	fmt.Fprintf(t, "%s\t\n", strings.Join(cells, "\t")) //nolint:errcheck // it goes into memory
}

func span(ratios []float64) string {
	if len(ratios) == 0 {
		return ""
	}
	low, high := ratios[0], ratios[0]
	for _, r := range ratios {
		low, high = min(low, r), max(high, r)
	}
	return fmt.Sprintf("%.2f–%.2f", low, high)
}

// least shows a limit that is to be reached, "" for none.
func least(limit float64, format string) string {
	if limit == 0 {
		return ""
	}
	return fmt.Sprintf("≥ "+format, limit)
}

// show shows a number of microseconds, or of anything else that may be less than one.
func show(value float64) string {
	if value < 1 {
		return fmt.Sprintf("%.4f", value)
	}
	return fmt.Sprintf("%.1f", value)
}

// rate shows how many come to a second, or take so many seconds.
func rate(value float64) string {
	if value < 100 {
		return fmt.Sprintf("%.1f", value)
	}
	return fmt.Sprintf("%.0f", value)
}

func verdict(met *bool) string {
	switch {
	case met == nil:
		return ""
	case *met:
		return "met"
	}
	return "MISSED"
}

func (s *SideReport) cpu(process string) string {
	us, ok := s.CPUUs[process]
	if !ok {
		return "?"
	}
	return show(us)
}

// total sums the CPU time up, where that of the server is known.
func total(cpu map[string]float64) string {
	if _, ok := cpu[processNames[serverProcess]]; !ok {
		return "?"
	}
	return show(sum(cpu))
}

func shareOf(k *CaseReport) string {
	if _, ok := k.Bare.CPUUs[processNames[serverProcess]]; !ok {
		return "?"
	}
	return fmt.Sprintf("%.2f", ratio(sum(k.Roost.CPUUs), sum(k.Bare.CPUUs)))
}

func sum(cpu map[string]float64) (all float64) {
	for _, us := range cpu {
		all += us
	}
	return all
}

func complain(b *strings.Builder, k *CaseReport, who string, s *SideReport) {
	if s.Failed > 0 {
		fmt.Fprintf(b, "\n    %s, %s: %d failed, the first with: %s\n", k.name(), who, s.Failed, s.Error)
	}
}
