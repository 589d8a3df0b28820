package faults

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/history"
)

// judgeSights holds what was shown of registrations that one client each changes against
// their changes: R2, R5 and R6.
func (l *Log) judgeSights() []Violation {
	changes := map[string][]Change{}
	for _, c := range l.changes {
		if c.Fate == history.Done && l.lost(c.Call, c.Return) {
			c.Fate = history.Unknown // it may be in either life of the store
		}
		if c.Fate != history.Undone {
			changes[c.Key] = append(changes[c.Key], c)
		}
	}
	undone := map[string]*Change{} // by text
	for i := range l.changes {
		if c := &l.changes[i]; c.Fate == history.Undone && c.Text != "" {
			undone[c.Text] = c
		}
	}
	newest := l.heard()
	inLife := map[string][]string{}
	for key := range changes {
		inLife[serviceOf(key)] = append(inLife[serviceOf(key)], key)
	}
	var found []Violation
	for i := range l.sights {
		s := &l.sights[i]
		if l.lost(s.Call-s.Stamp.Age, s.Return) {
			continue
		}
		for _, key := range l.visible(s, inLife) {
			if problem := judgeSight(s, key, changes[key]); problem != "" {
				found = append(found, Violation{"R2, R5, R6", fmt.Sprintf("%v shows %s as %+v: %s", s, key, s.Shown[key], problem)})
			}
		}
		for key, shown := range s.Shown {
			if c := undone[shown.Text]; c != nil {
				found = append(found, Violation{"R2", fmt.Sprintf("%v shows %s with %s, which was said not to be written, from %v to %v: %s",
					s, key, shown.Text, c.Call, c.Return, c.Why)})
			}
			if at := newest.between(s.Stamp.Epoch, key, shown.Revision, s.Stamp.Revision); at != 0 {
				found = append(found, Violation{"R3, R5", fmt.Sprintf("%v shows %s of %d, which was changed at %d", s, key, shown.Revision, at)})
			}
		}
	}
	return found
}

// visible returns the keys that a sight must tell about, of those of each life of the store.
func (l *Log) visible(s *Sight, inLife map[string][]string) []string {
	life := 0
	for _, w := range l.losses {
		if w.To <= s.Call {
			life++
		}
	}
	service := fmt.Sprintf("own-%d", life)
	switch {
	case s.Key == "":
		return inLife[service]
	case serviceOf(s.Key) == service:
		return []string{s.Key}
	}
	return nil
}

// judgeSight says what is wrong with how s shows key. Of changes, which are in order, at
// most the last one has no known outcome.
func judgeSight(s *Sight, key string, changes []Change) string {
	since := s.Call
	if own := strings.HasPrefix(key[strings.IndexByte(key, '/')+1:], fmt.Sprintf("i-%d-", s.Client)); !s.Linearizable && !own {
		since -= s.Stamp.Age
	}
	shown, there := s.Shown[key]
	least, mostly := Change{}, "nothing"
	possible := !there
	for _, c := range changes {
		if c.Call > s.Return {
			break
		}
		isShown := there == (c.Text != "") && shown.Text == c.Text
		if c.Fate == history.Unknown {
			possible = possible || isShown
			continue
		}
		if c.Return < since || c.Epoch == s.Stamp.Epoch && c.Revision != 0 && c.Revision <= s.Stamp.Revision {
			least, mostly, possible = c, fmt.Sprintf("%q of %d", c.Text, c.Revision), false
		}
		// In another epoch, after a move, it has another revision.
		if isShown && there && cmp.Compare(c.Revision, shown.Revision) != cmp.Compare(c.Epoch, s.Stamp.Epoch) {
			return fmt.Sprintf("it was written at %d of epoch %d", c.Revision, c.Epoch)
		}
		possible = possible || isShown
	}
	if possible {
		return ""
	}
	return fmt.Sprintf("it is %s since %v at least", mostly, least.Return.Round(time.Microsecond))
}

// heard is at which revisions each key was changed, as anybody was told, by epoch.
type heard map[client.Epoch]map[string][]client.Revision

func (l *Log) heard() heard {
	h := heard{}
	note := func(epoch client.Epoch, key string, revision client.Revision) {
		if revision == 0 || key == "" {
			return
		}
		if h[epoch] == nil {
			h[epoch] = map[string][]client.Revision{}
		}
		h[epoch][key] = append(h[epoch][key], revision)
	}
	for _, c := range l.changes {
		if c.Fate == history.Done && !l.lost(c.Call, c.Return) {
			note(c.Epoch, c.Key, c.Revision)
		}
	}
	for _, w := range l.watched {
		if w.Since == 0 {
			continue // a Replica does not say in which epoch a change was
		}
		for _, t := range w.Told {
			if !l.lost(t.At-settles, t.At) { // events do not say of which epoch they are
				note(w.Epoch, t.Key, t.Revision)
			}
		}
	}
	for _, keys := range h {
		for _, all := range keys {
			slices.Sort(all)
		}
	}
	return h
}

// between returns a revision after one and no later than another at which key was changed.
func (h heard) between(epoch client.Epoch, key string, after, until client.Revision) client.Revision {
	all := h[epoch][key]
	i, _ := slices.BinarySearch(all, after+1)
	if i < len(all) && all[i] <= until {
		return all[i]
	}
	return 0
}
