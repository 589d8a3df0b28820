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
