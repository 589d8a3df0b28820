package natskv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/kvstore"
)

// The headers of what a server sends in answer to a direct get of many messages.
const (
	headerStatus      = "Status"
	headerDescription = "Description"
	headerSubject     = "Nats-Subject"
	headerSequence    = "Nats-Sequence"
	headerTime        = "Nats-Time-Stamp"
	headerPending     = "Nats-Num-Pending"
	headerLast        = "Nats-Last-Sequence"
	headerUpTo        = "Nats-UpTo-Sequence"
)

var (
	// errNothing means that nothing matches.
	errNothing = errors.New("nothing matches")
	// errTorn means that a part of an answer is missing.
	errTorn = errors.New("a part of the answer was lost")
)

// asker asks for the last messages of many subjects and gathers the parts of the answers,
// any number of them at a time.
type asker struct {
	nc      *nats.Conn
	subject string
	prefix  string
	sub     *nats.Subscription

	mu      sync.Mutex
	next    uint64
	pending map[uint64]*answer
}

// answer is what has come in of an answer. The server numbers the parts: each names the
// sequence of the one before, the last one too.
type answer struct {
	messages []*nats.Msg
	last     uint64
	upTo     uint64
	err      error
	done     chan struct{} // closed with the last part
}

func newAsker(nc *nats.Conn, subject string) (*asker, error) {
	a := &asker{nc: nc, subject: subject, prefix: nc.NewInbox() + ".", pending: map[uint64]*answer{}}
	var err error
	if a.sub, err = nc.Subscribe(a.prefix+"*", a.receive); err != nil {
		return nil, err
	}
	// What is in flight is bounded by the callers.
	return a, a.sub.SetPendingLimits(-1, -1)
}

func (a *asker) close() {
	_ = a.sub.Unsubscribe() // fails only if the connection is closed already
}

// question is what a direct get of many messages asks for.
type question struct {
	Last     []string `json:"multi_last,omitempty"` // the newest ones of these subjects
	Next     string   `json:"next_by_subj,omitempty"`
	Sequence uint64   `json:"seq,omitempty"`   // those of Next from here on
	Batch    int      `json:"batch,omitempty"` // so many at the most
	MaxBytes int      `json:"max_bytes"`
}

// ask sends one request and waits for all of its answer, for no longer than apiTimeout.
func (a *asker) ask(ctx context.Context, q question) (*answer, error) {
	q.MaxBytes = maxScan
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if !a.nc.IsConnected() {
		return nil, nats.ErrDisconnected // it would be sent late, from the connection's buffer
	}
	gathered := &answer{done: make(chan struct{})}
	a.mu.Lock()
	a.next++
	id := a.next
	a.pending[id] = gathered
	a.mu.Unlock()
	defer a.forget(id)
	if err := a.nc.PublishRequest(a.subject, a.prefix+strconv.FormatUint(id, 36), body); err != nil {
		return nil, err
	}
	timer := time.NewTimer(apiTimeout)
	defer timer.Stop()
	select {
	case <-gathered.done:
		return gathered, gathered.err
	case <-timer.C:
		return nil, fmt.Errorf("direct get: %w", nats.ErrTimeout)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (a *asker) forget(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pending, id)
}

func (a *asker) receive(m *nats.Msg) {
	id, err := strconv.ParseUint(m.Subject[len(a.prefix):], 36, 64)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if gathered := a.pending[id]; gathered != nil && gathered.take(m) {
		delete(a.pending, id)
		close(gathered.done)
	}
}

// take takes in one part and reports whether it is the last.
func (a *answer) take(m *nats.Msg) (last bool) {
	switch status := first(m.Header, headerStatus); status {
	case "":
		if !a.follows(m) {
			a.err = errTorn
			return true
		}
		a.last = number(m, headerSequence)
		a.messages = append(a.messages, m)
		return false
	case "204":
		a.upTo = a.last
		if upTo := number(m, headerUpTo); upTo != 0 {
			a.upTo = upTo
		}
		switch {
		case !a.follows(m) || a.upTo < a.last:
			a.err = errTorn
		case number(m, headerPending) != 0:
			a.err = errMany // it reached a bound
		}
	case "404":
		a.err = errNothing
		if len(a.messages) > 0 || first(m.Header, headerDescription) != "No Results" {
			a.err = errTorn
		}
	case "413":
		a.err = errMany
	case "503":
		a.err = nats.ErrNoResponders
	default:
		a.err = fmt.Errorf("direct get: %s %s", status, first(m.Header, headerDescription))
	}
	return true
}

// follows reports whether m is the part behind those that are there.
func (a *answer) follows(m *nats.Msg) bool {
	_, ok := parseNumber(first(m.Header, headerLast))
	return ok && number(m, headerLast) == a.last
}

func number(m *nats.Msg, name string) uint64 {
	n, ok := parseNumber(first(m.Header, name))
	if !ok {
		return 0
	}
	return n
}

// direct returns the entry that a part of an answer is.
func (s *Store) direct(m *nats.Msg) (kvstore.Entry, error) {
	prefix, subject := s.config.subjectPrefix(), first(m.Header, headerSubject)
	at, err := time.Parse(time.RFC3339Nano, first(m.Header, headerTime))
	if err != nil || len(subject) <= len(prefix) || number(m, headerSequence) == 0 {
		return kvstore.Entry{}, fmt.Errorf("direct get: an answer without place or time: %w", errTorn)
	}
	return decode(subject[len(prefix):], m.Header, m.Data, number(m, headerSequence), at).Entry, nil
}
