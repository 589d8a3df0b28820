package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/history"
)

// Note is what an actor tells of itself: what it begins to do before it does it, so that
// what it does when it is killed is known, and what came of it.
type Note struct {
	Event history.Event

	Over    bool          // it has been answered, with
	Code    bus.Code      // if it failed
	Certain time.Duration // until when the owner's lease was certain to live, before it was asked

	// Ask, of a note about a registration, and Answer stand for what is in Event but for its
	// client and its times.
	Ask    history.Ask
	Answer history.Answer

	// Revokes is an owner whose lease is given up from now on; Over says that it has ended.
	Revokes string

	// Revision and Epoch are those of the reply.
	Revision client.Revision
	Epoch    client.Epoch
}

// Expired reports whether the registry said that the owner's lease has ended.
func (n *Note) Expired() bool { return n.Code == bus.CodeLeaseExpired }

// Expected reports whether a registry that keeps its promises may answer so.
func (n *Note) Expected() bool {
	switch n.Code {
	case bus.CodeNotOwner, bus.CodeNotFound:
		return n.Event.Deed.Verb == history.Transfer
	case "", bus.CodeLeaseExpired, bus.CodeTimeout, bus.CodeUnavailable, bus.CodeLimitExceeded, bus.CodeUnknownOutcome:
		return true
	}
	return false
}

// Actor is one client at work on objects.
type Actor struct {
	Number   int
	Client   *client.Client
	Conn     *nats.Conn // the client's, for requests that are sent once
	Subjects bus.Subjects
	Random   *rand.Rand
	Say      func(Note)
	TTL      time.Duration // of its leases
	Began    time.Time     // when the history did

	// Scene, unless nil, says what the names of all that is at play end with at present.
	Scene func() string
	// Pause, unless 0, is how long it may wait between two requests.
	Pause time.Duration

	lease *client.Lease
	has   map[string]string // of what it has or may have: the holder, by the object
	named int
	known map[string]history.Answer // of registrations

	standing map[string][]string // in an election, when it was last looked at
}

func (a *Actor) scene() string {
	if a.Scene == nil {
		return ""
	}
	return a.Scene()
}

// now is the time of the history, by the clock on the wall, which all processes share.
func (a *Actor) now() time.Duration { return time.Duration(time.Now().UnixNano() - a.Began.UnixNano()) }

// Work does one thing after another. It goes on with a lease that may have ended until it
// is told so: that nobody has what another has must not depend on anybody's carefulness.
func (a *Actor) Work(ctx context.Context) {
	a.known, a.standing = map[string]history.Answer{}, map[string][]string{}
	for ctx.Err() == nil {
		if a.Pause > 0 {
			pauseUpTo(ctx, a.Pause, a.Random.Int64N)
		}
		if a.lease == nil || a.lease.Err() != nil {
			lease, err := a.Client.Grant(ctx, client.LeaseOptions{TTL: a.TTL, Grace: &a.TTL})
			if err != nil {
				continue
			}
			a.lease, a.has = lease, map[string]string{}
		}
		if a.Random.IntN(6) == 0 {
			a.swap(ctx)
			continue
		}
		object := ObjectsAtPlay()[a.Random.IntN(len(ObjectsAtPlay()))] + a.scene()
		d := history.Deed{Verb: history.Read, Object: object}
		if a.Random.IntN(4) > 0 {
			d = a.choose(object)
		}
		f := a.do(ctx, d)
		switch {
		case a.lease == nil: // it has ended
		case f.Fate == history.Unknown && d.Verb != history.Read && d.Verb != history.Add:
			a.quit(ctx) // rather than to have something and not to know it
		case f.Fate == history.Undone:
			pause(ctx, 10*time.Millisecond)
		}
	}
}

// ObjectsAtPlay are the objects. Their kinds come first.
func ObjectsAtPlay() []string {
	return []string{"lock.a", "lock.b", "semaphore.a", "semaphore.b", "election.a", "election.b", "counter.a", "counter.b"}
}

// PermitsAtPlay is how many permits a semaphore at play has.
const PermitsAtPlay = 3

// choose returns a change of an object.
func (a *Actor) choose(object string) history.Deed {
	d := history.Deed{Object: object, Owner: a.lease.Owner()}
	kind, _, _ := strings.Cut(object, ".")
	holder, has := a.has[object]
	switch {
	case kind == "counter":
		return history.Deed{Verb: history.Add, Object: object, Delta: a.Random.Int64N(2000) - 500}
	case kind == "election":
		d.Verb, d.Priority = history.Campaign, a.Number%3 // or: is it its turn now?
		others := a.standing[object]
		switch one := a.Random.IntN(4); {
		case has && one < 2:
			d.Verb = history.Resign
		case has && one == 2 && len(others) > 0:
			d.Verb, d.To = history.Transfer, others[a.Random.IntN(len(others))]
		}
		return d
	case has:
		d.Verb, d.Holder = history.Release, holder
		return d
	}
	a.named++
	d.Verb, d.Holder = history.Acquire, fmt.Sprintf("%d-%d", a.Number, a.named)
	d.Limit, d.Has = PermitsAtPlay, 1+a.Random.IntN(PermitsAtPlay)
	if kind == "lock" {
		d.Limit, d.Has = history.Exclusive, history.Exclusive
		if a.Random.IntN(3) == 0 {
			d.Has = 1
		}
	}
	return d
}

// do does d, and tells before and after.
func (a *Actor) do(ctx context.Context, d history.Deed) history.Finding {
	n := Note{Event: history.Event{Client: a.Number, Deed: d, Finding: history.Finding{Fate: history.Unknown}}}
	if d.Owner != "" {
		n.Certain = time.Duration(a.lease.Deadline().UnixNano() - a.Began.UnixNano())
	}
	n.Event.Call = a.now()
	a.Say(n)
	if d.Verb == history.Add || strings.HasPrefix(d.Object, "counter.") {
		n.Event.Finding = a.count(ctx, d)
	} else {
		var r reply
		n.Event.Finding, r = a.ask(ctx, d)
		n.Code, n.Revision, n.Epoch = r.code, r.revision, r.epoch
	}
	n.Event.Return, n.Over = a.now(), true
	a.Say(n)
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
func (a *Actor) quit(ctx context.Context) {
	n := Note{Revokes: a.lease.Owner(), Certain: a.now()}
	n.Event.Call = n.Certain
	a.Say(n)
	if r := a.wire().revoke(ctx, a.lease.Secret()); r.fate == history.Done && r.code == "" {
		n.Over, n.Event.Return, n.Revision, n.Epoch = true, a.now(), r.revision, r.epoch
		a.Say(n)
	}
	_ = a.lease.Revoke(ctx) // or it ends by itself
	a.lease = nil
}

// count does something to a counter, through the client, which may send it repeatedly.
func (a *Actor) count(ctx context.Context, d history.Deed) history.Finding {
	_, name, _ := strings.Cut(d.Object, ".")
	n := a.Client.Counter("default", name)
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
