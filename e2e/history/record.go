package history

import (
	"fmt"
	"sync"
	"time"

	"github.com/roostbus/roost/backend"
)

// Kind is what is asked for.
type Kind uint8

// The kinds. Every look-up is a linearizable one.
const (
	Register Kind = iota + 1
	Update
	Unregister
	Lookup
	Move // of the registry to another store: what is there stays, and has a higher revision

	end // of the history: what has no outcome yet may be taken not to have happened
)

func (k Kind) String() string {
	return [...]string{"?", "register", "update", "unregister", "look up", "move", "end"}[k]
}

// Ask is one request.
type Ask struct {
	Kind Kind
	Key  string

	// Content is what a register or an update writes. A new content must be of one request
	// only. One that was read may be written again.
	Content string

	// If says that the request is conditional on Revision; 0: on absence. A revision must
	// have been answered before it is asked for.
	If       bool
	Revision backend.Revision
}

func (a Ask) String() string {
	text := a.Kind.String() + " " + a.Key
	if a.Content != "" {
		text += " " + a.Content
	}
	if a.If {
		text += fmt.Sprintf(" if %d", a.Revision)
	}
	return text
}

// Fate is what became of a request.
type Fate uint8

// The fates.
const (
	Done     Fate = iota + 1 // it was done, or found
	Absent                   // there is no registration
	Conflict                 // the condition does not match; the answer's Revision is the current one
	Undone                   // certainly not done, now or later: unavailable
	Unknown                  // of a write: done, or not, or not yet
)

// Answer is what was answered. Content is that of a registration, Revision its revision,
// or that of its removal, where there is one.
type Answer struct {
	Fate     Fate
	Content  string
	Revision backend.Revision
	Moved    bool   // of a write: Revision may be what a move has made of its own since
	Why      string // it was not done, in the registry's words
}

func (a Answer) String() string {
	switch a.Fate {
	case Absent:
		return "absent"
	case Conflict:
		return fmt.Sprintf("conflict: at %d", a.Revision)
	case Undone:
		if a.Why != "" {
			return "not done (" + a.Why + ")"
		}
		return "not done"
	case Unknown:
		return "unknown"
	}
	return fmt.Sprintf("%s at %d", a.Content, a.Revision)
}

// Record is one request and its answer, and when both were made, since the history began.
type Record struct {
	Client       int
	Ask          Ask
	Answer       Answer
	Call, Return time.Duration
}

// Recorder makes the records. Use New.
type Recorder struct {
	began time.Time

	mu      sync.Mutex
	records []Record
	counts  map[Fate]int
}

// New begins a history.
func New() *Recorder { return &Recorder{began: time.Now(), counts: map[Fate]int{}} }

// Do makes a request and records it.
func (r *Recorder) Do(client int, ask Ask, request func() Answer) Answer {
	record := Record{Client: client, Ask: ask, Call: time.Since(r.began)}
	record.Answer = request()
	record.Return = time.Since(r.began)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, record)
	r.counts[record.Answer.Fate]++
	return record.Answer
}

// Records returns what was recorded so far.
func (r *Recorder) Records() []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.records[:len(r.records):len(r.records)]
}

// Count says how many requests had one of fates.
func (r *Recorder) Count(fates ...Fate) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, fate := range fates {
		n += r.counts[fate]
	}
	return n
}
