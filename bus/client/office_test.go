package client

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus"
)

// office is a link to a registry that knows of leases what a keeper does, and of
// coordination what these tests need. Requests that wait there go on waiting when their
// sender does not.
type office struct {
	*keeper

	mu       sync.Mutex
	revision uint64
	records  map[string]any                // by kind and name
	counted  map[string]bool               // request ids of additions
	subs     map[string][]chan<- *nats.Msg // by subject
	changed  chan struct{}                 // closed when a record changes
	closed   chan struct{}
	tickets  int
	sent     []string        // requests as they arrived: verbs
	deaf     map[string]bool // verbs whose replies are lost
	silent   bool            // nothing is published
	waiting  int             // requests that wait now
	most     int             // that did so at a time
}

func newOffice(t *testing.T) (*Client, *office) {
	t.Helper()
	c, k := newKeeper(t)
	o := &office{
		keeper: k, revision: 1, records: map[string]any{}, counted: map[string]bool{},
		subs: map[string][]chan<- *nats.Msg{}, changed: make(chan struct{}), deaf: map[string]bool{},
		closed: make(chan struct{}),
	}
	t.Cleanup(func() { close(o.closed) })
	c.link, c.air = o, o
	return c, o
}

func (o *office) do(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

// verbs returns how often each verb has arrived.
func (o *office) verbs() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := map[string]int{}
	for _, v := range o.sent {
		n[v]++
	}
	return n
}

func (o *office) IsClosed() bool   { return false }
func (o *office) IsDraining() bool { return false }

func (o *office) ChanSubscribe(subject string, ch chan *nats.Msg) (*nats.Subscription, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.subs[subject] = append(o.subs[subject], ch)
	return &nats.Subscription{}, nil
}

// publish publishes a message to those who subscribed to subject or to all of its kind. The
// caller holds the lock.
func (o *office) publish(subject string, body any, revision uint64) {
	data, err := json.Marshal(body)
	if err != nil {
		o.t.Error(err)
	}
	tokens := strings.Split(subject, ".")
	wild := strings.Join(append(slices.Clone(tokens[:max(len(tokens)-2, 0)]), "*", "*"), ".")
	for _, to := range append(slices.Clone(o.subs[subject]), o.subs[wild]...) {
		select {
		case to <- &nats.Msg{Subject: subject, Data: data, Header: nats.Header{bus.HeaderSequence: {strconv.FormatUint(revision, 10)}}}:
		default: // nobody hears any more
		}
	}
}

// beacon has the keeper's beacon tell of a feed.
func (o *office) beacon(feed string) {
	o.do(func() {
		o.publish(bus.DefaultPrefix+".beacon", bus.Beacon{Revision: Revision(o.revision), Epoch: 1, Feed: feed, Keeper: bus.Keeper{Term: 1}}, 0)
	})
}

