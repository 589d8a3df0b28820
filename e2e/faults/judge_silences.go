package faults

import "fmt"

// judgeSilences holds the ends of leases that fell silent while nothing was wrong against
// their times: L2, L4 and L5.
func (l *Log) judgeSilences() []Violation {
	var found []Violation
	for _, s := range l.silent {
		switch {
		case s.Ends == 0 && s.Ended != 0:
			found = append(found, Violation{s.Promise, fmt.Sprintf("the lease %.6s, silent since %v together with too many others, had ended at %v", s.Owner, s.From, s.Ended)})
		case s.Ends != 0 && s.Lived > s.Ends:
			found = append(found, Violation{s.Promise, fmt.Sprintf("the lease %.6s, silent since %v, was there at %v, and was to end by %v", s.Owner, s.From, s.Lived, s.Ends)})
		}
	}
	return found
}
