package faults

import (
	"fmt"
	"time"
)

// judgeLives holds what was shown of registrations with leases against those leases: R3, R4
// and L1.
func (l *Log) judgeLives() []Violation {
	var found []Violation
	var lists []*Sight
	for i := range l.sights {
		if l.sights[i].Key == "" {
			lists = append(lists, &l.sights[i])
		}
	}
	for _, life := range l.lives {
		for _, sure := range life.Sure {
			if at := life.Expired; at != 0 && sure.From <= at && at < sure.To && !l.lost(sure.From, at) {
				found = append(found, Violation{"L1, R4", fmt.Sprintf("the lease of %s, %.6s, had ended at %v, and was certain until %v", life.Name, life.Owner, at, sure.To)})
			}
		}
		for _, s := range lists {
			if v, wrong := l.judgeLife(life, s); wrong {
				found = append(found, v)
			}
		}
	}
	return found
}

// judgeLife holds one list against one lease.
func (l *Log) judgeLife(life *Life, s *Sight) (Violation, bool) {
	since := s.Call
	if !s.Linearizable {
		since -= s.Stamp.Age
	}
	if life.Revoked != 0 && life.Revoked < since {
		shown := s.Shown[life.Name].Owner == life.Owner
		if !shown || l.lost(life.Revoked, s.Return) {
			return Violation{}, false
		}
		return Violation{"R3", fmt.Sprintf("%v shows %s, whose lease had ended by %v", s, life.Name, life.Revoked)}, true
	}
	if life.Since == 0 || life.Since >= since || !life.certain(s.Return) ||
		s.Shown[life.Name].Owner == life.Owner || l.lost(life.Since, s.Return) {
		return Violation{}, false
	}
	return Violation{"R4, R6", fmt.Sprintf("%v does not show %s, whose lease lived, but %+v", s, life.Name, s.Shown[life.Name])}, true
}

// certain reports whether the lease was certain to live at a time.
func (l *Life) certain(at time.Duration) bool {
	for _, sure := range l.Sure {
		if sure.From <= at && at < sure.To {
			return true
		}
	}
	return false
}
