package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/history"
)

// asActors makes the test binary be some clients of objects, with the settings that it
// holds: a process that can be killed and stopped in the midst of everything.
const asActors = "ROOST_TEST_ACTORS"

// actorSettings are those of such a process.
type actorSettings struct {
	URL            string
	First, Clients int // their numbers
	Seed           uint64
	TTL            time.Duration
	Plain          bool  // nobody transfers, and all have the same priority
	Began          int64 // when the history did, by the clock on the wall, which all have in common

	// Fenced, if not "", is where the one client writes that holds what Fenced names: see
	// fencedMain.
	Fenced, Role string
}

// note is what an actor tells of itself: what it begins to do before it does it, so that
// what it does when it is killed is known, and what came of it.
type note struct {
	Event history.Event

	Over    bool          // it has been answered, with
	Code    bus.Code      // if it failed
	Certain time.Duration // until when the owner's lease was certain to live, before it was asked

	// Ask, of a note about a registration, and Answer stand for what is in Event but for its
	// client and its times.
	Ask    history.Ask
	Answer history.Answer

	// Revokes is an owner whose lease is given up from now on.
	Revokes string
}

// actor is one client at work.
type actor struct {
	settings *actorSettings
	number   int
	c        *client.Client
	nc       *nats.Conn
	subjects bus.Subjects
	random   *rand.Rand
	say      func(note)

	lease *client.Lease
	has   map[string]string // of what it has or may have: the holder, by the object
	named int
	known map[string]history.Answer // of registrations

	standing map[string][]string // in an election, when it was last looked at
}

// actorsMain is some clients until in ends.
func actorsMain(settings string, in io.Reader, out io.Writer) error {
	var s actorSettings
	if err := json.Unmarshal([]byte(settings), &s); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, in)
		stop()
	}()
	if s.Fenced != "" {
		return fencedMain(ctx, &s)
	}
	var mu sync.Mutex
	to := json.NewEncoder(out)
	say := func(n note) {
		mu.Lock()
		defer mu.Unlock()
		_ = to.Encode(n) // nobody reads it if that fails
	}
	subjects, err := bus.NewSubjects(keeperPrefix)
	if err != nil {
		return err
	}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for n := range s.Clients {
		nc, err := nats.Connect(s.URL, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectBufSize(-1),
			nats.IgnoreDiscoveredServers(), nats.RetryOnFailedConnect(true), nats.PingInterval(time.Second))
		if err != nil {
			return err
		}
		defer nc.Close()
		c, err := client.New(nc, client.WithPrefix(keeperPrefix), client.WithWriteTimeout(time.Second), client.WithReadTimeout(time.Second))
		if err != nil {
			return err
		}
		a := &actor{
			settings: &s, number: s.First + n, c: c, nc: nc, subjects: subjects, say: say,
			known: map[string]history.Answer{}, standing: map[string][]string{}, random: rand.New(rand.NewPCG(s.Seed, uint64(s.First+n))),
		}
		tasks.Go(func() { a.work(ctx) })
	}
	<-ctx.Done()
	return nil
}

func (s *actorSettings) now() time.Duration { return time.Duration(time.Now().UnixNano() - s.Began) }

// work does one thing after another. It goes on with a lease that may have ended until it
// is told so: that nobody has what another has must not depend on anybody's carefulness.
func (a *actor) work(ctx context.Context) {
	for ctx.Err() == nil {
		if a.lease == nil || a.lease.Err() != nil {
			lease, err := a.c.Grant(ctx, client.LeaseOptions{TTL: a.settings.TTL, Grace: &a.settings.TTL})
			if err != nil {
				continue
			}
			a.lease, a.has = lease, map[string]string{}
		}
		if a.random.IntN(6) == 0 {
			a.swap(ctx)
			continue
		}
		object := objectsAtPlay[a.random.IntN(len(objectsAtPlay))]
		d := history.Deed{Verb: history.Read, Object: object}
		if a.random.IntN(4) > 0 {
			d = a.choose(object)
		}
		f := a.do(ctx, d)
		switch {
		case f.Fate == history.Unknown && d.Verb != history.Read && d.Verb != history.Add:
			a.quit(ctx) // rather than to have something and not to know it
		case f.Fate == history.Undone:
			pause(ctx, 10*time.Millisecond)
		}
	}
}

