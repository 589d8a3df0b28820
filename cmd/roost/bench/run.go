package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// Run measures what c asks for.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if err := c.reach(); err != nil {
		return nil, err
	}
	report := newReport(&c)
	var chosen []Cell
	for _, cell := range cells() {
		switch {
		case !c.wants(&cell):
		case len(c.Only) == 0 && max(cell.Nodes, 1) != c.Nodes: // it is another run's
		case c.unfit(&cell) != nil:
			report.Skipped = append(report.Skipped, cell.ID)
		default:
			chosen = append(chosen, cell)
		}
	}
	progress := c.Progress
	c.Progress = func(what string) {
		progress(fmt.Sprintf("%d of %d, %s", min(len(report.Cells)+1, len(chosen)), len(chosen), what))
	}
	for _, group := range neighbours(chosen) {
		err := runGroup(ctx, &c, group, report)
		if ctx.Err() != nil {
			return nil, errors.Join(err, context.Cause(ctx))
		}
		report.problem(group, err)
	}
	for i, cell := range chosen {
		if cell.Curved == nil || !c.Curves {
			continue
		}
		err := runCurve(ctx, &c, cell, &report.Cells[i])
		if ctx.Err() != nil {
			return nil, errors.Join(err, context.Cause(ctx))
		}
		if err != nil {
			report.Cells[i].Problem = joined("; ", report.Cells[i].Problem, err.Error())
		}
	}
	return report, nil
}

// reach reports why a registry that is there cannot be measured at all.
func (c *Config) reach() error {
	if c.Server == "" {
		return nil
	}
	subjects, err := bus.NewSubjects(c.Prefix)
	if err != nil {
		return err
	}
	nc, err := nats.Connect(c.Server, append(slices.Clone(c.Options), nats.Name("roost bench"), nats.NoReconnect())...)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", c.Server, err)
	}
	defer nc.Close()
	if _, err := nc.Request(subjects.Health(), nil, c.Timeout); err != nil {
		return fmt.Errorf("the registry %s at %s: %w", c.Prefix, c.Server, err)
	}
	return nil
}

// neighbours parts cells into those that share a world.
func neighbours(cells []Cell) (groups [][]Cell) {
	for i, cell := range cells {
		if i > 0 && cell.Shares != "" && cell.Shares == cells[i-1].Shares {
			groups[len(groups)-1] = append(groups[len(groups)-1], cell)
		} else {
			groups = append(groups, []Cell{cell})
		}
	}
	return groups
}

// runGroup measures cells in a world of their own, so that none is slower for what those
// before it have left behind.
func runGroup(ctx context.Context, c *Config, cells []Cell, report *Report) (err error) {
	c.Progress(cells[0].ID + ": setting up")
	var serve []string
	for _, cell := range cells {
		serve = append(serve, cell.Serve...)
		if cell.JetStream {
			serve = append(serve, "--trusted-clients")
		}
	}
	w, err := open(ctx, c, serve)
	if err != nil {
		return fmt.Errorf("%s: %w", cells[0].ID, err)
	}
	defer func() { err = errors.Join(err, w.close(ctx)) }()
	report.NATS, report.Prefix = w.clients[0].ConnectedServerVersion(), c.Prefix
	for _, cell := range cells {
		result, err := runCell(ctx, c, w, cell)
		if err != nil {
			return fmt.Errorf("%s: %w", cell.ID, err)
		}
		report.Cells = append(report.Cells, result)
	}
	return nil
}

// runCurve measures a cell with one number of registrations after another, each in a world
// of its own, and appends what that comes to.
func runCurve(ctx context.Context, c *Config, cell Cell, result *CellReport) error {
	for _, n := range scale(c.Scale, steps...) {
		at := *c
		cell.Curved(&at, n)
		at.Progress = func(what string) { c.Progress(fmt.Sprintf("%s; %d registrations", what, n)) }
		whole := cell.Prepare
		cell.Prepare = func(ctx context.Context, w *World) ([]Case, error) {
			cases, err := whole(ctx, w)
			cases = slices.DeleteFunc(cases, func(k Case) bool { return !k.OnCurve })
			for i := range cases {
				cases[i].X = float64(n)
				cases[i].What = strings.TrimPrefix(fmt.Sprintf("%s, %d registrations", cases[i].What, n), ", ")
			}
			return cases, err
		}
		var point Report
		if err := runGroup(ctx, &at, []Cell{cell}, &point); err != nil {
			return err
		}
		for _, k := range point.Cells[0].Cases {
			k.Curve = true
			result.Cases = append(result.Cases, k)
		}
		cell.Prepare = whole
	}
	return nil
}

