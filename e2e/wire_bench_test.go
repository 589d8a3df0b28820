package e2e_test

import (
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

// BenchmarkWire compares requests of the registry with those of a bare, queue-subscribed
// echo on the same NATS server whose replies have the same size. The two are driven in
// turn, in short rounds, because only ratios of one run mean anything on a shared machine.
// It reports the median ratios of their rates, of their median latencies, and of the
// processor time that the whole process (NATS server, clients and registry) uses for a
// request of the echo and of the registry; the last one stands still on a busy machine.
// Metrics ending in "-h" compare with an echo whose replies have the same headers too:
// what they are better by is what the protocol's headers cost.
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
		for subject, header := range map[string]nats.Header{"echo." + c.name: nil, "echo.headers." + c.name: reply.Header} {
			_, err := echo.QueueSubscribe(subject, "q", func(m *nats.Msg) {
				echo.PublishMsg(&nats.Msg{Subject: m.Reply, Header: header, Data: reply.Data})
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		if err := echo.Flush(); err != nil {
			b.Fatal(err)
		}
		for _, n := range c.inFlight {
			b.Run(fmt.Sprintf("%s/in-flight-%d", c.name, n), func(b *testing.B) {
				compare(b, w, n, bus.DefaultPrefix+"."+c.subject, "echo."+c.name, "echo.headers."+c.name)
			})
		}
	}
}

// compare drives ours and both echos in rounds in turn.
func compare(b *testing.B, w *wireWorld, inFlight int, ours, bare, headers string) {
	b.Helper()
	const round = 200 * time.Millisecond
	clients := make([]*nats.Conn, min(inFlight, 4))
	for i := range clients {
		clients[i] = w.ns.Connect(b)
	}
	for _, subject := range []string{ours, bare, headers} {
		drive(b, clients, inFlight, subject, round) // warms up
	}
	ratios := map[string][]float64{}
	for b.Loop() {
		o := drive(b, clients, inFlight, ours, round)
		for suffix, subject := range map[string]string{"": bare, "-h": headers} {
			e := drive(b, clients, inFlight, subject, round)
			ratios["rate-ratio"+suffix] = append(ratios["rate-ratio"+suffix], o.rate/e.rate)
			ratios["p50-ratio"+suffix] = append(ratios["p50-ratio"+suffix], float64(o.median)/float64(e.median))
			ratios["cpu-ratio"+suffix] = append(ratios["cpu-ratio"+suffix], float64(e.cpu)/float64(o.cpu))
		}
	}
	for name, all := range ratios {
		slices.Sort(all)
		b.ReportMetric(all[len(all)/2], name)
	}
}

// driven is what came of driving for a while.
type driven struct {
	rate   float64
	median time.Duration // of the latencies
	cpu    time.Duration // of this process, NATS and clients included, for one request
}

// drive keeps inFlight requests in flight for a while.
func drive(b *testing.B, clients []*nats.Conn, inFlight int, subject string, d time.Duration) driven {
	b.Helper()
	var mu sync.Mutex
	var took []time.Duration
	var g sync.WaitGroup
	begun, spent := time.Now(), cpu(b)
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
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	g.Wait()
	spent = cpu(b) - spent
	slices.Sort(took)
	return driven{
		rate:   float64(len(took)) / time.Since(begun).Seconds(),
		median: took[len(took)/2],
		cpu:    spent / time.Duration(len(took)),
	}
}

// cpu returns the processor time that this process has used so far.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fromMemory is a Backend that answers look-ups without conditions at once.
type fromMemory struct{ backend.Backend }

// Prompt implements [backend.Prompter].
func (fromMemory) Prompt(read backend.Read) bool { return read == backend.Read{} }
