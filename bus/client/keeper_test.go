package client

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// keeper is a link to a registry that knows of leases and of registrations what these tests
// need. Its fields may be set before it is used and through set.
type keeper struct {
	t *testing.T

	mu        sync.Mutex
	status    nats.Status
	conn      bus.Connection
	listeners map[chan nats.Status]bool
	grace     time.Duration
	term      uint64
	epoch     uint64
	revision  uint64
	live      map[string]time.Duration // TTL by secret
	granted   []string                 // secrets, in order
	beats     []beat
	stored    map[string]bus.RegisterRequest // by key token
	holders   map[string]string              // owner by key token
	writes    []string                       // subjects

	mute    bool                            // receives and does, and no reply arrives
	away    bool                            // nobody is there
	refuse  map[string]bus.Code             // by key token
	delay   time.Duration                   // of every reply
	instead func(subject string) *bus.Error // the answer, if not nil
}

// beat is a keepalive as it arrived.
type beat struct {
	at      time.Time
	secrets []string
	told    *bus.Connection
}

func newKeeper(t *testing.T) (*Client, *keeper) {
	t.Helper()
	k := &keeper{
		t: t, status: nats.CONNECTED, conn: bus.Connection{ServerID: "S", ClientID: 1},
		listeners: map[chan nats.Status]bool{}, grace: 2 * time.Second, term: 1, epoch: 1, revision: 1,
		live: map[string]time.Duration{}, stored: map[string]bus.RegisterRequest{}, holders: map[string]string{},
		refuse: map[string]bus.Code{},
	}
	o, err := newOptions(nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := open(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	c.link, c.line = k, k
	t.Cleanup(func() { _ = c.Close() })
	return c, k
}

func (k *keeper) set(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

func (k *keeper) MaxPayload() int64 { return 1 << 20 }

//nolint:revive // nats.go spells it so
func (k *keeper) ConnectedUrlRedacted() string { return "nats://test" }

func (k *keeper) Status() nats.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

//nolint:revive // nats.go spells it so
func (k *keeper) ConnectedServerId() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.status != nats.CONNECTED {
		return ""
	}
	return k.conn.ServerID
}

func (k *keeper) GetClientID() (uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.conn.ClientID, nil
}

func (k *keeper) StatusChanged(...nats.Status) chan nats.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	ch := make(chan nats.Status, 10)
	k.listeners[ch] = true
	return ch
}

func (k *keeper) RemoveStatusListener(ch chan nats.Status) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.listeners, ch)
	close(ch)
}

func (k *keeper) become(status nats.Status) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for ch := range k.listeners {
		ch <- status
	}
	k.status = status
	if status == nats.CONNECTED {
		k.conn.ClientID++
	}
}