// steps are the numbers of registrations that curves have.
var steps = []int{1_000, 10_000, 100_000, million}

// runCell measures one cell.
func runCell(ctx context.Context, c *Config, w *World, cell Cell) (result CellReport, err error) {
	defer func() { err = errors.Join(err, w.release()) }()
	if cell.Measure != nil {
		return measure(ctx, w, &cell)
	}
	cases, err := cell.Prepare(ctx, w)
	if err != nil {
		return result, err
	}
	m := measurement{w: w, c: c, cell: &cell, cases: cases, rounds: make([][]round, len(cases))}
	if err := m.run(ctx); err != nil {
		return result, err
	}
	c.Progress(cell.ID + ": checking what is there now")
	if err := w.verify(ctx); err != nil {
		return result, err
	}
	return m.report(), nil
}

// measure measures a cell of figures.
func measure(ctx context.Context, w *World, cell *Cell) (CellReport, error) {
	figures, err := cell.Measure(ctx, w)
	if err == nil {
		err = w.verify(ctx)
	}
	for i := range figures {
		figures[i].judge()
	}
	return CellReport{ID: cell.ID, About: cell.About, Baseline: cell.Baseline, Figures: figures}, err
}

// round is what both sides of a case did in one round.
type round struct{ roost, bare *sample }

type measurement struct {
	w      *World
	c      *Config
	cell   *Cell
	cases  []Case
	rounds [][]round // by case
}

// warmUp is the share of a round that each side runs beforehand, uncounted.
const warmUp = 4

func (m *measurement) run(ctx context.Context) error {
	for i := range m.cases {
		m.c.Progress(m.cell.ID + ": warming up")
		k := &m.cases[i]
		if k.Cold {
			continue
		}
		for _, side := range []Side{k.Roost, k.Bare} {
			if _, err := m.side(ctx, side, k.InFlight, m.c.Duration/warmUp); err != nil {
				return err
			}
		}
	}
	for r := range m.c.Rounds {
		for j := range m.cases {
			i := (j + r) % len(m.cases)
			m.c.Progress(fmt.Sprintf("%s: round %d of %d, %s", m.cell.ID, r+1, m.c.Rounds, m.cases[i].name()))
			both, err := m.round(ctx, &m.cases[i], r%2 == 1)
			if err != nil {
				return err
			}
			m.rounds[i] = append(m.rounds[i], both)
		}
	}
	return nil
}

// round drives both sides of k one after the other, the baseline first if so asked.
func (m *measurement) round(ctx context.Context, k *Case, bareFirst bool) (both round, err error) {
	if k.Responder != 0 {
		own := m.w.pids[responderProcess]
		m.w.pids[responderProcess] = k.Responder
		defer func() { m.w.pids[responderProcess] = own }()
	}
	order := []func() error{
		func() (err error) { both.roost, err = m.side(ctx, k.Roost, k.InFlight, m.c.Duration); return err },
		func() (err error) { both.bare, err = m.side(ctx, k.Bare, k.InFlight, m.c.Duration); return err },
	}
	if bareFirst {
		slices.Reverse(order)
	}
	for _, f := range order {
		if err := f(); err != nil {
			return both, err
		}
	}
	return both, nil
}

// settle is how long what one side has left to do may go on before the other begins.
const settle = 20 * time.Millisecond

func (m *measurement) side(ctx context.Context, side Side, inFlight int, d time.Duration) (*sample, error) {
	select {
	case <-time.After(settle):
	case <-ctx.Done():
	}
	before := m.w.cpu()
	s := drive(ctx, side, inFlight, d)
	after := m.w.cpu()
	for p := range s.cpu {
		s.cpu[p] = after[p] - before[p]
	}
	return s, context.Cause(ctx)
}
