package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// transport carries one request and its reply. *nats.Conn does.
type transport interface {
	RequestMsgWithContext(ctx context.Context, msg *nats.Msg) (*nats.Msg, error)
	Status() nats.Status
	MaxPayload() int64
	ConnectedUrlRedacted() string
}

// request is what is sent, as often as it takes.
type request struct {
	subject string
	body    []byte
	epoch   backend.Epoch // that revisions in the body belong to; 0: not said
	key     backend.Key   // of a request about one key
	quiet   bool          // its reply is nobody's but the client's

	reads bool // it changes nothing; set by whoever reads

	// Of a read: what makes the body of a sending, and whether that has a since.
	encode func() ([]byte, error)
	since  bool

	// Of a read that waits: until when, and for how long the next sending does.
	until  time.Time
	waitMs *int64

	// Of a write:
	id       string
	known    backend.Revision // the newest revision of epoch known when it was first sent
	anyEpoch bool             // nothing in the body depends on the epoch
	ofKey    bool             // it changes one registration
	dated    bool             // a sending for the first time says what is known

	// idempotent is a write that may be done any number of times: the answer to any of its
	// sendings holds.
	idempotent bool

	// ofEpoch is one that is done in the epoch that it was first sent in, or not at all: in
	// another one nobody would know whether it was done before.
	ofEpoch bool

	// gone, if not nil, is what is answered where there is nothing left to do. After a sending
	// whose reply was lost that is what was asked for: there is no reply then.
	gone error

	// Of a batch: how long the first sending waits, and what takes in a reply and reports
	// whether every operation has a definite outcome. If not, the batch is sent again.
	patience time.Duration
	finished func(reply *nats.Msg, repeated bool) bool
}

// fate is what became of one sending.
type fate uint8

const (
	answered fate = iota + 1
	notSent       // and certainly not executed
	refused       // nobody was there to receive it
	ended         // the connection or the client is closed for good: certainly not executed
	lost          // sent, and no reply came
)

// attempt is the outcome of one sending.
type attempt struct {
	reply *nats.Msg
	stamp backend.Stamp
	sent  time.Time // before the registry could have it
	fate  fate
	err   error // also of an answer that is a failure: a *bus.Error
}

// try sends r once and waits for the reply, at most wait.
func (c *Client) try(ctx context.Context, r *request, wait time.Duration, repeated bool) attempt {
	switch status := c.link.Status(); status {
	case nats.CONNECTED:
	case nats.CLOSED, nats.DRAINING_SUBS, nats.DRAINING_PUBS:
		return attempt{fate: ended, err: backend.ErrClosed}
	default:
		return attempt{fate: notSent, err: errors.New("not connected to NATS")}
	}
	if ctx.Err() != nil || wait <= 0 {
		return attempt{fate: notSent, err: errors.New("no time was left to send it")}
	}
	trying, end := c.allow(ctx, r, wait)
	defer end()
	sent := time.Now()
	reply, err := c.link.RequestMsgWithContext(trying, r.message(wait, repeated))
	switch {
	case err == nil:
		a := c.answer(reply, r)
		a.sent = sent
		return a
	case errors.Is(err, nats.ErrNoResponders):
		return attempt{fate: refused, err: fmt.Errorf("no registry answers under prefix %s at %s",
			c.subjects.Prefix(), c.link.ConnectedUrlRedacted())}
	case errors.Is(err, nats.ErrMaxPayload):
		return attempt{fate: answered, err: &backend.TooLargeError{
			Field: "request", Size: int64(len(r.body)), Limit: c.link.MaxPayload(),
		}}
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionDraining),
		errors.Is(err, nats.ErrHeadersNotSupported), errors.Is(err, nats.ErrBadSubject):
		return attempt{fate: notSent, err: err}
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), errDeadline):
		return attempt{fate: lost, err: errors.New("the call ended before a reply came")}
	case errors.Is(context.Cause(trying), errCut):
		return attempt{fate: lost, err: errCut}
	case trying.Err() != nil:
		return attempt{fate: lost, err: fmt.Errorf("no reply within %v", wait.Round(time.Millisecond))}
	}
	return attempt{fate: lost, err: err}
}

