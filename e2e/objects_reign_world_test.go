package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// reign is an election whose leader changes when the test says so. It knows every term that
// was ever committed from those who led.
type reign struct {
	*client.Election

	c    *client.Client
	come chan crowned
	now  crowned

	mu    sync.Mutex
	terms []client.Term // all that began
}

// crowned is who was told to lead.
type crowned struct {
	*client.Leadership

	over chan struct{} // closed when it does not any more
}

// reignOf starts an election with so many candidates, and waits until one leads.
func reignOf(t *testing.T, c *client.Client, name string, candidates int) *reign {
	t.Helper()
	r := &reign{Election: c.Election("default", name), c: c, come: make(chan crowned)}
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	var tasks sync.WaitGroup
	t.Cleanup(func() {
		end()
		tasks.Wait()
	})
	for range candidates {
		tasks.Go(func() {
			for ctx.Err() == nil {
				if err := r.stand(ctx); err != nil && ctx.Err() == nil {
					t.Errorf("stand for election: %v", err)
					return
				}
			}
		})
	}
	r.crown(t)
	return r
}

// stand leads again and again under one lease, until that has ended.
func (r *reign) stand(ctx context.Context) error {
	lease, err := r.c.Grant(ctx, client.LeaseOptions{TTL: time.Minute})
	if err != nil {
		return err
	}
	for {
		led, err := r.Campaign(ctx, lease, client.CampaignOptions{})
		if errors.Is(err, backend.ErrLeaseExpired) {
			return nil
		}
		if err != nil {
			return err
		}
		now := crowned{led, make(chan struct{})}
		select {
		case r.come <- now:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-now.over:
		case <-ctx.Done():
			return nil
		}
	}
}

// crown waits for the leader, who must be in the term after the last one.
func (r *reign) crown(t *testing.T) {
	t.Helper()
	select {
	case r.now = <-r.come:
	case <-time.After(2 * patience):
		t.Fatalf("nobody leads after term %d for %v", len(r.terms), 2*patience)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if want := uint64(len(r.terms) + 1); r.now.Term() != want {
		t.Errorf("the next leader is in term %d; want %d", r.now.Term(), want)
	}
	if n := len(r.terms); n > 0 && !r.terms[n-1].Token.Before(r.now.Token()) {
		t.Errorf("the token of term %d is %s, after %s", r.now.Term(), r.now.Token(), r.terms[n-1].Token)
	}
	r.terms = append(r.terms, client.Term{Number: r.now.Term(), Owner: r.now.Owner(), Token: r.now.Token()})
}

// change has so many leaders follow each other, who resign, hand over, or die.
func (r *reign) change(t *testing.T, times int) {
	t.Helper()
	for range times {
		switch len(r.terms) % 10 {
		case 3:
			r.insist(t, func(ctx context.Context) error {
				_, err := r.c.AdminRevoke(ctx, r.now.Owner(), "ended")
				if errors.Is(err, backend.ErrNotFound) {
					err = nil
				}
				return err
			})
		case 7:
			r.handOver(t)
			fallthrough // whoever handed over does not come back before the others
		default:
			r.insist(t, r.now.Resign)
		}
		close(r.now.over)
		r.crown(t)
	}
}

// handOver has the last of the candidates lead, if there is one.
func (r *reign) handOver(t *testing.T) {
	t.Helper()
	record, _, err := r.Get(t.Context(), linearizably)
	if n := len(record.Candidates); err == nil && n > 0 {
		_ = r.now.Transfer(t.Context(), record.Candidates[n-1].Owner) // who could not, resigns
	}
}

// insist does what may be done again until it is done.
func (r *reign) insist(t *testing.T, do func(context.Context) error) {
	t.Helper()
	natstest.Await(t, "end of a term", func() bool { return do(t.Context()) == nil })
}

func (r *reign) began() []client.Term {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.terms[:len(r.terms):len(r.terms)]
}

// observer writes down the terms that somebody saw, and fails when they go back.
type observer struct {
	name string

	mu    sync.Mutex
	terms []client.Term
	last  client.Leader
}

// sees takes in who leads, or did.
func (o *observer) sees(t *testing.T, l client.Leader) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l.Term < o.last.Term || l.Token.Before(o.last.Token) {
		t.Errorf("%s saw term %d (%s) after term %d (%s)", o.name, l.Term, l.Token, o.last.Term, o.last.Token)
	}
	if l.Owner != "" && (l.Term != o.last.Term || len(o.terms) == 0) {
		o.terms = append(o.terms, client.Term{Number: l.Term, Owner: l.Owner, Token: l.Token})
	}
	o.last = l
}

// current waits until o sees the leader there is.
func (o *observer) current(t *testing.T, r *reign) {
	t.Helper()
	natstest.Await(t, "leader for "+o.name, func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.last.Owner == r.now.Owner() && o.last.Term == r.now.Term()
	})
}

