package faults

import (
	"fmt"
	"time"

	"github.com/roostbus/roost/e2e/history"
)

// judgeBarriers holds who was released at barriers against who had come: C8.
func (l *Log) judgeBarriers() []Violation {
	type meeting struct {
		object     string
		generation uint64
	}
	came := map[meeting][]Arrival{}
	released := map[meeting]time.Duration{} // by when
	sooner := func(m meeting, at time.Duration) {
		if was, ok := released[m]; !ok || at < was {
			released[m] = at
		}
	}
	for _, a := range l.met {
		m := meeting{a.Object, a.Generation}
		if a.Return >= l.cutoff(a.Object) {
			if a.Call < l.cutoff(a.Object) && a.Fate != history.Undone {
				a.Fate = history.Unknown
				came[m] = append(came[m], a)
			}
			continue
		}
		came[m] = append(came[m], a)
		if a.Fate == history.Done {
			sooner(m, a.Return)
		}
	}
	var found []Violation
	for _, s := range l.meets {
		if s.Return >= l.cutoff(s.Object) {
			continue
		}
		if s.Generation > 1 {
			sooner(meeting{s.Object, s.Generation - 1}, s.Return)
		}
		if at, ok := released[meeting{s.Object, s.Generation}]; ok && at < s.Call {
			found = append(found, Violation{"C8", fmt.Sprintf("generation %d of %s had been released by %v, and is the present one at %v", s.Generation, s.Object, at, s.Call)})
		}
	}
	for m, at := range released {
		all := came[m]
		if len(all) == 0 {
			found = append(found, Violation{"C8", fmt.Sprintf("generation %d of %s was released by %v, and nobody had come", m.generation, m.object, at)})
			continue
		}
		if most := together(all, at); most < all[0].Size {
			found = append(found, Violation{"C8", fmt.Sprintf("generation %d of %s was released by %v, and no more than %d of %d had come together", m.generation, m.object, at, most, all[0].Size)})
		}
	}
	return found
}

// together returns how many parties at the most can have waited at one instant until a time.
func together(all []Arrival, until time.Duration) (most int) {
	for _, last := range all {
		if last.Call > until {
			continue
		}
		parties := map[string]bool{}
		for _, a := range all {
			if a.Call <= last.Call && (a.Fate != history.Undone || a.Return >= last.Call) {
				parties[a.Party] = true
			}
		}
		most = max(most, len(parties))
	}
	return most
}
