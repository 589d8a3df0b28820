package faults

import (
	"slices"
	"testing"
	"time"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/history"
)

// These tests judge histories that were made up: one that is as it should be, and what is
// wrong with it when one thing in it is another.

const sec = time.Second

// plain is a history in which nothing is wrong.
func plain() *Log {
	l := NewLog()
	l.changes = []Change{
		{Key: "own-0/i-0-0-0", Text: "a", Fate: history.Done, Revision: 10, Epoch: 1, Call: 1 * sec, Return: 2 * sec},
		{Key: "own-0/i-0-0-0", Text: "b", Fate: history.Done, Revision: 20, Epoch: 1, Call: 3 * sec, Return: 4 * sec},
		{Key: "own-0/i-0-0-0", Text: "", Fate: history.Done, Revision: 30, Epoch: 1, Call: 8 * sec, Return: 9 * sec},
		{Key: "own-0/i-0-0-0", Text: "c", Fate: history.Undone, Call: 10 * sec, Return: 11 * sec},
		{Key: "own-0/i-0-0-0", Text: "d", Fate: history.Unknown, Call: 12 * sec, Return: 13 * sec},
	}
	l.lives = []*Life{{
		Owner: "o", Name: "people/p-1", Text: "p-1", Since: 2 * sec, Sure: []Span{{2 * sec, 30 * sec}},
	}, {
		Owner: "m", Name: "mortals/m-1", Text: "m-1", Since: 2 * sec, Sure: []Span{{2 * sec, 5 * sec}}, Gone: 5 * sec, Revoked: 6 * sec,
	}}
	l.sights = []Sight{
		lookup(5*sec, Shown{Text: "b", Revision: 20}),
		list(5*sec-time.Millisecond, 21, map[string]Shown{
			"own-0/i-0-0-0": {Text: "b", Revision: 20}, "people/p-1": {Text: "p-1", Owner: "o", Revision: 5}, "mortals/m-1": {Text: "m-1", Owner: "m", Revision: 6},
		}),
		list(9500*time.Millisecond, 31, map[string]Shown{"people/p-1": {Text: "p-1", Owner: "o", Revision: 5}}),
	}
	l.watched = []*Watched{{Name: "watch", Epoch: 1, Since: 1, Told: []Told{
		{At: 2 * sec, Kind: client.Registered, Key: "own-0/i-0-0-0", Text: "a", Revision: 10},
		{At: 4 * sec, Kind: client.Updated, Key: "own-0/i-0-0-0", Text: "b", Revision: 20},
		{At: 6 * sec, Kind: client.Unregistered, Key: "mortals/m-1", Revision: 25},
		{At: 9 * sec, Kind: client.Unregistered, Key: "own-0/i-0-0-0", Revision: 30},
		{At: 40 * sec, Kind: client.Updated, Key: "people/p-1", Text: "p-1", Owner: "o", Revision: 50},
	}}}
	l.tokens = []Token{{"lock.a", "1", 1 * sec, 2 * sec}, {"lock.a", "2", 3 * sec, 4 * sec}}
	return l
}

func lookup(at time.Duration, shown Shown) Sight {
	s := Sight{
		Client: 3, Key: "own-0/i-0-0-0", Linearizable: true, Stamp: client.Stamp{Revision: shown.Revision, Epoch: 1},
		Call: at, Return: at + time.Millisecond, Shown: map[string]Shown{},
	}
	if shown.Revision != 0 {
		s.Shown[s.Key] = shown
	}
	return s
}

func list(at time.Duration, revision client.Revision, shown map[string]Shown) Sight {
	return Sight{
		Client: 3, Linearizable: true, Stamp: client.Stamp{Revision: revision, Epoch: 1},
		Call: at, Return: at + time.Millisecond, Shown: shown,
	}
}

