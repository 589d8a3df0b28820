package faults

import (
	"fmt"

	"github.com/roostbus/roost/bus/client"
)

// remembered is how many leaderships a record holds.
const remembered = 16

// judgeReigns holds what observers of elections were shown against each other, and against
// what those who led were told: C2 and C3.
func (l *Log) judgeReigns() []Violation {
	type term struct {
		object string
		number uint64
	}
	reigns := map[term]Reign{}
	shown := map[string][]Reign{} // by observer and object
	var found []Violation
	for _, r := range l.reigns {
		if r.At >= l.cutoff(r.Object) {
			continue
		}
		if r.Observer != "" {
			shown[r.Observer+" of "+r.Object] = append(shown[r.Observer+" of "+r.Object], r)
		}
		if r.Owner == "" {
			continue
		}
		known, ok := reigns[term{r.Object, r.Term}]
		if ok && (known.Owner != r.Owner || known.Token != r.Token) {
			found = append(found, Violation{"C2, C3", fmt.Sprintf("term %d of %s is that of %.6s, with %s, at %v, and of %.6s, with %s, at %v",
				r.Term, r.Object, known.Owner, known.Token, known.At, r.Owner, r.Token, r.At)})
		}
		reigns[term{r.Object, r.Term}] = r
	}
	for who, all := range shown {
		found = append(found, judgeObserver(who, all)...)
	}
	return found
}

// judgeObserver says what is wrong with what one observer of one election was shown.
func judgeObserver(who string, all []Reign) []Violation {
	var found []Violation
	complain := func(format string, args ...any) {
		found = append(found, Violation{"C3", who + " " + fmt.Sprintf(format, args...)})
	}
	for i := 1; i < len(all); i++ {
		was, r := all[i-1], all[i]
		switch {
		case r.Term < was.Term, r.Term == was.Term && was.Owner == "" && r.Owner != "" && was.Term != 0:
			complain("goes back at %v, from term %d of %.6q to term %d of %.6q", r.At, was.Term, was.Owner, r.Term, r.Owner)
		case r.Term > was.Term && r.Owner != "" && !client.Token(was.Token).Before(client.Token(r.Token)):
			complain("is shown token %s of term %d after %s of term %d, at %v", r.Token, r.Term, was.Token, was.Term, r.At)
		case r.Term > was.Term+1 && !contiguous(all[i:]):
			complain("misses the terms between %d and %d, at %v, and was not away for so many", was.Term, r.Term, r.At)
		}
	}
	return found
}

// contiguous reports whether all begins with as many terms as a record remembers, one after
// the other: whoever is shown less than that had been shown all before it.
func contiguous(all []Reign) bool {
	last := all[0].Term
	for _, r := range all {
		if r.Term > last+1 {
			return false
		}
		if last = r.Term; last >= all[0].Term+remembered-1 {
			return true
		}
	}
	return false
}
