package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus/server"
	"github.com/roostbus/roost/coordination/keeper/clock"
)

// BenchmarkKeepalive compares keepalives with a bare echo on the same NATS server whose
// replies have the same size, as BenchmarkWire does: P7, but for the clock.
func BenchmarkKeepalive(b *testing.B) {
	w := serveLeases(b, nil)
	var many []string
	for i := range 100 {
		many = append(many, secretOf(i))
	}
	w.clockwork.grantTo(many...)
	w.clockwork.hold(func() { w.clockwork.touched = nil })
	quick := &quickClock{clockwork: w.clockwork}
	w.leases.Close()
	if err := w.leases.OpenTo(b.Context(), quick); err != nil {
		b.Fatal(err)
	}
	for name, body := range map[string]string{
		"one":     `{"lease":"` + many[0] + `"}`,
		"hundred": `{"leases":["` + strings.Join(many, `","`) + `"]}`,
	} {
		reply := w.must(b, nil, "lease.keepalive", body)
		echo := inProcess(b, w.ns)
		if _, err := echo.Subscribe("echo."+name, func(m *nats.Msg) {
			echo.PublishMsg(&nats.Msg{Subject: m.Reply, Data: reply.Data})
		}); err != nil {
			b.Fatal(err)
		}
		if err := echo.Flush(); err != nil {
			b.Fatal(err)
		}
		for _, n := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/in-flight-%d", name, n), func(b *testing.B) {
				clients := make([]*nats.Conn, min(n, 4))
				for i := range clients {
					clients[i] = w.ns.Connect(b)
				}
				var rates, cpus []float64
				for b.Loop() {
					rate, cost := keepBeating(b, clients, n, "roost.v1.lease.keepalive", body)
					bare, bareCost := keepBeating(b, clients, n, "echo."+name, body)
					rates, cpus = append(rates, rate/bare), append(cpus, bareCost/cost)
				}
				slices.Sort(rates)
				slices.Sort(cpus)
				b.ReportMetric(rates[len(rates)/2], "rate-ratio")
				b.ReportMetric(cpus[len(cpus)/2], "cpu-ratio")
			})
		}
	}
}

// quickClock is a clock whose leases all live.
type quickClock struct{ *clockwork }

var _ server.LeaseClock = (*quickClock)(nil)

func (q *quickClock) Touch(owner string, _ clock.Connection) (clock.Beat, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.beat(owner)
}

func (q *quickClock) TouchAll(owners [][]byte, _ clock.Connection) (beat clock.Beat, all bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, owner := range owners {
		if beat, all = q.beat(string(owner)); !all {
			break
		}
	}
	return beat, all
}

// keepBeating keeps requests in flight for a while and returns their rate, and the
// processor time that the whole process uses for one, which stands still on a busy machine.
func keepBeating(b *testing.B, clients []*nats.Conn, inFlight int, subject, body string) (rate, cost float64) {
	b.Helper()
	const round = 200 * time.Millisecond
	var g sync.WaitGroup
	counts := make([]int, inFlight)
	begun, spent := time.Now(), cpu(b)
	for i := range inFlight {
		g.Go(func() {
			for time.Since(begun) < round {
				if _, err := clients[i%len(clients)].Request(subject, []byte(body), 5*time.Second); err != nil {
					b.Error(err)
					return
				}
				counts[i]++
			}
		})
	}
	g.Wait()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return float64(sum) / time.Since(begun).Seconds(), (cpu(b) - spent).Seconds() / float64(sum)
}
