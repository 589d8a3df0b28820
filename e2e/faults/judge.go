package faults

import (
	"fmt"
	"time"

	"github.com/roostbus/roost/e2e/history"
)

// Violation is something that a registry which keeps its promises never shows.
type Violation struct {
	Promise string // its id
	Text    string
}

func (v Violation) String() string { return v.Promise + ": " + v.Text }

// judgePatience is how long the search for an explanation of one key may take.
const judgePatience = time.Minute

// settles is how long after a loss of what is stored clients may hear of it.
const settles = 3 * peopleTTL

// Judge returns the violations in a history that is over.
func Judge(l *Log) []Violation {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Violation
	for _, v := range history.Check(l.moved(l.lasting()), judgePatience) {
		found = append(found, Violation{"R1, R2, R5", v.String()})
	}
	for _, b := range history.Judge(l.lastingEvents(), judgePatience) {
		found = append(found, Violation{"C1, C2, C4", b.String()})
	}
	for _, w := range l.wrong {
		if !l.lost(w.at-settles, w.at) {
			found = append(found, Violation{"answer", fmt.Sprintf("at %v: %s", w.at.Round(time.Microsecond), w.text)})
		}
	}
	found = append(found, l.judgeSights()...)
	found = append(found, l.judgeLives()...)
	found = append(found, l.judgeWatched()...)
	found = append(found, l.judgeRoles()...)
	found = append(found, l.judgeReigns()...)
	found = append(found, l.judgeQueues()...)
	found = append(found, l.judgeBarriers()...)
	found = append(found, l.judgeMotions()...)
	found = append(found, l.judgeSilences()...)
	return append(found, l.judgeTokens()...)
}

// Summary says what the history holds.
func (l *Log) Summary() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	told := 0
	for _, w := range l.watched {
		told += len(w.Told)
	}
	return fmt.Sprintf("%d answered, %d of unknown outcome; %d requests about registrations, %d about objects, %d changes and %d sights of own ones, "+
		"%d leases, %d tokens, %d watches told %d events, %d roles and %d ends, %d reigns, %d queues, %d arrivals, %d motions, %d silences, %d losses, %d moves",
		l.done, l.unsure, len(l.records), len(l.events), len(l.changes), len(l.sights),
		len(l.lives)+len(l.certain), len(l.tokens), len(l.watched), told, len(l.roles), len(l.ends),
		len(l.reigns), len(l.queues), len(l.met), len(l.motions), len(l.silent), len(l.losses), len(l.moves))
}

// lost reports whether what is stored was lost at some time from from to to.
func (l *Log) lost(from, to time.Duration) bool {
	for _, w := range l.losses {
		if w.From <= to && from <= w.To {
			return true
		}
	}
	return false
}

// lossAfter returns when what was used first at time at was lost, if it was.
func (l *Log) lossAfter(at time.Duration) (time.Duration, bool) {
	for _, w := range l.losses {
		if at < w.To {
			return w.From, true
		}
	}
	return 0, false
}

// firsts returns when each key was used first.
func firsts[T any](all []T, of func(*T) (string, time.Duration)) map[string]time.Duration {
	first := map[string]time.Duration{}
	for i := range all {
		key, at := of(&all[i])
		if was, ok := first[key]; !ok || at < was {
			first[key] = at
		}
	}
	return first
}

// lasting returns the records of what was not lost: nothing is known of a key any more from
// the moment on at which it may be lost. Names are not used again after a loss.
func (l *Log) lasting() []history.Record {
	first := firsts(l.records, func(r *history.Record) (string, time.Duration) { return r.Ask.Key, r.Call })
	var kept []history.Record
	for _, r := range l.records {
		if at, lost := l.lossAfter(first[r.Ask.Key]); lost && r.Return >= at {
			if r.Call >= at || r.Ask.Kind == history.Lookup {
				continue
			}
			r.Answer = history.Answer{Fate: history.Unknown}
		}
		kept = append(kept, r)
	}
	return kept
}

// moved returns records and, of each of their keys, that it moved with the registry.
func (l *Log) moved(records []history.Record) []history.Record {
	for i := range records { // one that was sent again is answered with the revision that it has by then
		for _, m := range l.moves {
			if r := &records[i]; r.Ask.Kind != history.Lookup && r.Answer.Fate == history.Done && r.Call < m.To && m.From < r.Return {
				r.Answer.Moved = true
			}
		}
	}
	for key, first := range firsts(records, func(r *history.Record) (string, time.Duration) { return r.Ask.Key, r.Call }) {
		for _, m := range l.moves {
			if first < m.To {
				records = append(records, history.Record{
					Ask: history.Ask{Kind: history.Move, Key: key}, Answer: history.Answer{Fate: history.Done}, Call: m.From, Return: m.To,
				})
			}
		}
	}
	return records
}

// lastingEvents returns the same of objects, and the ends of leases.
func (l *Log) lastingEvents() []history.Event {
	first := firsts(l.events, func(e *history.Event) (string, time.Duration) { return e.Deed.Object, e.Call })
	var kept []history.Event
	for _, e := range l.events {
		if at, lost := l.lossAfter(first[e.Deed.Object]); lost && e.Return >= at {
			if e.Call >= at || e.Deed.Verb == history.Read || e.Deed.Verb == history.Lead {
				continue
			}
			e.Finding = history.Finding{Fate: history.Unknown}
		}
		kept = append(kept, e)
	}
	for owner, o := range l.certain {
		for object := range o.objects {
			kept = append(kept, history.Ending(o.client, object, owner, o.certain))
		}
	}
	return kept
}

// judgeTokens holds against each other the tokens of exclusive holds, across everything.
func (l *Log) judgeTokens() []Violation {
	var found []Violation
	for _, a := range l.tokens {
		for _, b := range l.tokens {
			if a.Object == b.Object && a.Return < b.Call && a.Token >= b.Token {
				found = append(found, Violation{"C1", fmt.Sprintf("%s: token %s, asked for at %v, came after %s, given by %v", a.Object, b.Token, b.Call, a.Token, a.Return)})
			}
		}
	}
	return found
}
