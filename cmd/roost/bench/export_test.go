package bench

import "time"

// What the tests outside the package look into.
var (
	MedianFloat    = medianFloat
	MedianDuration = medianDuration
	Percentile     = percentile
	ParseStat      = parseStat
	SizeOf         = sizeOf
	CheckBatch     = checkBatch
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
			roost: &sample{units: 1, elapsed: roost[i], p50: roost[i], failed: failed},
			bare:  &sample{units: 1, elapsed: bare[i], p50: bare[i]},
		})
	}
	return m.caseReport(&Case{InFlight: 1, Budget: b}, rounds)
}
