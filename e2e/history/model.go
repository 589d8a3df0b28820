package history

import (
	"fmt"

	"github.com/anishathalye/porcupine"

	"github.com/roostbus/roost/backend"
)

// state is what is behind one key.
type state struct {
	live    bool
	content string

	// revision is 0 while it is not known: a write of unknown outcome made it, and nobody
	// has been told yet. Nobody can have asked for it either.
	revision backend.Revision
	moved    bool // it is revision, or was a lower one before a move

	newest backend.Revision // of the changes whose revision is known
	over   bool             // the history has ended
}

func (s state) String() string {
	if !s.live {
		return fmt.Sprintf("absent after %d", s.newest)
	}
	if s.revision == 0 {
		return fmt.Sprintf("%s after %d", s.content, s.newest)
	}
	return fmt.Sprintf("%s at %d", s.content, s.revision)
}

// at returns s when its registration was seen at revision.
func (s state) at(revision backend.Revision) (state, bool) {
	if !s.live || revision == 0 {
		return s, false
	}
	if s.revision != 0 && !s.moved {
		return s, s.revision == revision
	}
	if s.moved && revision > s.revision {
		return s, false
	}
	s.moved = false
	s.revision = revision
	return s.later(revision)
}

// later returns s after a change at revision, 0 where that is not known.
func (s state) later(revision backend.Revision) (state, bool) {
	grows := revision == 0 || revision > s.newest
	s.newest = max(s.newest, revision)
	return s, grows
}

// allows reports whether ask may be done on s.
func (s state) allows(ask Ask) bool {
	switch {
	case ask.Kind != Register && !s.live, ask.If && ask.Revision == 0 && s.live:
		return false
	}
	return !ask.If || ask.Revision == 0 || s.live && (s.revision == ask.Revision || s.moved && ask.Revision < s.revision)
}

// after returns s after ask, which s allows, was done at revision.
func (s state) after(ask Ask, revision backend.Revision) (state, bool) {
	if ask.Kind == Unregister {
		return state{newest: s.newest}.later(revision)
	}
	return state{live: true, content: ask.Content, revision: revision, newest: s.newest}.later(revision)
}

// changes reports whether ask, which s allows, leaves something else than s.
func (s state) changes(ask Ask) bool {
	return ask.Kind == Unregister || !s.live || s.content != ask.Content
}

// step reports whether a registration in state s can answer ask so, and its state then.
func step(s state, ask Ask, answer Answer) (state, bool) {
	switch {
	case ask.Kind == end:
		s.over = true
		return s, true
	case ask.Kind == Move:
		s.revision, s.moved = 0, false // nobody has been told yet
		return s, true
	case answer.Fate == Undone:
		return s, true
	case answer.Fate == Unknown && s.over:
		return s, true
	case answer.Fate == Unknown:
		// One that changes nothing is as well taken not to have happened.
		if !s.allows(ask) || !s.changes(ask) {
			return s, false
		}
		return s.after(ask, 0)
	case answer.Fate == Absent:
		return s, !s.live && ask.Kind != Register && (ask.Kind != Unregister || !ask.If)
	case answer.Fate == Conflict:
		return s.refuses(ask, answer.Revision)
	case ask.Kind == Lookup:
		if s.content != answer.Content {
			return s, false
		}
		return s.at(answer.Revision)
	case answer.Revision == 0 || answer.Content != ask.Content || !s.allows(ask):
		return s, false
	case answer.Moved && !s.changes(ask):
		return s, true
	case answer.Moved:
		s, ok := s.after(ask, 0)
		if s.live {
			s.revision, s.moved = answer.Revision, true
		}
		return s, ok
	case !s.changes(ask):
		return s.at(answer.Revision)
	}
	return s.after(ask, answer.Revision)
}

// refuses reports whether the condition of ask fails on s, which is at revision.
func (s state) refuses(ask Ask, revision backend.Revision) (state, bool) {
	if !ask.If || revision == ask.Revision {
		return s, false
	}
	if revision == 0 {
		return s, !s.live && ask.Kind != Update
	}
	return s.at(revision)
}

// model is step as porcupine wants it.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{} },
		Step: func(before, input, output any) (bool, any) {
			after, ok := step(before.(state), input.(Ask), output.(Answer))
			return ok, after
		},
		DescribeOperation: func(input, output any) string {
			if input.(Ask).Kind == end {
				return "end"
			}
			return fmt.Sprintf("%v: %v", input, output)
		},
		DescribeState: func(s any) string { return s.(state).String() },
	}
}
