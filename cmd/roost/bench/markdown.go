package bench

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// The marks between which [Insert] puts what was measured.
const (
	resultsBegin = "<!-- results: written by roost bench report -->\n"
	resultsEnd   = "<!-- end of results -->\n"
)

var errNoMarks = errors.New("the text has no marks between which results go, on lines of their own")

// Insert returns text with r's tables between its marks. picture is where the chart of r is,
// as seen from the text; "": there is none.
func (r *Report) Insert(text, picture string) (string, error) {
	return between(text, resultsBegin, resultsEnd, func(w io.Writer) { r.markdown(w, picture) })
}

// between returns text with what write writes between two marks.
func between(text, begin, end string, write func(io.Writer)) (string, error) {
	before, rest, begins := strings.Cut(text, begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return "", fmt.Errorf("%w: %s and %s", errNoMarks, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	var b strings.Builder
	write(&b)
	return before + begin + b.String() + end + after, nil
}

// markdown writes r for a page.
func (r *Report) markdown(w io.Writer, picture string) {
	say := func(format string, args ...any) { fmt.Fprintf(w, format, args...) } //nolint:errcheck // it goes into memory
	say("\nroost %s, nats-server %s, nats.go %s, %s; %d cores, %s/%s", r.Version, r.NATS, r.NATSGo, r.Go, r.Machine.Cores, r.Machine.OS, r.Machine.Arch)
	if r.Machine.CPU != "" {
		say(", %s", r.Machine.CPU)
	}
	say(".\nMedians of %d rounds of %d ms a side; %d registrations for reads, %d for copies, up to %d for memory and restarts; batches of %d; %d leases.\n\n",
		r.Rounds, r.DurationMs, r.Registrations, r.Copied, r.Scale, r.BatchSize, r.Leases)
	if picture != "" {
		say("![how much of each budget is taken, and how costs grow](%s)\n\n", picture)
	}
	say("### Budgets\n\n| id | where | measured | budget | |\n|---|---|---|---|---|\n")
	for i := range r.Cells {
		for _, u := range r.Cells[i].Uses(false) {
			met := "met"
			if !u.Met {
				met = "**missed**"
			}
			say("| %s | %s | %s | %s | %s |\n", r.Cells[i].ID, joined(": ", u.Where, u.What), u.Measured, u.Limit, met)
		}
	}
	for _, c := range r.Cells {
		if c.Problem != "" {
			say("\n%s was not measured, or not to its end: %s\n", c.ID, c.Problem)
		}
	}
	say("\n### Rates, latencies and CPU time\n\nCPU time is that of all processes for one unit, in µs; *server* is the registry's, NATS included.\n\n" +
		"| id | where | unit | Roost /s | bare /s | p50 µs | bare | p99 µs | bare | CPU | server | bare | failed |\n|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, c := range r.Cells {
		for i := range c.Cases {
			k := &c.Cases[i]
			say("| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %d |\n", c.ID, k.name(), c.Unit, rate(k.Roost.PerSecond), rate(k.Bare.PerSecond),
				show(k.Roost.P50Us), show(k.Bare.P50Us), show(k.Roost.P99Us), show(k.Bare.P99Us), total(k.Roost.CPUUs), k.Roost.cpu("server"), total(k.Bare.CPUUs), k.Roost.Failed)
		}
	}
	say("\n### Figures\n\n| id | what | unit | Roost | bare |\n|---|---|---|---:|---:|\n")
	for _, c := range r.Cells {
		for _, f := range c.Figures {
			bare := ""
			if f.Bare != 0 {
				bare = amount(f.Bare)
			}
			say("| %s | %s | %s | %s | %s |\n", c.ID, f.What, f.Unit, amount(f.Roost), bare)
		}
	}
	say("\n### What is measured against what\n\n| id | Roost | bare NATS |\n|---|---|---|\n")
	for _, c := range r.Cells {
		say("| %s | %s | %s |\n", c.ID, c.About, c.Baseline)
	}
	say("\n")
}

// joined joins what is not empty.
func joined(by string, parts ...string) string {
	var some []string
	for _, p := range parts {
		if p != "" {
			some = append(some, p)
		}
	}
	return strings.Join(some, by)
}

// Merge returns a report with the cells of all, which must be of one machine and one
// version.
func Merge(all []*Report) (*Report, error) {
	if len(all) == 0 {
		return nil, errors.New("no report")
	}
	sum := *all[0]
	sum.Cells = nil
	seen := map[string]bool{}
	for _, r := range all {
		if r.Machine != sum.Machine || r.Version != sum.Version {
			return nil, fmt.Errorf("reports of %s on %+v and of %s on %+v do not belong together", sum.Version, sum.Machine, r.Version, r.Machine)
		}
		for _, c := range r.Cells {
			if seen[c.ID] {
				return nil, fmt.Errorf("two reports have %s", c.ID)
			}
			seen[c.ID] = true
			sum.Cells = append(sum.Cells, c)
		}
	}
	return &sum, nil
}
