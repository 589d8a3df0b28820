package faults

import (
	"strconv"
	"strings"
	"time"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/history"
)

// End is that of a lease, as the registry has acknowledged it. Its revision is 0 where that
// was not said.
type End struct {
	Owner        string
	Revision     client.Revision
	Epoch        client.Epoch
	Call, Return time.Duration
}

// Role is a reply that says who holds something or leads.
type Role struct {
	Object       string
	Owners       []string
	Revision     client.Revision
	Epoch        client.Epoch
	Call, Return time.Duration
}

// Reign is a leadership: as an observer was shown it at At, or as who leads was told.
type Reign struct {
	Observer string // what it is called in one life; "" for who leads
	By       int    // the client
	Object   string
	Owner    string // "" for nobody
	Term     uint64
	Token    string
	At       time.Duration
}

// Queue is what a lock's record showed. Its parties are each of one request, sent once.
type Queue struct {
	Object           string
	Holders, Waiters []string
	Call, Return     time.Duration
}

// Served is a grant that was answered, or shown in a record.
type Served struct {
	Object, Party, Token string
	At                   time.Duration
}

// Arrival is one at a barrier, which asks for a generation.
type Arrival struct {
	Object, Party string
	Size          int
	Generation    uint64
	Fate          history.Fate // Done: it was released; Undone: it does not count
	Call, Return  time.Duration
}

// Meeting is what a barrier's record showed.
type Meeting struct {
	Object       string
	Generation   uint64 // the present one
	Call, Return time.Duration
}

// Motion is a proposal as it was shown at one time, or announced.
type Motion struct {
	client.Proposal

	Object       string
	Announced    client.Revision // 0: it was read, linearizably
	Proposed     time.Duration   // when it was asked for, where that is known
	Call, Return time.Duration
}

// Silence is a probe of how long a lease lives of which nothing is heard any more.
type Silence struct {
	Promise string
	Owner   string
	From    time.Duration // when it fell silent
	Ends    time.Duration // by when it must have ended, 0 for not before it is heard again
	Lived   time.Duration // the newest time at which it was certainly there
	Ended   time.Duration // when it was said to have ended; 0 if it was not
}

// cast notes who has a role, as an Actor was answered. The caller holds mu.
func (l *Log) cast(n *Note) {
	f, d := n.Event.Finding, n.Event.Deed
	if f.Fate != history.Done || n.Revision == 0 {
		return
	}
	r := Role{d.Object, nil, n.Revision, n.Epoch, n.Event.Call, n.Event.Return}
	switch {
	case d.Verb == history.Acquire, d.Verb == history.Campaign && f.Term != 0:
		r.Owners = []string{d.Owner}
	case d.Verb == history.Read:
		for _, h := range f.Holders {
			r.Owners = append(r.Owners, h.Owner)
		}
		if f.Leader != "" {
			r.Owners = append(r.Owners, f.Leader)
		}
	}
	if len(r.Owners) > 0 {
		l.roles = append(l.roles, r)
	}
}

// cutoff returns until when what was seen of an object counts, which is named after the life
// of the store that it is of: until that is lost.
func (l *Log) cutoff(object string) time.Duration {
	life, err := strconv.Atoi(object[strings.LastIndexByte(object, '-')+1:])
	if err != nil || life >= len(l.losses) {
		return 1<<63 - 1
	}
	return l.losses[life].From
}
