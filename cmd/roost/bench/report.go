package bench

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Report is what a run came to. It is also its JSON.
type Report struct {
	Version  string  `json:"version"`
	Go       string  `json:"go"`
	NATS     string  `json:"nats_server"`
	NATSGo   string  `json:"nats_go"`
	Machine  Machine `json:"machine"`
	Settings `json:"settings"`
	Cells    []CellReport `json:"cells"`
	// Skipped are the cells that were not asked for by name and cannot be measured so.
	Skipped []string `json:"skipped,omitempty"`
}

// Settings are those of a run.
type Settings struct {
	Server        string `json:"server"`
	Prefix        string `json:"prefix"`
	DurationMs    int64  `json:"duration_ms"`
	Rounds        int    `json:"rounds"`
	Connections   int    `json:"connections"`
	Registrations int    `json:"registrations"`
	Copied        int    `json:"copied"`
	Scale         int    `json:"scale"`
	Curves        bool   `json:"curves"`
	Nodes         int    `json:"nodes"`
	Subscribers   int    `json:"subscribers"`
	Leases        int    `json:"leases"`
	Beating       int    `json:"lease_connections"`
	BatchSize     int    `json:"batch_size"`
	Waiters       int    `json:"waiters"`
}

// CellReport is what a cell came to.
type CellReport struct {
	ID       string       `json:"id"`
	About    string       `json:"about"`
	Baseline string       `json:"baseline"`
	Unit     string       `json:"unit"`
	Cases    []CaseReport `json:"cases,omitempty"`
	Figures  []Figure     `json:"figures,omitempty"`
	// Problem is what kept it from being measured, or the registry from being cleared up.
	Problem string `json:"problem,omitempty"`
}

// CaseReport is what a case came to. Ratios are medians of those of each round.
type CaseReport struct {
	What      string     `json:"what,omitempty"`
	InFlight  int        `json:"in_flight"`
	X         float64    `json:"x,omitempty"`
	Curve     bool       `json:"curve,omitempty"` // it was measured once more, with X registrations
	Roost     SideReport `json:"roost"`
	Bare      SideReport `json:"bare"`
	RateRatio float64    `json:"rate_ratio"`
	// RateRatios are the rounds' own: their spread says how quiet the machine was.
	RateRatios []float64 `json:"rate_ratios"`
	P50Ratio   float64   `json:"p50_ratio"`
	P99Ratio   float64   `json:"p99_ratio"`
	// CPURatio is the server's CPU time for a unit as a share of what the baseline's
	// responder needs, and Cores how much of a core the server used; 0 where not known.
	CPURatio float64 `json:"cpu_ratio,omitempty"`
	Cores    float64 `json:"cores,omitempty"`
	Budget   Budget  `json:"budget,omitzero"`
	Met      *bool   `json:"met,omitempty"` // none without a budget, or where CPU times are not known that it is about
}

// SideReport is what one side came to, medians over the rounds.
type SideReport struct {
	PerSecond float64 `json:"per_second"`
	P50Us     float64 `json:"p50_us"`
	P99Us     float64 `json:"p99_us"`
	// CPUUs is the CPU time of each process per unit, over all rounds, where it is known.
	CPUUs map[string]float64 `json:"cpu_us"`
	// Allocations are those of the measuring process per unit.
	Allocations float64 `json:"allocations"`
	Units       int64   `json:"units"`
	Failed      int64   `json:"failed"`
	Error       string  `json:"error,omitempty"` // the first
}

// Errors returns how many operations failed, in all.
func (r *Report) Errors() (n int64) {
	for _, c := range r.Cells {
		for _, k := range c.Cases {
			n += k.Roost.Failed + k.Bare.Failed
		}
	}
	return n
}

// problem notes why a group of cells could not be measured, or not be ended. Each of the
// group has its place in the report afterwards.
func (r *Report) problem(group []Cell, err error) {
	if err == nil {
		return
	}
	missing := group[:0:0]
	for _, cell := range group {
		if !slices.ContainsFunc(r.Cells, func(c CellReport) bool { return c.ID == cell.ID }) {
			missing = append(missing, cell)
		}
	}
	for _, cell := range missing {
		r.Cells = append(r.Cells, CellReport{ID: cell.ID, About: cell.About, Baseline: cell.Baseline, Unit: cell.Unit, Problem: err.Error()})
	}
	if last := len(r.Cells) - 1; len(missing) == 0 {
		r.Cells[last].Problem = err.Error()
	}
}

