package keeper

import "time"

// verdict is what a node that is not the keeper concludes from what it has seen.
type verdict struct {
	take  bool
	cause string    // why to take over
	from  time.Time // not to be entitled before

	// prove says that the record has stood still for long enough if it was not the feed
	// that stood still: a message of one's own that comes back will tell.
	prove bool

	// again is when to look again if nothing happens; zero if only news change anything.
	again time.Time
}

// judge decides whether to take over. self is whoever decides, instance its process. asOf
// is a moment so that everything acknowledged before it has been seen.
func judge(s *sight, self Self, instance string, now, asOf time.Time) verdict {
	r := &s.record
	lapse := s.at.Add(Validity) // of whoever wrote the record
	switch {
	case !s.settled:
		return verdict{}
	case r.Instance == "" && !s.ever:
		return verdict{take: true, cause: "there was none", from: now}
	case r.Instance == "" && now.Before(lapse):
		// Whoever wrote the record that is gone may not know yet, and cannot renew it.
		return verdict{again: lapse}
	case r.Instance == "":
		return verdict{take: true, cause: "the record was removed", from: now}
	case r.Instance == instance:
		return verdict{take: true, cause: "the record is its own", from: now}
	case r.Resigned:
		return verdict{take: true, cause: "the keeper resigned", from: now}
	case self.Place != "" && r.Place == self.Place && r.Node == self.Node:
		return verdict{take: true, cause: "the record is that of its predecessor", from: now}
	case now.Before(s.at.Add(silence)):
		return verdict{again: s.at.Add(silence)}
	case asOf.Before(s.at.Add(silence)):
		return verdict{prove: true}
	}
	return verdict{take: true, cause: "the record stood still", from: lapse}
}
