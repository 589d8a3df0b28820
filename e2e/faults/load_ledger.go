package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/history"
)

// ledgerKeys is how many registrations a client alone changes.
const ledgerKeys = 3

// ledger is one client that changes registrations of its own, and looks at everybody's.
type ledger struct {
	*guest
	log    *Log
	random *rand.Rand
	life   func() string // of what is stored: it is part of the service's name
	names  *names
}

// names are those of the registrations that are changed at present. Where the outcome of a
// change is not known another name is taken: it may be made at any time, or never.
type names struct {
	mu  sync.Mutex
	all [clients][ledgerKeys]int
}

func (n *names) at(client, slot int) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return fmt.Sprintf("i-%d-%d-%d", client, slot, n.all[client][slot])
}

func (n *names) next(client, slot int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all[client][slot]++
}

// write changes one registration after another until ctx is done.
func (g *ledger) write(ctx context.Context) {
	there := map[string]bool{}
	for n := 0; ctx.Err() == nil; n++ {
		pauseUpTo(ctx, writePause, g.random.Int64N)
		slot := g.random.IntN(ledgerKeys)
		key := keyOf("own"+g.life(), g.names.at(g.number, slot))
		made := Change{Key: key.Service + "/" + key.Instance, Call: g.log.now()}
		var stamp client.Stamp
		var err error
		if there[made.Key] && g.random.IntN(4) == 0 {
			var removal client.Removal
			removal, stamp, err = g.c.Unregister(context.WithoutCancel(ctx), key, client.Write{})
			stamp.Revision = removal.Revision // 0 if there was nothing
		} else {
			made.Text = fmt.Sprintf("%s-%d", key.Instance, n)
			var metadata client.Metadata
			metadata, err = client.MetadataOf(map[string]string{"written": made.Text})
			if err == nil {
				_, stamp, err = g.c.Register(context.WithoutCancel(ctx), client.Registration{Key: key, Metadata: metadata}, client.Write{})
			}
		}
		made.Return = g.log.now()
		made.Fate, made.Revision, made.Epoch = fateOfWrite(err), stamp.Revision, stamp.Epoch
		if made.Fate == 0 {
			g.log.Wrongf("change %s: %v", made.Key, err)
			made.Fate = history.Unknown
		}
		switch made.Fate {
		case history.Undone:
			made.Why = err.Error()
		case history.Done:
			there[made.Key] = made.Text != ""
		case history.Unknown:
			g.names.next(g.number, slot)
		}
		g.log.mu.Lock()
		g.log.changes = append(g.log.changes, made)
		g.log.count(made.Fate)
		g.log.mu.Unlock()
		if made.Fate == history.Done {
			g.acked.Add(1)
		}
	}
}

// fateOfWrite is what became of a write that nothing forbids; 0 if that cannot be.
func fateOfWrite(err error) history.Fate {
	switch {
	case err == nil:
		return history.Done
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrLimitExceeded):
		return history.Undone
	case errors.Is(err, client.ErrUnknownOutcome):
		return history.Unknown
	}
	return 0
}

// read looks at registrations until ctx is done.
func (g *ledger) read(ctx context.Context) {
	for ctx.Err() == nil {
		pauseUpTo(ctx, readPause, g.random.Int64N)
		s := Sight{Client: g.number, Shown: map[string]Shown{}}
		read := client.Read{}
		switch n := g.random.IntN(10); {
		case n < 3:
			read.Consistency, s.Linearizable = client.Linearizable, true
		case n < 5:
			read.MaxAge = time.Second
		}
		var err error
		s.Call = g.log.now()
		if g.random.IntN(3) > 0 {
			key := keyOf("own"+g.life(), g.names.at(g.random.IntN(clients), g.random.IntN(ledgerKeys)))
			s.Key = key.Service + "/" + key.Instance
			var r client.Registration
			r, s.Stamp, err = g.c.Lookup(context.WithoutCancel(ctx), key, read)
			switch {
			case err == nil:
				s.Shown[s.Key] = shownOf(&r)
			case errors.Is(err, client.ErrNotFound):
				err = nil
			}
		} else {
			var page *client.Page
			q := everything()
			q.Read = read
			if page, s.Stamp, err = g.c.List(context.WithoutCancel(ctx), q); err == nil {
				for _, r := range page.Registrations {
					s.Shown[r.Service+"/"+r.Instance] = shownOf(r)
				}
			}
		}
		s.Return = g.log.now()
		g.note(s, read, err)
	}
}

func (g *ledger) note(s Sight, read client.Read, err error) {
	g.log.mu.Lock()
	defer g.log.mu.Unlock()
	switch {
	case err == nil:
		g.log.sights = append(g.log.sights, s)
		g.log.done++
		if read.MaxAge != 0 && s.Stamp.Age > read.MaxAge {
			g.log.wrong = append(g.log.wrong, wrong{s.Return, fmt.Sprintf("R5: %v was asked for with a maximum of %v", &s, read.MaxAge)})
		}
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrLimitExceeded), errors.Is(err, client.ErrCompacted):
	default:
		g.log.wrong = append(g.log.wrong, wrong{s.Return, fmt.Sprintf("%v: %v", &s, err)})
	}
}

func shownOf(r *client.Registration) Shown {
	return Shown{Text: textOf(r), Owner: r.Owner, Revision: r.Revision}
}

// textOf is what the writer of a registration wrote.
func textOf(r *client.Registration) string {
	if len(r.Metadata) == 0 {
		return ""
	}
	var body struct{ Written string }
	if err := json.Unmarshal([]byte(r.Metadata), &body); err != nil {
		return err.Error() // which nobody wrote
	}
	return body.Written
}

// serviceOf is the service of a key of the log.
func serviceOf(key string) string {
	service, _, _ := strings.Cut(key, "/")
	return service
}