// Failure is an error that names the first failure, nil if there was none.
func (r *Report) Failure() error {
	for _, c := range r.Cells {
		if c.Problem != "" {
			return errors.New(joined(": ", c.ID, strings.TrimPrefix(c.Problem, c.ID+": ")))
		}
		for _, k := range c.Cases {
			for who, side := range map[string]*SideReport{"roost": &k.Roost, "bare": &k.Bare} {
				if side.Failed > 0 {
					return fmt.Errorf("%d operations failed, the first of %s, %s at %s, with: %s",
						r.Errors(), c.ID, who, k.name(), side.Error)
				}
			}
		}
	}
	return nil
}

// Missed returns which budgets were missed, for people.
func (r *Report) Missed() (missed []string) {
	for _, c := range r.Cells {
		for _, k := range c.Cases {
			if k.Met != nil && !*k.Met {
				missed = append(missed, c.ID+" at "+k.name())
			}
		}
		for _, f := range c.Figures {
			if f.Met != nil && !*f.Met {
				missed = append(missed, c.ID+": "+f.What)
			}
		}
	}
	return missed
}

func (m *measurement) report() CellReport {
	r := CellReport{ID: m.cell.ID, About: m.cell.About, Baseline: m.cell.Baseline, Unit: m.cell.Unit}
	for i := range m.cases {
		r.Cases = append(r.Cases, m.caseReport(&m.cases[i], m.rounds[i]))
	}
	return r
}

func (m *measurement) caseReport(k *Case, rounds []round) CaseReport {
	var roost, bare []*sample
	var rates, p50s, p99s []float64
	for _, r := range rounds {
		roost, bare = append(roost, r.roost), append(bare, r.bare)
		rates = append(rates, ratio(r.roost.rate(), r.bare.rate()))
		p50s = append(p50s, ratio(float64(r.roost.p50), float64(r.bare.p50)))
		p99s = append(p99s, ratio(float64(r.roost.p99), float64(r.bare.p99)))
	}
	c := CaseReport{
		What: k.What, InFlight: k.InFlight, X: k.X, Roost: m.sideReport(roost), Bare: m.sideReport(bare),
		RateRatio: medianFloat(rates), RateRatios: rates, P50Ratio: medianFloat(p50s), P99Ratio: medianFloat(p99s),
		Budget: k.Budget,
	}
	c.compareCPU()
	if k.Budget != (Budget{}) && c.judgeable() {
		met := c.Roost.Failed == 0 && c.within()
		c.Met = &met
	}
	return c
}

// compareCPU fills in what c says of the server's CPU time.
func (c *CaseReport) compareCPU() {
	server := c.Roost.CPUUs[processNames[serverProcess]]
	c.CPURatio = ratio(server, c.Bare.CPUUs[processNames[responderProcess]])
	c.Cores = server * c.Roost.PerSecond / microseconds(time.Second)
}

// name says which case c is of its cell, for people.
func (c *CaseReport) name() string { return caseName(c.What, c.InFlight) }

func (k *Case) name() string { return caseName(k.What, k.InFlight) }

func caseName(what string, inFlight int) string {
	switch {
	case what == "":
		return fmt.Sprintf("%d in flight", inFlight)
	case inFlight == 1:
		return what
	}
	return fmt.Sprintf("%s, %d in flight", what, inFlight)
}

func (m *measurement) sideReport(samples []*sample) SideReport {
	r := SideReport{CPUUs: make(map[string]float64)}
	var rates []float64
	var mallocs uint64
	var p50s, p99s []time.Duration
	var cpu [processes]time.Duration
	for _, s := range samples {
		rates, p50s, p99s = append(rates, s.rate()), append(p50s, s.p50), append(p99s, s.p99)
		r.Units += s.units
		r.Failed += s.failed
		mallocs += s.mallocs
		if s.firstError != nil && r.Error == "" {
			r.Error = s.firstError.Error()
		}
		for p := range cpu {
			cpu[p] += s.cpu[p]
		}
	}
	r.PerSecond, r.Allocations = medianFloat(rates), ratio(float64(mallocs), float64(r.Units))
	r.P50Us, r.P99Us = microseconds(medianDuration(p50s)), microseconds(medianDuration(p99s))
	for p := range cpu {
		if m.w.known(p) {
			r.CPUUs[processNames[p]] = ratio(microseconds(cpu[p]), float64(r.Units))
		}
	}
	return r
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