// objectsAtPlay are the objects. Their kinds come first.
var objectsAtPlay = []string{"lock.a", "lock.b", "semaphore.a", "semaphore.b", "election.a", "election.b", "counter.a", "counter.b"}

const permitsAtPlay = 3

// choose returns a change of an object.
func (a *actor) choose(object string) history.Deed {
	d := history.Deed{Object: object, Owner: a.lease.Owner()}
	kind, _, _ := strings.Cut(object, ".")
	holder, has := a.has[object]
	switch {
	case kind == "counter":
		return history.Deed{Verb: history.Add, Object: object, Delta: a.random.Int64N(2000) - 500}
	case kind == "election":
		d.Verb = history.Campaign // or: is it its turn now?
		var others []string
		if !a.settings.Plain {
			d.Priority, others = a.number%3, a.standing[object]
		}
		switch one := a.random.IntN(4); {
		case has && one < 2:
			d.Verb = history.Resign
		case has && one == 2 && len(others) > 0:
			d.Verb, d.To = history.Transfer, others[a.random.IntN(len(others))]
		}
		return d
	case has:
		d.Verb, d.Holder = history.Release, holder
		return d
	}
	a.named++
	d.Verb, d.Holder = history.Acquire, fmt.Sprintf("%d-%d", a.number, a.named)
	d.Limit, d.Has = permitsAtPlay, 1+a.random.IntN(permitsAtPlay)
	if kind == "lock" {
		d.Limit, d.Has = history.Exclusive, history.Exclusive
		if a.random.IntN(3) == 0 {
			d.Has = 1
		}
	}
	return d
}

// do does d, and tells before and after.
func (a *actor) do(ctx context.Context, d history.Deed) history.Finding {
	n := note{Event: history.Event{Client: a.number, Deed: d, Finding: history.Finding{Fate: history.Unknown}}}
	if d.Owner != "" {
		n.Certain = time.Duration(a.lease.Deadline().UnixNano() - a.settings.Began)
	}
	n.Event.Call = a.settings.now()
	a.say(n)
	if d.Verb == history.Add || strings.HasPrefix(d.Object, "counter.") {
		n.Event.Finding = a.count(ctx, d)
	} else {
		n.Event.Finding, n.Code = a.ask(ctx, d)
	}
	n.Event.Return, n.Over = a.settings.now(), true
	a.say(n)
	switch f := n.Event.Finding; {
	case d.Verb == history.Read && f.Fate == history.Done:
		a.standing[d.Object] = f.Candidates
	case n.Code == bus.CodeLeaseExpired:
		_ = a.lease.Revoke(ctx) // it has ended
		a.lease = nil
	case d.Verb == history.Acquire && f.Fate == history.Done, d.Verb == history.Campaign && f.Fate == history.Done:
		a.has[d.Object] = d.Holder
	case f.Fate == history.Done && (d.Verb == history.Release || d.Verb == history.Resign):
		delete(a.has, d.Object)
	}
	return n.Event.Finding
}

// quit gives the lease up.
func (a *actor) quit(ctx context.Context) {
	a.say(note{Revokes: a.lease.Owner(), Certain: a.settings.now()})
	_ = a.lease.Revoke(ctx) // or it ends by itself
	a.lease = nil
}

// count does something to a counter, through the client, which may send it repeatedly.
func (a *actor) count(ctx context.Context, d history.Deed) history.Finding {
	_, name, _ := strings.Cut(d.Object, ".")
	n := a.c.Counter("default", name)
	if d.Verb == history.Read {
		value, _, err := n.Get(ctx, client.Read{Consistency: client.Linearizable})
		if err != nil {
			return history.Finding{Fate: history.Undone}
		}
		return history.Finding{Fate: history.Done, Value: value.Int64()}
	}
	value, err := n.Add(ctx, d.Delta)
	switch {
	case err == nil:
		return history.Finding{Fate: history.Done, Value: value.Int64()}
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrLimitExceeded):
		return history.Finding{Fate: history.Undone}
	}
	return history.Finding{Fate: history.Unknown}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