func (k *keeper) RequestMsgWithContext(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	k.mu.Lock()
	if k.away {
		k.mu.Unlock()
		return nil, nats.ErrNoResponders
	}
	body, failure := k.answer(m)
	mute, delay := k.mute, k.delay
	header := nats.Header{
		bus.HeaderRevision: {strconv.FormatUint(k.revision, 10)},
		bus.HeaderEpoch:    {strconv.FormatUint(k.epoch, 10)},
	}
	k.mu.Unlock()
	if mute {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if delay > 0 && !sleep(ctx, delay) {
		return nil, ctx.Err()
	}
	if failure != nil {
		header.Set(bus.HeaderErrorCode, strconv.Itoa(failure.Code.Number()))
		body = failure
	}
	data, err := json.Marshal(body)
	return &nats.Msg{Data: data, Header: header}, err
}

func (k *keeper) answer(m *nats.Msg) (any, *bus.Error) {
	subject := strings.TrimPrefix(m.Subject, bus.DefaultPrefix+".")
	if k.instead != nil {
		if failure := k.instead(subject); failure != nil {
			return nil, failure
		}
	}
	switch subject {
	case "lease.grant":
		q := read[bus.GrantRequest](k, m)
		if _, live := k.live[q.Lease]; !live {
			if slices.Contains(k.granted, q.Lease) {
				return nil, &bus.Error{Code: bus.CodeLeaseExpired}
			}
			k.granted = append(k.granted, q.Lease)
			k.live[q.Lease] = 15 * time.Second
			if q.TTLMs != nil {
				k.live[q.Lease] = time.Duration(*q.TTLMs) * time.Millisecond
			}
			if q.GraceMs != nil {
				k.grace = time.Duration(*q.GraceMs) * time.Millisecond
			}
		}
		return bus.GrantReply{
			Owner: bus.Owner(q.Lease), TTLMs: k.live[q.Lease].Milliseconds(), GraceMs: k.grace.Milliseconds(), Term: k.term,
		}, nil
	case "lease.keepalive":
		return k.keepalive(m)
	case "lease.revoke":
		q := read[bus.RevokeRequest](k, m)
		if _, live := k.live[q.Lease]; !live {
			return nil, &bus.Error{Code: bus.CodeLeaseExpired}
		}
		k.expire(q.Lease)
		return bus.RevokeReply{}, nil
	}
	return k.registry(subject, m)
}

func (k *keeper) keepalive(m *nats.Msg) (any, *bus.Error) {
	q := read[bus.KeepaliveRequest](k, m)
	secrets := q.Leases
	if q.Lease != "" {
		secrets = []string{q.Lease}
	}
	k.beats = append(k.beats, beat{at: time.Now(), secrets: secrets, told: q.Connection})
	expired := []string{}
	for _, s := range secrets {
		if _, live := k.live[s]; !live {
			expired = append(expired, bus.Owner(s))
		}
	}
	switch {
	case q.Lease != "" && len(expired) > 0:
		return nil, &bus.Error{Code: bus.CodeLeaseExpired}
	case q.Lease != "":
		return bus.KeepaliveReply{TTLMs: k.live[q.Lease].Milliseconds(), Term: k.term}, nil
	}
	return bus.KeepalivesReply{Expired: expired, Term: k.term}, nil
}

// registry answers requests about registrations: registers alone and in batches, updates
// and unregisters.
func (k *keeper) registry(subject string, m *nats.Msg) (any, *bus.Error) {
	k.writes = append(k.writes, subject)
	verb, key, _ := strings.Cut(strings.TrimPrefix(subject, "registry."), ".")
	switch verb {
	case "register":
		q := read[bus.RegisterRequest](k, m)
		return k.register(key, q)
	case "update":
		q := read[bus.UpdateRequest](k, m)
		r, there := k.stored[key]
		if !there {
			return nil, &bus.Error{Code: bus.CodeNotFound}
		}
		if q.Metadata != nil {
			r.Metadata = q.Metadata
		}
		r.Guard = q.Guard
		return k.register(key, r)
	case "unregister":
		_, there := k.stored[key]
		delete(k.stored, key)
		delete(k.holders, key)
		return bus.UnregisterReply{Removed: there}, nil
	case "batch":
		q := read[bus.BatchRequest](k, m)
		var reply bus.BatchReply
		for _, op := range q.Operations {
			token := Key{Namespace: key, Service: *op.Service, Instance: *op.Instance}.String()
			_, failure := k.register(token, bus.RegisterRequest{Content: op.Content, Guard: op.Guard})
			result := bus.BatchResult{Error: failure}
			if failure == nil {
				result.Revision = Revision(k.revision)
			}
			reply.Results = append(reply.Results, result)
		}
		return reply, nil
	}
	k.t.Errorf("request on %s", m.Subject)
	return nil, &bus.Error{Code: bus.CodeInternal}
}

func (k *keeper) register(token string, q bus.RegisterRequest) (any, *bus.Error) {
	if code := k.refuse[token]; code != "" {
		return nil, &bus.Error{Code: code, Message: "refused"}
	}
	owner := ""
	if q.Lease != "" {
		if _, live := k.live[q.Lease]; !live {
			return nil, &bus.Error{Code: bus.CodeLeaseExpired}
		}
		owner = bus.Owner(q.Lease)
	}
	key, err := backend.ParseKey(token)
	if err != nil {
		k.t.Error(err)
	}
	if holder, taken := k.holders[token]; taken && holder != owner {
		return nil, &bus.Error{Code: bus.CodeExists, Holder: &Registration{Key: key, Owner: holder}}
	}
	k.revision++
	k.stored[token], k.holders[token] = q, owner
	r, err := q.Registration(key)
	if err != nil {
		k.t.Error(err)
	}
	r.Owner, r.Revision = owner, Revision(k.revision)
	return &r, nil
}

// expire ends the lease with secret, and all that belongs to it.
func (k *keeper) expire(secret string) {
	delete(k.live, secret)
	for token, holder := range k.holders {
		if holder == bus.Owner(secret) {
			delete(k.holders, token)
			delete(k.stored, token)
		}
	}
}

// heard returns the keepalives so far, and forgets them.
func (k *keeper) heard() []beat {
	k.mu.Lock()
	defer k.mu.Unlock()
	beats := k.beats
	k.beats = nil
	return beats
}

func read[T any](k *keeper, m *nats.Msg) (q T) {
	if len(m.Data) > 0 {
		if err := json.Unmarshal(m.Data, &q); err != nil {
			k.t.Errorf("request on %s: %v", m.Subject, err)
		}
	}
	return q
}

// grant is granted a lease of ttl, of which nothing is said.
func grant(t *testing.T, c *Client, ttl time.Duration) *Lease {
	t.Helper()
	l, err := c.Grant(t.Context(), LeaseOptions{TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	return l
}
