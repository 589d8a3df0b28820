package faults

import (
	"fmt"
	"time"
)

// pair is two who wait, in their order.
type pair struct{ object, first, second string }

// judgeQueues holds the order in which parties were seen to wait against that in which they
// were served: C5.
func (l *Log) judgeQueues() []Violation {
	type party struct{ object, name string }
	tokens := map[party]string{}
	served := map[party]time.Duration{} // by when
	note := func(s Served) {
		p := party{s.Object, s.Party}
		if s.Token != "" {
			tokens[p] = s.Token
		}
		if at, ok := served[p]; !ok || s.At < at {
			served[p] = s.At
		}
	}
	for _, s := range l.served {
		if s.At < l.cutoff(s.Object) {
			note(s)
		}
	}
	waits := map[party]time.Duration{} // until when at least
	order := map[pair]time.Duration{}  // when it was seen
	for _, q := range l.queues {
		if q.Return >= l.cutoff(q.Object) {
			continue
		}
		for _, holder := range q.Holders {
			note(Served{Object: q.Object, Party: holder, At: q.Return})
		}
		for i, name := range q.Waiters {
			waits[party{q.Object, name}] = max(waits[party{q.Object, name}], q.Call)
			for _, behind := range q.Waiters[i+1:] {
				order[pair{q.Object, name, behind}] = q.Return
			}
		}
	}
	var found []Violation
	for o, at := range order {
		first, second := party{o.object, o.first}, party{o.object, o.second}
		if was, ok := order[pair{o.object, o.second, o.first}]; ok && was < at {
			found = append(found, Violation{"C5", fmt.Sprintf("%s waits for %s before %s at %v, and behind it at %v", o.first, o.object, o.second, at, was)})
		}
		if was, ok := served[second]; ok && was < waits[first] {
			found = append(found, Violation{"C5", fmt.Sprintf("%s was served by %s at %v, and %s, which had waited before it, waited at %v", o.second, o.object, was, o.first, waits[first])})
		}
		if a, b := tokens[first], tokens[second]; a != "" && b != "" && b < a {
			found = append(found, Violation{"C5", fmt.Sprintf("%s was served by %s with %s, and %s, which had waited before it at %v, with %s", o.second, o.object, b, o.first, at, a)})
		}
	}
	return found
}
