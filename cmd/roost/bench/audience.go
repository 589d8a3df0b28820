package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// maxSubscribers keeps an audience within what one process can be.
const maxSubscribers = 10_000

// audience is subscribers that hear of one change after the other.
type audience struct {
	size    int
	made    time.Time
	now     atomic.Pointer[hearing] // nil between changes
	strange atomic.Int64            // messages that nobody waited for
}

// hearing is one change on its way to an audience.
type hearing struct {
	subject  string
	arrivals []arrival // by subscriber
	left     atomic.Int64
	all      chan struct{} // closed when none is left
}

// arrival is what a subscriber has heard, and when, since the audience was made.
type arrival struct {
	at       time.Duration // 0: not yet
	sequence uint64
	right    bool
}

// audience subscribes n times to a subject, over connections of its own.
func (w *World) audience(subject string, n int) (*audience, error) {
	a := &audience{size: n, made: time.Now()}
	for c := range min(n, audienceConnections) {
		nc, err := w.connect()
		if err != nil {
			return nil, err
		}
		w.afterwards(func() error { nc.Close(); return nil })
		for i := c; i < n; i += audienceConnections {
			if _, err := nc.Subscribe(subject, func(m *nats.Msg) { a.hear(i, m) }); err != nil {
				return nil, err
			}
		}
		if err := nc.Flush(); err != nil {
			return nil, err
		}
	}
	w.check(func(context.Context) error {
		if n := a.strange.Load(); n > 0 {
			return fmt.Errorf("%d messages on %s that nobody waited for", n, subject)
		}
		return nil
	})
	return a, nil
}

// audienceConnections is how many connections an audience has at most.
const audienceConnections = 10

func (a *audience) hear(subscriber int, m *nats.Msg) {
	at := time.Since(a.made)
	h := a.now.Load()
	if h == nil || m.Subject != h.subject || h.arrivals[subscriber].at != 0 {
		a.strange.Add(1)
		return
	}
	sequence, err := strconv.ParseUint(m.Header.Get(bus.HeaderSequence), 10, 64)
	h.arrivals[subscriber] = arrival{at: at, sequence: sequence, right: err == nil && bytes.Contains(m.Data, []byte(content))}
	if h.left.Add(-1) == 0 {
		close(h.all)
	}
}

// tell has change bring about a message on subject, and returns how long after its call
// the message has come to each subscriber. change returns the revision that it made.
func (a *audience) tell(ctx context.Context, subject string, change func() (backend.Revision, error)) ([]time.Duration, error) {
	h := &hearing{subject: subject, arrivals: make([]arrival, a.size), all: make(chan struct{})}
	h.left.Store(int64(a.size))
	a.now.Store(h)
	begun := time.Since(a.made)
	revision, err := change()
	if err != nil {
		return nil, err
	}
	select {
	case <-h.all:
		a.now.Store(nil)
	case <-ctx.Done():
		return nil, fmt.Errorf("%s has not come to %d of %d subscribers: %w", subject, h.left.Load(), a.size, context.Cause(ctx))
	}
	took := make([]time.Duration, a.size)
	for i, heard := range h.arrivals {
		if !heard.right || backend.Revision(heard.sequence) != revision {
			return nil, fmt.Errorf("%s, revision %d, came as revision %d: %w", subject, revision, heard.sequence, errWrongAnswer)
		}
		took[i] = heard.at - begun
	}
	return took, nil
}

// errNoRevision is about a reply to a write that does not tell what it made.
var errNoRevision = errors.New("the reply has no revision")

// revisionIn returns the revision of a registration.
func revisionIn(answer []byte) (backend.Revision, error) {
	_, rest, ok := bytes.Cut(answer, revisionField)
	if !ok {
		return 0, errNoRevision
	}
	digits, _, _ := bytes.Cut(rest, []byte(","))
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errNoRevision, err)
	}
	return backend.Revision(n), nil
}
