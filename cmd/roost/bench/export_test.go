package bench

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
)

// What the tests outside the package look into.
var (
	MedianFloat    = medianFloat
	MedianDuration = medianDuration
	Percentile     = percentile
	ParseStat      = parseStat
	SizeOf         = sizeOf
	CheckBatch     = checkBatch
	RevisionIn     = revisionIn
	LeasesWrote    = leasesWrote
	Expired        = expired
	LineOf         = lineOf
	Follows        = follows
	Scale          = scale
)

// Drive is drive with what its sample says.
var Drive = drive

// Units, Failed and Elapsed are what s counted.
func (s *sample) Units() int64           { return s.units }
func (s *sample) Failed() int64          { return s.failed }
func (s *sample) FirstError() error      { return s.firstError }
func (s *sample) Elapsed() time.Duration { return s.elapsed }
func (s *sample) P50() time.Duration     { return s.p50 }

// CaseOf reports on rounds in which the registry needs roost and the baseline bare for
// one unit.
func CaseOf(b Budget, roost, bare []time.Duration, failed int64) CaseReport {
	m := measurement{w: &World{}}
	var rounds []round
	for i := range roost {
		rounds = append(rounds, round{
			roost: &sample{units: 1, elapsed: roost[i], p50: roost[i], p99: roost[i], mallocs: 1, failed: failed},
			bare:  &sample{units: 1, elapsed: bare[i], p50: bare[i], p99: bare[i]},
		})
	}
	return m.caseReport(&Case{InFlight: 1, Budget: b}, rounds)
}

// CaseWithCPU is a case of one unit a second that costs the server used microseconds and
// the baseline's responder bare.
func CaseWithCPU(b Budget, used, bare float64) *CaseReport {
	c := &CaseReport{
		Budget: b,
		Roost:  SideReport{PerSecond: 1, CPUUs: map[string]float64{"server": used}},
		Bare:   SideReport{PerSecond: 1, CPUUs: map[string]float64{"responder": bare}},
	}
	c.compareCPU()
	return c
}

// Judgeable and Within are what a case says of its budget.
func (c *CaseReport) Judgeable() bool { return c.judgeable() }
func (c *CaseReport) Within() bool    { return c.within() }

// Content is what each registration contains.
const Content = content

// NewAudience is n subscribers without a connection.
func NewAudience(n int) *audience { return &audience{size: n, made: time.Now()} }

// Tell, Hear and Strange are what an audience does.
func (a *audience) Tell(ctx context.Context, subject string, change func() (backend.Revision, error)) ([]time.Duration, error) {
	return a.tell(ctx, subject, change)
}
func (a *audience) Hear(subscriber int, m *nats.Msg) { a.hear(subscriber, m) }
func (a *audience) Strange() int64                   { return a.strange.Load() }

// NewMourner hears of what counts without a connection.
func NewMourner(counts func(*nats.Msg) bool) *mourner { return newMourner(counts) }

// Hear and When are what a mourner does.
func (d *mourner) Hear(m *nats.Msg) { d.hear(m) }

func (d *mourner) When(ctx context.Context, subject string) (time.Time, error) {
	return d.when(ctx, subject)
}

// Overheard is when keepalives come.
type Overheard = beatsHeard

// Hear and Latest are what it does.
func (h *beatsHeard) Hear(m *nats.Msg)               { h.hear(m) }
func (h *beatsHeard) Latest(secret string) time.Time { return h.latest(secret) }

// NewPace is one without connections that wants a reply.
func NewPace(units int, want []byte) *pace {
	return &pace{units: units, want: want, begun: time.Now(), came: make(chan struct{}, 1), timeout: time.Second}
}

// Sent, Hear and Finish are what a pace does; Sent only counts.
func (p *pace) Sent(n int)       { p.sent += n }
func (p *pace) Hear(m *nats.Msg) { p.hear(m) }
func (p *pace) Finish(ctx context.Context) (int, error) {
	return p.finish(ctx, 0)
}

// ParseResident reads what a process says of its memory.
var ParseResident = parseResident

// Judged is a figure and what follows from it.
func Judged(f Figure) Figure {
	f.judge()
	return f
}

// Streak is one request after the other.
type Streak = streak

// Keep, Await, Failures, P99 and Slowest are what it does and tells.
func (s *streak) Keep(ctx context.Context, request func(context.Context) error) { s.keep(ctx, request) }

func (s *streak) Await(ctx context.Context, at time.Time) (time.Duration, error) {
	return s.await(ctx, at)
}
func (s *streak) Slowest(from time.Time) time.Duration    { return s.slowest(from) }
func (s *streak) Failures() (int, error)                  { return s.failures() }
func (s *streak) P99(from, until time.Time) time.Duration { return s.p99(from, until) }

// Note notes a problem of a group of which some cells were measured.
func (r *Report) Note(group, measured []string, err error) {
	for _, id := range measured {
		r.Cells = append(r.Cells, CellReport{ID: id})
	}
	var cells []Cell
	for _, id := range group {
		cells = append(cells, Cell{ID: id})
	}
	r.problem(cells, err)
}
