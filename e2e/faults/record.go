package faults

import (
	"fmt"
	"sync"
	"time"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/history"
)

// Change is one change of a registration that only one client changes, and its outcome.
type Change struct {
	Key          string
	Text         string // "" for a removal
	Fate         history.Fate
	Revision     client.Revision // if it was done
	Epoch        client.Epoch
	Call, Return time.Duration
	Why          string // it was not done, in the registry's words
}

// Sight is what one client was shown of all registrations, or of one key, of those that
// only one client each changes.
type Sight struct {
	Client       int
	Key          string // "" for all
	Linearizable bool
	Least        client.Revision // that was asked for
	Stamp        client.Stamp
	Call, Return time.Duration
	Shown        map[string]Shown
}

// Shown is one registration of a Sight.
type Shown struct {
	Text     string
	Owner    string
	Revision client.Revision
}

func (s *Sight) String() string {
	how := "local"
	if s.Linearizable {
		how = "linearizable"
	}
	what := "list"
	if s.Key != "" {
		what = "look-up of " + s.Key
	}
	return fmt.Sprintf("the %s %s of client %d at %v–%v, of epoch %d revision %d, %v old,", how, what, s.Client,
		s.Call.Round(time.Microsecond), s.Return.Round(time.Microsecond), s.Stamp.Epoch, s.Stamp.Revision, s.Stamp.Age)
}

// Told is one event that a watcher was told.
type Told struct {
	At       time.Duration
	Kind     client.EventKind
	Key      string
	Text     string
	Owner    string
	Revision client.Revision
}

// Watched is what one watcher was told between its beginning and its end, from the list
// that it began with on.
type Watched struct {
	Name  string
	Epoch client.Epoch
	Since client.Revision
	Told  []Told
}

// Token is one that was given to the exclusive holder of an object.
type Token struct {
	Object, Token string
	Call, Return  time.Duration
}

// Life is what is known of a lease that its process keeps alive.
type Life struct {
	Owner   string
	Name    string        // of its registration, "" if it has none
	Text    string        // of its registration
	Since   time.Duration // when the registration was acknowledged; 0 if it was not
	Sure    []Span        // when it was certain to live
	Expired time.Duration // when the registry was heard to say that it has ended
	Revoked time.Duration // when its revocation was acknowledged
	Gone    time.Duration // when its process gave it up or died
}

// Span is a stretch of time.
type Span struct{ From, To time.Duration }

// Window is a time in which what is stored is lost, by intent, or moves.
type Window = Span

// Log is what all clients saw.
type Log struct {
	Began time.Time

	mu      sync.Mutex
	records []history.Record
	events  []history.Event
	certain map[string]*owned // by owner
	changes []Change
	sights  []Sight
	watched []*Watched
	tokens  []Token
	lives   []*Life
	ends    []End
	roles   []Role
	reigns  []Reign
	queues  []Queue
	served  []Served
	met     []Arrival
	meets   []Meeting
	motions []Motion
	silent  []Silence
	losses  []Window
	moves   []Window
	wrong   []wrong
	done    int // how much was answered
	unsure  int // how much has no known outcome
}

// owned is what is known of the lease of an Actor.
type owned struct {
	client  int
	certain time.Duration
	objects map[string]bool
}

type wrong struct {
	at   time.Duration
	text string
}

// NewLog begins a history.
func NewLog() *Log { return &Log{Began: time.Now(), certain: map[string]*owned{}} }

func (l *Log) now() time.Duration { return time.Since(l.Began) }

// Do makes a request about a registration and records it.
func (l *Log) Do(number int, ask history.Ask, request func() history.Answer) history.Answer {
	r := history.Record{Client: number, Ask: ask, Call: l.now()}
	r.Answer = request()
	r.Return = l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r)
	l.count(r.Answer.Fate)
	return r.Answer
}

func (l *Log) count(f history.Fate) {
	switch f {
	case history.Undone:
	case history.Unknown:
		l.unsure++
	default:
		l.done++
	}
}

// Note takes down what an Actor says.
func (l *Log) Note(n Note) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := n.Event.Deed
	switch {
	case n.Revokes != "":
		if o := l.certain[n.Revokes]; o != nil {
			o.certain = min(o.certain, n.Certain)
		}
		if n.Over {
			l.ends = append(l.ends, End{n.Revokes, n.Revision, n.Epoch, n.Event.Call, n.Event.Return})
		}
		return
	case !n.Over:
		if d.Owner == "" {
			return
		}
		o := l.certain[d.Owner]
		if o == nil {
			o = &owned{client: n.Event.Client, objects: map[string]bool{}}
			l.certain[d.Owner] = o
		}
		o.certain = max(o.certain, n.Certain)
		o.objects[d.Object] = true
		return
	case n.Ask.Kind != 0:
		l.records = append(l.records, history.Record{Client: n.Event.Client, Ask: n.Ask, Answer: n.Answer, Call: n.Event.Call, Return: n.Event.Return})
		l.count(n.Answer.Fate)
		return
	}
	l.answered(&n)
}

// answered takes down what an Actor was answered about an object.
func (l *Log) answered(n *Note) {
	e := n.Event
	if n.Expired() && e.Return < n.Certain {
		l.wrong = append(l.wrong, wrong{e.Return, fmt.Sprintf("L1: %v: the lease has ended at %v, and was certain until %v", e.Deed, e.Return, n.Certain)})
	}
	if !n.Expected() {
		l.wrong = append(l.wrong, wrong{e.Return, fmt.Sprintf("%v: %s", e.Deed, n.Code)})
	}
	if n.Expired() {
		l.ends = append(l.ends, End{Owner: e.Deed.Owner, Call: e.Call, Return: e.Return})
	}
	l.cast(n)
	l.events = append(l.events, e)
	l.count(e.Finding.Fate)
	if e.Deed.Verb == history.Campaign && e.Finding.Fate == history.Done && e.Finding.Term != 0 {
		e.Deed.Verb = history.Lead
		l.events = append(l.events, e)
	}
}

// Wrongf notes what should never be answered.
func (l *Log) Wrongf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, wrong{l.now(), fmt.Sprintf(format, args...)})
}

// Loses notes that what is stored was lost between from and now.
func (l *Log) Loses(from time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.losses = append(l.losses, Window{from, l.now()})
}

// Answered says how many requests were answered so far.
func (l *Log) Answered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

func add[T any](l *Log, to *[]T, one T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*to = append(*to, one)
}