// sawOnlyCommitted fails if o saw a term that never was, and returns how many it missed
// since it began.
func (o *observer) sawOnlyCommitted(t *testing.T, r *reign) (missed int) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	began := r.began()
	for i, seen := range o.terms {
		if seen.Number == 0 || seen.Number > uint64(len(began)) || began[seen.Number-1] != seen {
			t.Errorf("%s saw %+v, which was never committed", o.name, seen)
		}
		if i > 0 {
			missed += int(seen.Number-o.terms[i-1].Number) - 1
		}
	}
	t.Logf("%s saw %d terms of %d", o.name, len(o.terms), len(began))
	return missed
}

// observes has the Go client observe.
func observes(t *testing.T, name string, e *client.Election) *observer {
	t.Helper()
	o := &observer{name: name}
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for l, err := range e.Observe(ctx) {
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("%s: %v", name, err)
				}
				return
			}
			o.sees(t, l)
		}
	})
	t.Cleanup(func() {
		end()
		tasks.Wait()
	})
	return o
}

// plainObserver observes with nats.go alone: every announcement is the record, and after
// whatever may have lost one the record is read.
type plainObserver struct {
	*observer

	nc    *nats.Conn
	key   string // "default.db"
	at    uint64 // revision of the newest record
	feed  string // of the last beacon
	doubt bool
}

// observesPlainly has a plain client of NATS observe, until the test ends.
func observesPlainly(t *testing.T, name string, nc *nats.Conn, key string) *observer {
	t.Helper()
	p := &plainObserver{observer: &observer{name: name}, nc: nc, key: key, doubt: true}
	told, beacons := make(chan *nats.Msg, 1024), make(chan *nats.Msg, 16)
	for subject, to := range map[string]chan *nats.Msg{".announce.election." + key: told, ".beacon": beacons} {
		if _, err := nc.ChanSubscribe(keeperPrefix+subject, to); err != nil {
			t.Fatal(err)
		}
	}
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	status := nc.StatusChanged(nats.CONNECTED)
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for ctx.Err() == nil {
			if p.doubt && p.read(ctx, t) {
				p.doubt = false
			}
			var again <-chan time.Time
			if p.doubt {
				again = time.After(20 * time.Millisecond)
			}
			select {
			case m := <-told:
				revision, _ := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
				p.take(t, revision, m.Data)
			case m := <-beacons:
				var b struct{ Feed string }
				p.doubt = p.doubt || json.Unmarshal(m.Data, &b) != nil || b.Feed != p.feed
				p.feed = b.Feed
			case <-status:
				p.doubt = true
			case <-again:
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() {
		end()
		tasks.Wait()
	})
	return p.observer
}

func (p *plainObserver) read(ctx context.Context, t *testing.T) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	m, err := p.nc.RequestWithContext(ctx, keeperPrefix+".election.get."+p.key, nil)
	if err != nil || m.Header.Get("Nats-Service-Error-Code") != "" {
		return false
	}
	revision, _ := strconv.ParseUint(m.Header.Get("Roost-Revision"), 10, 64)
	p.take(t, revision, m.Data)
	return true
}

// take takes in a record unless a newer one is known.
func (p *plainObserver) take(t *testing.T, revision uint64, body []byte) {
	var r bus.ElectionRecord
	if err := json.Unmarshal(body, &r); err != nil {
		t.Errorf("%s: %s: %v", p.name, body, err)
		return
	}
	if revision < p.at {
		return
	}
	begun := p.at > 0
	p.at = revision
	for _, was := range r.Recent {
		if begun && was.Term > p.last.Term && was.Term < r.Term {
			p.sees(t, client.Leader{Owner: was.Owner, Term: was.Term, Token: client.Token(was.Token)})
		}
	}
	now := client.Leader{Term: r.Term, Token: client.Token(r.Token)}
	if r.Leader != nil {
		now.Owner = r.Leader.Owner
	} else if n := len(r.Recent); begun && n > 0 && r.Recent[n-1].Term > p.last.Term {
		last := r.Recent[n-1]
		p.sees(t, client.Leader{Owner: last.Owner, Term: last.Term, Token: client.Token(last.Token)})
	}
	p.sees(t, now)
}

// awayLink is a bad link over which nobody comes while it is away.
type awayLink struct {
	badLink

	away atomic.Bool
}

var errAway = errors.New("away")

// InProcessConn implements nats.InProcessConnProvider.
func (l *awayLink) InProcessConn() (net.Conn, error) {
	if l.away.Load() {
		return nil, errAway
	}
	return l.badLink.InProcessConn()
}

// leave closes every connection, and comeBack lets them come back.
func (l *awayLink) leave() {
	l.away.Store(true)
	l.cut()
}

func (l *awayLink) comeBack() { l.away.Store(false) }

// options are those of a connection over l.
func (l *awayLink) options() []nats.Option {
	return []nats.Option{
		nats.InProcessServer(l), nats.ReconnectWait(5 * time.Millisecond), nats.ReconnectJitter(0, 0), nats.MaxReconnects(-1),
	}
}