func TestAHistoryThatIsAsItShouldBeIsNotComplainedAbout(t *testing.T) {
	t.Parallel()
	old := lookup(5*sec, Shown{Text: "a", Revision: 10})
	old.Linearizable, old.Stamp.Age = false, 2*sec
	for name, change := range map[string]func(*Log){
		"as it is":           func(*Log) {},
		"an old answer":      func(l *Log) { l.sights = append(l.sights, old) },
		"an unknown that is": func(l *Log) { l.sights = append(l.sights, lookup(20*sec, Shown{Text: "d", Revision: 60})) },
		"a gap": func(l *Log) {
			l.watched[0].Told = append(l.watched[0].Told[1:], Told{At: 41 * sec, Kind: client.Gap})
		},
		"a lease that ended late": func(l *Log) { l.lives[0].Expired = 31 * sec },
		"what was lost": func(l *Log) {
			l.losses = []Window{{5500 * time.Millisecond, 7 * sec}}
			l.changes = l.changes[:2]
			l.sights = append(l.sights[:1], list(8*sec, 3, map[string]Shown{}))
			l.wrong = []wrong{{8 * sec, "no lease"}}
		},
	} {
		l := plain()
		change(l)
		for _, v := range Judge(l) {
			t.Errorf("%s: %v", name, v)
		}
	}
}

func TestWhatIsWrongInAHistoryIsFound(t *testing.T) {
	t.Parallel()
	young := lookup(5*sec, Shown{Text: "a", Revision: 10})
	young.Linearizable, young.Stamp.Age = false, 500*time.Millisecond
	own := lookup(5*sec, Shown{Text: "a", Revision: 10})
	own.Linearizable, own.Client, own.Stamp.Age = false, 0, 3*sec
	ahead := lookup(5*sec, Shown{Text: "a", Revision: 10})
	ahead.Linearizable, ahead.Stamp.Age, ahead.Stamp.Revision = false, 4*sec, 22
	sight := func(s Sight) func(*Log) { return func(l *Log) { l.sights = append(l.sights, s) } }
	told := func(i int, t Told) func(*Log) { return func(l *Log) { l.watched[0].Told[i] = t } }
	for name, test := range map[string]struct {
		promise string
		change  func(*Log)
	}{
		"a write that is not shown":         {"R2, R5, R6", sight(lookup(5*sec, Shown{}))},
		"an old state, linearizably":        {"R2, R5, R6", sight(lookup(5*sec, Shown{Text: "a", Revision: 10}))},
		"one that is older than it says":    {"R2, R5, R6", sight(young)},
		"one that is not its reader's own":  {"R2, R5, R6", sight(own)},
		"one that is not that of its stamp": {"R2, R5, R6", sight(ahead)},
		"what was removed":                  {"R2, R5, R6", sight(lookup(9500*time.Millisecond, Shown{Text: "b", Revision: 20}))},
		"what was written later":            {"R2, R5, R6", sight(lookup(11*sec, Shown{Text: "d", Revision: 60}))},
		"what was not done":                 {"R2", sight(lookup(14*sec, Shown{Text: "c", Revision: 60}))},
		"another revision":                  {"R2, R5, R6", sight(lookup(5*sec, Shown{Text: "b", Revision: 21}))},
		"an empty list":                     {"R4, R6", sight(list(9500*time.Millisecond, 31, map[string]Shown{}))},
		"a list without who lives":          {"R4, R6", sight(list(20*sec, 31, map[string]Shown{"own-0/i-0-0-0": {Text: "d", Revision: 60}}))},
		"a list with who is dead": {"R3", sight(list(10*sec, 24, map[string]Shown{
			"people/p-1": {Text: "p-1", Owner: "o", Revision: 5}, "mortals/m-1": {Text: "m-1", Owner: "m", Revision: 6},
		}))},
		"a list with whose end it has seen": {"R3, R5", func(l *Log) {
			l.lives[1].Revoked = 0
			l.sights = append(l.sights, list(5*sec, 26, map[string]Shown{
				"own-0/i-0-0-0": {Text: "b", Revision: 20}, "people/p-1": {Text: "p-1", Owner: "o", Revision: 5}, "mortals/m-1": {Text: "m-1", Owner: "m", Revision: 6},
			}))
		}},
		"a live lease that ended":        {"L1, R4", func(l *Log) { l.lives[0].Expired = 20 * sec }},
		"an event that goes back":        {"R7", told(4, Told{At: 40 * sec, Kind: client.Registered, Key: "own-0/i-0-0-0", Text: "a", Revision: 10})},
		"an event twice":                 {"R7", told(3, Told{At: 5 * sec, Kind: client.Updated, Key: "own-0/i-0-0-0", Text: "b", Revision: 20})},
		"an event of what nobody wrote":  {"R7", told(1, Told{At: 4 * sec, Kind: client.Updated, Key: "own-0/i-0-0-0", Text: "x", Revision: 20})},
		"an event before it was written": {"R7", told(1, Told{At: 2 * sec, Kind: client.Updated, Key: "own-0/i-0-0-0", Text: "b", Revision: 20})},
		"an event that was not told": {"R7", func(l *Log) {
			l.watched[0].Told = append(l.watched[0].Told[:1], l.watched[0].Told[2:]...)
		}},
		"an event of what was not done": {"R7", told(4, Told{At: 40 * sec, Kind: client.Registered, Key: "own-0/i-0-0-0", Text: "c", Revision: 60})},
		"a token that comes again":      {"C1", func(l *Log) { l.tokens[1].Token = "1" }},
		"a token that shrinks":          {"C1", func(l *Log) { l.tokens[0].Token = "3" }},
		"a lost registration of many": {"R1, R2, R5", func(l *Log) {
			l.records = []history.Record{
				{Ask: history.Ask{Kind: history.Register, Key: "k", Content: "x"}, Answer: history.Answer{Fate: history.Done, Content: "x", Revision: 7}, Call: 1 * sec, Return: 2 * sec},
				{Ask: history.Ask{Kind: history.Lookup, Key: "k"}, Answer: history.Answer{Fate: history.Absent}, Call: 3 * sec, Return: 4 * sec},
			}
		}},
		"two holders": {"C1, C2, C4", func(l *Log) { hold(l, 60*sec) }},
		"an answer that nobody understands": {"answer", func(l *Log) {
			l.wrong = []wrong{{5 * sec, "invalid"}}
		}},
	} {
		l := plain()
		test.change(l)
		found := Judge(l)
		if !slices.ContainsFunc(found, func(v Violation) bool { return v.Promise == test.promise }) {
			t.Errorf("%s: got %v; want a violation of %s", name, found, test.promise)
		}
	}
}

