package faults

import (
	"fmt"
	"time"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/history"
)

// judgeWatched holds what watchers were told against what was written: R7.
func (l *Log) judgeWatched() []Violation {
	said := l.said()
	var found []Violation
	for _, w := range l.watched {
		at := map[string]client.Revision{}
		for _, t := range w.Told {
			if t.Kind == client.Gap {
				continue
			}
			if was := at[t.Key]; t.Revision <= was {
				found = append(found, Violation{"R7", fmt.Sprintf("%s goes back: %s at %v from %d to %d", w.Name, t.Key, t.At, was, t.Revision)})
			}
			at[t.Key] = t.Revision
			if from, ok := said[t.Key+" "+t.Text]; t.Text != "" && (!ok || from > t.At) {
				found = append(found, Violation{"R7", fmt.Sprintf("%s was told of %s with %q at %v, which nobody had written", w.Name, t.Key, t.Text, t.At)})
			}
		}
		found = append(found, l.complete(w)...)
	}
	return found
}

// said returns when each text of each key was first asked to be written by somebody who was
// not told that it was not.
func (l *Log) said() map[string]time.Duration {
	from := map[string]time.Duration{}
	note := func(key, text string, fate history.Fate, at time.Duration) {
		name := key + " " + text
		if was, ok := from[name]; fate != history.Undone && (!ok || at < was) {
			from[name] = at
		}
	}
	for _, c := range l.changes {
		note(c.Key, c.Text, c.Fate, c.Call)
	}
	for _, r := range l.records {
		note("payments/"+r.Ask.Key, r.Ask.Content, r.Answer.Fate, r.Call)
	}
	for _, life := range l.lives {
		note(life.Name, life.Text, history.Unknown, 0)
	}
	return from
}

// complete complains where a change was not told, nor that changes may be missing.
func (l *Log) complete(w *Watched) []Violation {
	if w.Since == 0 || len(w.Told) == 0 {
		return nil
	}
	type change struct {
		key      string
		revision client.Revision
	}
	told := map[change]bool{}
	var gap time.Duration // the last one
	for _, t := range w.Told {
		told[change{t.Key, t.Revision}] = true
		if t.Kind == client.Gap {
			gap = t.At
		}
	}
	last := w.Told[len(w.Told)-1].At
	var found []Violation
	for _, c := range l.changes {
		if c.Fate != history.Done || c.Revision <= w.Since || c.Epoch != w.Epoch || c.Call <= gap || l.lost(c.Call, last) {
			continue
		}
		if c.Return+settles < last && !told[change{c.Key, c.Revision}] {
			found = append(found, Violation{"R7", fmt.Sprintf("%s was not told of %s at %d, acknowledged at %v, nor of a gap since", w.Name, c.Key, c.Revision, c.Return)})
		}
	}
	return found
}
