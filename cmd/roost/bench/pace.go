package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// pace sends requests at a fixed rate over many connections in turn, however long their
// replies take, as many programs would that know nothing of each other.
type pace struct {
	links   []paceLink
	subject string
	every   time.Duration // between two requests
	next    func() []byte // body
	units   int           // that a request comes to
	want    []byte        // reply
	timeout time.Duration

	begun time.Time     // instants in inboxes count from it
	due   time.Time     // when the next is to be sent; zero between rounds
	sent  int           // since the beginning
	came  chan struct{} // of size one: a reply has come

	mu      sync.Mutex
	replies int             // since the beginning
	took    []time.Duration // of right ones, since the last look
	wrong   error           // the first, since the last look
}

type paceLink struct {
	nc    *nats.Conn
	inbox string
}

// newPace prepares a pace. Its connections are those of links.
func newPace(links []*nats.Conn, p *pace) (*pace, error) {
	p.begun, p.came = time.Now(), make(chan struct{}, 1)
	p.links = make([]paceLink, len(links))
	err := each(len(links), func(i int) error {
		l := paceLink{nc: links[i], inbox: nats.NewInbox() + "."}
		p.links[i] = l
		if _, err := l.nc.Subscribe(l.inbox+"*", p.hear); err != nil {
			return err
		}
		return l.nc.Flush()
	})
	return p, err
}

func (p *pace) hear(m *nats.Msg) {
	at := time.Since(p.begun)
	sent, err := strconv.ParseInt(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], 10, 64)
	got, failed := answerOf(m)
	err = errors.Join(err, failed, wrongUnless(bytes.Equal(got, p.want)))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replies++
	if err == nil {
		p.took = append(p.took, at-time.Duration(sent))
	} else if p.wrong == nil {
		p.wrong = err
	}
	select {
	case p.came <- struct{}{}:
	default:
	}
}

const (
	paceRest  = 5 * time.Millisecond // the longest between two looks at what has come
	paceBurst = 100                  // requests that are sent without such a look
)

// step sends what is due, rests until more is, and returns what has come.
func (p *pace) step(ctx context.Context) (units int, took []time.Duration, err error) {
	if p.due.IsZero() {
		p.due = time.Now()
	}
	for n := 0; n < paceBurst && !time.Now().Before(p.due); n++ {
		l := &p.links[p.sent%len(p.links)]
		reply := l.inbox + strconv.FormatInt(int64(time.Since(p.begun)), 10)
		if err := l.nc.PublishRequest(p.subject, reply, p.next()); err != nil {
			return 0, nil, err
		}
		p.sent++
		p.due = p.due.Add(p.every)
	}
	select {
	case <-time.After(min(time.Until(p.due), paceRest)):
	case <-ctx.Done():
	}
	return p.arrived()
}

// arrived returns what has come since it was last asked.
func (p *pace) arrived() (units int, took []time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	took, err = p.took, p.wrong
	p.took, p.wrong = nil, nil
	return len(took) * p.units, took, err
}

// finish waits for the replies to all that was sent.
func (p *pace) finish(ctx context.Context, _ int) (units int, err error) {
	p.due = time.Time{}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	for {
		p.mu.Lock()
		missing := p.sent - p.replies
		p.mu.Unlock()
		if missing == 0 {
			units, _, err = p.arrived()
			return units, err
		}
		select {
		case <-p.came:
		case <-ctx.Done():
			units, _, err = p.arrived()
			return units, errors.Join(err, fmt.Errorf("%d of %d replies are missing: %w", missing, p.sent, context.Cause(ctx)))
		}
	}
}

// side is what p does, by one worker.
func (p *pace) side() Side {
	return Side{
		Timed:  func(ctx context.Context, _ int) (int, []time.Duration, error) { return p.step(ctx) },
		Finish: p.finish,
	}
}