// hold has two actors be given one lock, one after the other; the lease of the first is
// certain to live until certain.
func hold(l *Log, certain time.Duration) {
	for i, owner := range []string{"o1", "o2"} {
		at := time.Duration(20+i) * sec
		n := Note{Certain: certain, Event: history.Event{
			Client: i, Call: at, Deed: history.Deed{Verb: history.Acquire, Object: "lock.a", Owner: owner, Holder: "h", Has: history.Exclusive, Limit: history.Exclusive},
		}}
		l.Note(n)
		n.Over, n.Event.Return = true, at+sec/2
		n.Event.Finding = history.Finding{Fate: history.Done, Token: string(rune('1' + i))}
		l.Note(n)
	}
}

func TestALockPassesOnOnlyWhenItsHoldersLeaseMayHaveEnded(t *testing.T) {
	t.Parallel()
	for certain, want := range map[time.Duration]int{sec: 0, 60 * sec: 1} {
		l := NewLog()
		hold(l, certain)
		if found := Judge(l); len(found) != want {
			t.Errorf("with a lease until %v: %v; want %d violations", certain, found, want)
		}
	}
}

func TestALeaseThatIsCertainIsNotSaidToHaveEnded(t *testing.T) {
	t.Parallel()
	for certain, want := range map[time.Duration]int{2 * sec: 0, 20 * sec: 1} {
		l := NewLog()
		l.Note(Note{
			Over: true, Code: bus.CodeLeaseExpired, Certain: certain,
			Event: history.Event{Deed: history.Deed{Verb: history.Read, Object: "lock.a"}, Finding: history.Finding{Fate: history.Undone}, Call: 3 * sec, Return: 4 * sec},
		})
		if found := Judge(l); len(found) != want {
			t.Errorf("with a lease until %v: %v; want %d violations", certain, found, want)
		}
	}
}
