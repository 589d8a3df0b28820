package e2e_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// BenchmarkWire compares requests of the registry with those of a bare, queue-subscribed
// echo on the same NATS server whose replies have the same size. The two are driven in
// turn, in short rounds, because only ratios of one run mean anything on a shared machine.
// It reports the median ratio of their rates, and of their median latencies.
func BenchmarkWire(b *testing.B) {
	const instances = 100
	w := serveWire(b, fromMemory{wireBackend(b, backend.Nobody)}, 0, nil)
	for i := range instances {
		w.must(b, nil, fmt.Sprintf("registry.register.default.payments.i-%d", i),
			`{"endpoints":{"http":"http://10.0.0.7:8080"},"metadata":{"version":"2.1.0","region":"eu-west"}}`)
	}
	for _, c := range []struct {
		name, subject string
		inFlight      []int
	}{
		{"lookup", "registry.lookup.default.payments.i-7", []int{1, 16, 64, 256}},
		{"list", "registry.list.default.payments", []int{1, 16, 64}},
	} {
		reply := w.must(b, nil, c.subject, "")
		echo := inProcess(b, w.ns)
		body := reply.Data
		subject := "echo." + c.name
		if _, err := echo.QueueSubscribe(subject, "q", func(m *nats.Msg) { echo.Publish(m.Reply, body) }); err != nil {
			b.Fatal(err)
		}
		if err := echo.Flush(); err != nil {
			b.Fatal(err)
		}
		for _, n := range c.inFlight {
			b.Run(fmt.Sprintf("%s/in-flight-%d", c.name, n), func(b *testing.B) {
				compare(b, w, n, bus.DefaultPrefix+"."+c.subject, subject)
			})
		}
	}
}

// compare drives ours and bare in rounds in turn.
func compare(b *testing.B, w *wireWorld, inFlight int, ours, bare string) {
	const round = 200 * time.Millisecond
	clients := make([]*nats.Conn, min(inFlight, 4))
	for i := range clients {
		clients[i] = w.ns.Connect(b)
	}
	drive(b, clients, inFlight, ours, round)
	drive(b, clients, inFlight, bare, round)
	var rates, latencies []float64
	var ourRate, bareRate float64
	for b.Loop() {
		r1, l1 := drive(b, clients, inFlight, ours, round)
		r2, l2 := drive(b, clients, inFlight, bare, round)
		rates, latencies = append(rates, r1/r2), append(latencies, float64(l1)/float64(l2))
		ourRate, bareRate = ourRate+r1, bareRate+r2
	}
	slices.Sort(rates)
	slices.Sort(latencies)
	b.ReportMetric(rates[len(rates)/2], "rate-ratio")
	b.ReportMetric(latencies[len(latencies)/2], "p50-ratio")
	b.ReportMetric(ourRate/float64(len(rates)), "ours/s")
	b.ReportMetric(bareRate/float64(len(rates)), "bare/s")
}

// drive keeps inFlight requests in flight for a while and returns their rate and median.
func drive(b *testing.B, clients []*nats.Conn, inFlight int, subject string, d time.Duration) (rate float64, median time.Duration) {
	b.Helper()
	var done atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	var g sync.WaitGroup
	begun := time.Now()
	for i := range inFlight {
		g.Go(func() {
			var mine []time.Duration
			for time.Since(begun) < d {
				at := time.Now()
				if _, err := clients[i%len(clients)].Request(subject, nil, 5*time.Second); err != nil {
					b.Error(err)
					return
				}
				mine = append(mine, time.Since(at))
				done.Add(1)
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	g.Wait()
	elapsed := time.Since(begun)
	slices.Sort(took)
	return float64(done.Load()) / elapsed.Seconds(), took[len(took)/2]
}

// fromMemory is a Backend that answers look-ups without conditions at once.
type fromMemory struct{ backend.Backend }

// Prompt implements [backend.Prompter].
func (fromMemory) Prompt(read backend.Read) bool { return read == backend.Read{} }