func (o *office) RequestMsgWithContext(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	subject := strings.TrimPrefix(m.Subject, bus.DefaultPrefix+".")
	kind, rest, _ := strings.Cut(subject, ".")
	if kind == "lease" || kind == "registry" {
		reply, err := o.keeper.RequestMsgWithContext(ctx, m)
		if rest == "revoke" {
			o.sweep()
		}
		return reply, err
	}
	o.keeper.mu.Lock()
	away, mute := o.away, o.mute
	o.keeper.mu.Unlock()
	if away {
		return nil, nats.ErrNoResponders
	}
	verb, name, _ := strings.Cut(rest, ".")
	replies := make(chan *nats.Msg, 1)
	go func() {
		body, failure := o.serve(bus.Kind(kind), verb, name, m)
		header := nats.Header{bus.HeaderEpoch: {"1"}}
		o.do(func() { header.Set(bus.HeaderRevision, strconv.FormatUint(o.revision, 10)) })
		if failure != nil {
			header.Set(bus.HeaderErrorCode, strconv.Itoa(failure.Code.Number()))
			body = failure
		}
		data, err := json.Marshal(body)
		if err != nil {
			o.t.Error(err)
		}
		var lost bool
		o.do(func() { lost = o.deaf[verb] })
		if !lost && !mute {
			replies <- &nats.Msg{Data: data, Header: header}
		}
	}()
	select {
	case reply := <-replies:
		return reply, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// who is in every request of a party.
type who struct {
	bus.User
	bus.Waiting
}

// alive reports whether a secret's lease lives.
func (o *office) alive(secret string) bool {
	o.keeper.mu.Lock()
	defer o.keeper.mu.Unlock()
	_, live := o.live[secret]
	return live
}

// serve answers a request; what is to wait is tried again at every change.
func (o *office) serve(kind bus.Kind, verb, name string, m *nats.Msg) (any, *bus.Error) {
	var w who
	if len(m.Data) > 0 {
		if err := json.Unmarshal(m.Data, &w); err != nil {
			o.t.Error(err)
		}
	}
	var timeout <-chan time.Time
	if w.WaitMs != nil {
		timeout = time.After(time.Duration(*w.WaitMs) * time.Millisecond)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, verb)
	o.tickets++
	ticket, over := o.tickets, w.WaitMs == nil
	for {
		if w.Lease != "" && !o.alive(w.Lease) {
			return nil, &bus.Error{Code: bus.CodeLeaseExpired}
		}
		body, failure := o.try(kind, verb, name, m, bus.Owner(w.Lease), w.Holder, ticket, over)
		if failure == nil || failure.Code != bus.CodeTimeout || over {
			return body, failure
		}
		changed := o.changed
		o.waiting++
		o.most = max(o.most, o.waiting)
		o.mu.Unlock()
		select {
		case <-changed:
		case <-timeout:
			over = true
		case <-o.closed:
			over = true
		}
		o.mu.Lock()
		o.waiting--
	}
}

// record returns the record of a kind and name.
func record[T any](o *office, kind bus.Kind, name string) *T {
	key := string(kind) + "." + name
	if o.records[key] == nil {
		o.records[key] = new(T)
	}
	return o.records[key].(*T)
}

// commit announces what a record has become, and wakes who waits. The caller holds the lock.
func (o *office) commit(kind bus.Kind, name string) {
	o.revision++
	close(o.changed)
	o.changed = make(chan struct{})
	if !o.silent {
		o.publish(bus.DefaultPrefix+".announce."+string(kind)+"."+name, o.announceable(o.records[string(kind)+"."+name]), o.revision)
	}
}

func (o *office) announceable(r any) any {
	switch r := r.(type) {
	case *officeQueue:
		return r.QueueRecord
	case *officeBarrier:
		return r.BarrierRecord
	}
	return r
}

func (o *office) token() string { return fmt.Sprintf("%08x-%016x", 1, o.revision) }

// officeQueue is the record of a lock, with the ticket of each who waits.
type officeQueue struct {
	bus.QueueRecord
	tickets map[string]int
}

// officeBarrier is that of a barrier.
type officeBarrier struct {
	bus.BarrierRecord
	tickets map[string]int
}

func decoded[T any](o *office, m *nats.Msg) (q T) { return read[T](o.keeper, m) }

// try makes one attempt at a request. The caller holds the lock.
func (o *office) try(kind bus.Kind, verb, name string, m *nats.Msg, owner, holder string, ticket int, over bool) (any, *bus.Error) {
	switch verb {
	case "campaign", "resign", "transfer":
		return o.election(verb, name, m, owner, ticket, over)
	case "acquire", "release":
		return o.queue(kind, verb, name, m, owner, holder, ticket, over)
	case "arrive":
		return o.arrive(name, m, owner, holder, ticket, over)
	case "propose", "vote":
		return o.proposal(verb, name, m, owner)
	case "add":
		n := record[big.Int](o, kind, name)
		id := m.Header.Get(bus.HeaderRequestID)
		repeated := o.counted[id]
		if o.counted[id] = true; !repeated {
			delta, _ := strconv.ParseInt(decoded[bus.AddRequest](o, m).Delta, 10, 64)
			n.Add(n, big.NewInt(delta))
		}
		return bus.AddReply{Value: n.String(), Repeated: repeated}, nil
	case "list":
		var reply bus.ObjectsReply
		for key := range o.records {
			if text, ok := strings.CutPrefix(key, string(kind)+"."); ok {
				object, err := bus.ParseObject(text)
				if err != nil {
					o.t.Error(err)
				}
				reply.Names = append(reply.Names, bus.ObjectName(object))
			}
		}
		return reply, nil
	case "get":
		return o.get(kind, name, m)
	}
	o.t.Errorf("request on %s", m.Subject)
	return nil, &bus.Error{Code: bus.CodeInternal}
}

func (o *office) get(kind bus.Kind, name string, m *nats.Msg) (any, *bus.Error) {
	switch kind {
	case bus.KindElection:
		return *record[bus.ElectionRecord](o, kind, name), nil
	case bus.KindBarrier:
		return record[officeBarrier](o, kind, name).BarrierRecord, nil
	case bus.KindCounter:
		return bus.CounterReply{Value: record[big.Int](o, kind, name).String()}, nil
	case bus.KindProposal:
		r := record[bus.ProposalsRecord](o, kind, name)
		id := decoded[bus.ProposalRequest](o, m).ID
		if r.Latest == nil || id != "" && r.Latest.ID != id {
			return nil, &bus.Error{Code: bus.CodeNotFound}
		}
		return r.Latest, nil
	}
	return record[officeQueue](o, kind, name).QueueRecord, nil
}
