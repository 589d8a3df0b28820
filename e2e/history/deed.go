package history

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Verb is what is done to an object of coordination.
type Verb uint8

// The verbs.
const (
	Acquire  Verb = iota + 1 // permits of a semaphore, or a lock: all its permits or, shared, one
	Release                  // what a holder has
	Campaign                 // be a candidate, or lead
	Lead                     // be told to lead; see [Won]
	Resign                   // be none any more
	Transfer                 // have another candidate lead, and be one
	Add                      // to a counter
	Read                     // linearizably
	End                      // of the lease of an owner: see [Ending]

	ceases // the history: what has no outcome yet may be taken not to have happened
)

func (v Verb) String() string {
	return [...]string{"?", "acquire", "release", "campaign", "lead", "resign", "transfer", "add", "read", "lease end", "end"}[v]
}

// Exclusive is how many permits a lock has: all of them are one exclusive holder's.
const Exclusive = 1 << 20

// Deed is one request about an object, or the end of a lease.
type Deed struct {
	Verb   Verb
	Object string // its key; its kind is what comes before the first dot
	Owner  string
	Holder string // unique to one acquire
	Has    int    // permits
	Limit  int    // of all permits
	Delta  int64

	Priority int    // of a campaign, the same in all of an owner's
	To       string // of a transfer
}

func (d Deed) String() string {
	text := d.Verb.String() + " " + d.Object
	if d.Owner != "" {
		text += fmt.Sprintf(" by %.6s", d.Owner)
	}
	if d.Holder != "" {
		text += "/" + d.Holder
	}
	switch d.Verb {
	case Acquire:
		text += fmt.Sprintf(" %d of %d", d.Has, d.Limit)
	case Campaign:
		text += fmt.Sprintf(" with priority %d", d.Priority)
	case Transfer:
		text += fmt.Sprintf(" to %.6s", d.To)
	case Add:
		text += fmt.Sprintf(" %d", d.Delta)
	}
	return text
}

// Refused is the fate of a request whose turn did not come in time: what it wanted was not
// to be had, and it does not wait any more.
const Refused Fate = Unknown + 1

// Party is a holder, as a read shows it.
type Party struct {
	Owner, Holder, Token string
	Has                  int
}

// Finding is what a request was answered.
type Finding struct {
	Fate  Fate
	Token string // of a grant; of a read, the newest
	Term  uint64
	Value int64

	// Of a read:
	Holders    []Party
	Leader     string   // "" for nobody
	Candidates []string // in their order
}

func (f Finding) String() string {
	switch f.Fate {
	case Refused:
		return "refused"
	case Unknown, Undone:
		return Answer{Fate: f.Fate}.String()
	}
	text := []string{"done"}
	for _, h := range f.Holders {
		text = append(text, fmt.Sprintf("%.6s/%s has %d with %s", h.Owner, h.Holder, h.Has, h.Token))
	}
	if f.Token != "" {
		text = append(text, "token "+f.Token)
	}
	if f.Term != 0 {
		text = append(text, fmt.Sprintf("term %d of %.6s, %d candidates", f.Term, f.Leader, len(f.Candidates)))
	}
	if f.Value != 0 {
		text = append(text, fmt.Sprint(f.Value))
	}
	return strings.Join(text, ", ")
}

// Event is a deed and its outcome, and when they were, since the history began.
type Event struct {
	Client       int
	Deed         Deed
	Finding      Finding
	Call, Return time.Duration
}

// Ending returns the end of owner's lease as far as an object knows it: it happens at any
// time after certain, when the owner was last certain that it lived, or never.
//
// That is all that may be said of it. Before, nothing of it may be given to another: so a
// history in which it is has no explanation. When it happens nobody is told but the
// registry; and where nobody asks for what the owner had, nobody ever learns it.
func Ending(client int, object, owner string, certain time.Duration) Event {
	return Event{Client: client, Deed: Deed{Verb: End, Object: object, Owner: owner}, Finding: Finding{Fate: Unknown}, Call: certain}
}

// Chronicle collects events from any number of clients.
type Chronicle struct {
	mu     sync.Mutex
	events []Event
	counts map[Fate]int
}

// Note adds an event.
func (c *Chronicle) Note(e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[Fate]int{}
	}
	c.events = append(c.events, e)
	if e.Deed.Verb != End && e.Deed.Verb != Lead { // they are no requests
		c.counts[e.Finding.Fate]++
	}
}

// Events returns what has been noted so far.
func (c *Chronicle) Events() []Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clip(c.events)
}

// Count says how many requests had one of fates.
func (c *Chronicle) Count(fates ...Fate) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, fate := range fates {
		n += c.counts[fate]
	}
	return n
}
