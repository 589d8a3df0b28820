//go:build scale

package scale

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// generator asks for registers of new names over many connections. It is cheap, so that
// one core is enough to ask for several times what another one can do: a request is one
// publish of a body made beforehand, an answer one look at where it came from.
type generator struct {
	connections []*source
	names       atomic.Int64
	accepted    atomic.Int64 // of all rounds
	doubtful    atomic.Int64 // likewise; what became of them is not known
}

// source is one connection and what came back over it.
type source struct {
	nc    *nats.Conn
	inbox string
	next  atomic.Pointer[func(number int, code string)] // what to do with an answer
}

func newGenerator(t *testing.T, n *node, connections int) *generator {
	t.Helper()
	g := &generator{}
	for range connections {
		nc, err := nats.Connect(n.url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		s := &source{nc: nc, inbox: nats.NewInbox() + "."}
		_, err = nc.Subscribe(s.inbox+"*", func(m *nats.Msg) {
			number, err := strconv.Atoi(m.Subject[len(s.inbox):])
			if next := s.next.Load(); err == nil && next != nil {
				(*next)(number, m.Header.Get(bus.HeaderErrorCode))
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		g.connections = append(g.connections, s)
	}
	return g
}

// body is what is registered, about 300 bytes with its name.
var body = []byte(`{"endpoints":{"http":"http://10.20.30.40:8080"},"metadata":{"version":"2.1.0","region":"eu-west","zone":"b"}}`)

func (g *generator) send(t *testing.T, s *source, number int) {
	subject := bus.DefaultPrefix + ".registry.register.load.s" + strconv.FormatInt(g.names.Add(1), 36) + ".i"
	if err := s.nc.PublishRequest(subject, s.inbox+strconv.Itoa(number), body); err != nil {
		t.Error("publish:", err)
	}
}

// sustain returns how many a second are done where so many are always under way.
func (g *generator) sustain(t *testing.T, inFlight int, d time.Duration) float64 {
	t.Helper()
	var done atomic.Int64
	var out sync.WaitGroup
	end := time.Now().Add(d)
	for _, s := range g.connections {
		again := func(_ int, code string) {
			if code == "" {
				done.Add(1)
			} else {
				g.doubtful.Add(1)
			}
			if time.Now().Before(end) {
				g.send(t, s, 0)
				return
			}
			out.Done()
		}
		s.next.Store(&again)
	}
	for i := range inFlight {
		out.Add(1)
		g.send(t, g.connections[i%len(g.connections)], 0)
	}
	out.Wait()
	g.accepted.Add(done.Load())
	return float64(done.Load()) / d.Seconds()
}

// outcome is what came of an open load.
type outcome struct {
	offered, accepted, refused, other float64 // a second
	took                              []time.Duration
	over                              time.Duration // from the last request to the last answer
}

// What became of what was not done.
const (
	turnedAway = -1
	failed     = -2
)

// offer asks rate times a second for so long, whatever comes back, and waits for every
// answer.
func (g *generator) offer(t *testing.T, rate float64, d time.Duration) outcome {
	t.Helper()
	type asked struct {
		at   []atomic.Int64 // since begun
		took []atomic.Int64 // 0: no answer yet; negative: none of a success
	}
	full := strconv.Itoa(bus.CodeLimitExceeded.Number())
	each := rate / float64(len(g.connections))
	most := int(each*d.Seconds()) + 1
	all := make([]asked, len(g.connections))
	var missing atomic.Int64
	begun := time.Now()
	var senders sync.WaitGroup
	for i, s := range g.connections {
		a := &all[i]
		a.at, a.took = make([]atomic.Int64, most), make([]atomic.Int64, most)
		answered := func(number int, code string) {
			switch code {
			case "":
				a.took[number].Store(int64(time.Since(begun)) - a.at[number].Load())
			case full:
				a.took[number].Store(turnedAway)
			default:
				a.took[number].Store(failed)
			}
			missing.Add(-1)
		}
		s.next.Store(&answered)
		senders.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for n := 0; ; <-tick.C {
				now := time.Since(begun)
				for ; n < most && float64(n) < each*now.Seconds(); n++ {
					missing.Add(1)
					a.at[n].Store(int64(time.Since(begun)))
					g.send(t, s, n)
				}
				if now >= d {
					return
				}
			}
		})
	}
	senders.Wait()
	sent := time.Since(begun)
	for end := time.Now().Add(30 * time.Second); missing.Load() > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	o := outcome{over: time.Since(begun) - sent}
	if n := missing.Load(); n > 0 {
		t.Errorf("%d requests were not answered", n)
	}
	for i := range all {
		for n := range all[i].at {
			switch took := all[i].took[n].Load(); {
			case all[i].at[n].Load() == 0:
				continue
			case took > 0:
				o.took = append(o.took, time.Duration(took))
			case took == turnedAway:
				o.refused++
			default:
				o.other++
			}
			o.offered++
		}
	}
	g.accepted.Add(int64(len(o.took)))
	g.doubtful.Add(int64(o.other))
	o.other /= sent.Seconds()
	o.offered /= sent.Seconds()
	o.refused /= sent.Seconds()
	o.accepted = float64(len(o.took)) / sent.Seconds()
	slices.Sort(o.took)
	return o
}

// modest is a client that asks a little, one request after the other, while others ask too
// much.
type modest struct {
	what                string
	ask                 func(i int) error
	took                []time.Duration
	refused, unanswered int
}

// sorted returns how long what was not refused took, the shortest first.
func (m *modest) sorted() []time.Duration {
	slices.Sort(m.took)
	return m.took
}

// during has each of them ask every so often until f returns.
func during(t *testing.T, all []*modest, every time.Duration, f func()) {
	t.Helper()
	done := make(chan struct{})
	var askers sync.WaitGroup
	for _, m := range all {
		m.took, m.refused, m.unanswered = nil, 0, 0
		askers.Go(func() {
			for i := 0; ; i++ {
				from := time.Now()
				switch err := m.ask(i); {
				case err == nil:
					m.took = append(m.took, time.Since(from))
				case errors.Is(err, backend.ErrLimitExceeded):
					m.refused++
				case errors.Is(err, nats.ErrTimeout): // as a keepalive where the keeper is in doubt
					m.unanswered++
				default:
					t.Errorf("%s under overload: %v", m.what, err)
				}
				select {
				case <-time.After(every):
				case <-done:
					return
				}
			}
		})
	}
	f()
	close(done)
	askers.Wait()
}

// p returns a quantile of what is sorted.
func p(q float64, sorted []time.Duration) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))].Round(10 * time.Microsecond)
}