// allow returns for how long a sending of r is waited for. Only reads end with their
// connection: they may be sent again at once, and whoever writes must wait all the same.
func (c *Client) allow(ctx context.Context, r *request, wait time.Duration) (context.Context, func()) {
	if r.reads {
		return c.untilCut(ctx, wait)
	}
	return context.WithTimeout(ctx, wait)
}

// message is r as it travels. A registry that gives up when wait has passed leaves room
// for its reply to come back in time.
func (r *request) message(wait time.Duration, repeated bool) *nats.Msg {
	header := make(nats.Header, 4)
	allowed := max(wait-min(wait/10, 200*time.Millisecond), time.Millisecond)
	header[bus.HeaderTimeout] = []string{strconv.FormatInt(allowed.Milliseconds(), 10)}
	if r.epoch != 0 && (!r.anyEpoch || repeated || r.dated) {
		header[bus.HeaderEpoch] = []string{strconv.FormatUint(uint64(r.epoch), 10)}
	}
	if r.id != "" {
		header[bus.HeaderRequestID] = []string{r.id}
		known := []string{strconv.FormatUint(uint64(r.known), 10)}
		switch {
		case repeated:
			header[bus.HeaderRepeat] = known
		case r.dated:
			header[bus.HeaderKnown] = known
		}
	}
	return &nats.Msg{Subject: r.subject, Header: header, Data: r.body}
}

// answer reads the headers of a reply.
func (c *Client) answer(reply *nats.Msg, r *request) attempt {
	a := attempt{reply: reply, stamp: stampOf(reply.Header), fate: answered}
	number := reply.Header.Get(bus.HeaderErrorCode)
	c.seen.saw(a.stamp, r.id != "" && number == "")
	if number != "" {
		a.err = detail(bus.ParseError(number, reply.Header.Get(bus.HeaderError), reply.Data), r.key)
	} else if c.replies != nil && !r.quiet {
		c.replies(r.subject, reply.Data)
	}
	return a
}

// stampOf reads a reply's stamp. What is missing or unreadable is 0, "not said".
func stampOf(header nats.Header) backend.Stamp {
	revision, _ := strconv.ParseUint(header.Get(bus.HeaderRevision), 10, 64)
	epoch, _ := strconv.ParseUint(header.Get(bus.HeaderEpoch), 10, 32)
	age, _ := strconv.ParseInt(header.Get(bus.HeaderAge), 10, 64)
	return backend.Stamp{
		Revision: backend.Revision(revision),
		Epoch:    backend.Epoch(epoch),
		Age:      time.Duration(age) * time.Millisecond,
	}
}

// what says in words what a request asks for: "register default.payments.i-1".
func (c *Client) what(r *request) string {
	rest := strings.TrimPrefix(r.subject, c.subjects.Prefix()+".")
	return strings.Replace(strings.TrimPrefix(rest, "registry."), ".", " ", 1)
}

// detailed gives a failed reply the key that the wire leaves out.
type detailed struct {
	reply *bus.Error
	more  error
}

func (e *detailed) Error() string   { return e.reply.Error() }
func (e *detailed) Unwrap() []error { return []error{e.more, e.reply} }

func detail(reply *bus.Error, key backend.Key) error {
	if key == (backend.Key{}) || reply.Index != nil {
		return reply
	}
	switch {
	case reply.Code == bus.CodeConflict && reply.Revision != nil:
		return &detailed{reply, &backend.ConflictError{Key: key, Revision: *reply.Revision}}
	case reply.Code == bus.CodeNotOwner:
		return &detailed{reply, &backend.NotOwnerError{Key: key, Owner: reply.Owner}}
	}
	return reply
}

func (c *Client) connected() bool { return c.link.Status() == nats.CONNECTED }
