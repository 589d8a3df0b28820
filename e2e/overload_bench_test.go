package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
	"github.com/roostbus/roost/e2e/natstest"
)

// overloadFor is how long each load lasts.
const overloadFor = 3 * time.Second

// BenchmarkOverload draws the curve of an overloaded node on file storage: registers are
// offered at multiples of the rate that it sustains, whatever comes back, by eight
// connections. It reports how many a second were offered, accepted and refused, how many
// came to nothing else, and how long the accepted ones took.
func BenchmarkOverload(b *testing.B) {
	srv := natstest.Start(b, natstest.Listen)
	node := startHybrid(b, srv.Connect(b), "", backend.Nobody)
	w := serveWireOn(b, srv, node.Backend, nil)
	connections := make([]*nats.Conn, 8)
	for i := range connections {
		connections[i] = srv.Connect(b)
	}
	o := &offerer{connections: connections}
	sustained := o.sustain(b, 256)
	for _, times := range []float64{0.5, 0.8, 1, 1.5, 2, 3} {
		b.Run(fmt.Sprintf("offered=%gx", times), func(b *testing.B) {
			for range b.N {
				o.offer(b, times*sustained)
			}
			if n := w.s.Stats().InFlight; n != 0 {
				b.Errorf("%d requests are in hand once the load is over", n)
			}
		})
	}
}

// offerer asks for registers of names of its own.
type offerer struct {
	connections []*nats.Conn
	names       atomic.Int64
}

// sustain returns how many a second are done where so many are always under way.
func (o *offerer) sustain(b *testing.B, inFlight int) float64 {
	b.Helper()
	var done atomic.Int64
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	end := time.Now().Add(overloadFor)
	for i := range inFlight {
		all.Go(func() {
			for time.Now().Before(end) {
				if code, err := put(ctx, o.connections[i%len(o.connections)], "register", fmt.Sprint("s", o.names.Add(1))); code != "" || err != nil {
					b.Errorf("register: %s, %v", code, err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	return float64(done.Load()) / overloadFor.Seconds()
}

// offer asks rate times a second, evenly, and waits for all answers.
func (o *offerer) offer(b *testing.B, rate float64) {
	b.Helper()
	var mu sync.Mutex
	var took []time.Duration
	var refused, other int
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	begun := time.Now()
	offered := 0
	for tick := time.NewTicker(time.Millisecond); time.Since(begun) < overloadFor; <-tick.C {
		for ; float64(offered) < rate*time.Since(begun).Seconds(); offered++ {
			nc, name := o.connections[offered%len(o.connections)], fmt.Sprint("o", o.names.Add(1))
			all.Go(func() {
				from := time.Now()
				code, err := put(ctx, nc, "register", name)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil && code == "":
					took = append(took, time.Since(from))
				case err == nil && code == bus.CodeLimitExceeded:
					refused++
				default:
					other++
				}
			})
		}
	}
	all.Wait()
	lasted := time.Since(begun).Seconds()
	slices.Sort(took)
	b.ReportMetric(float64(offered)/lasted, "offered/s")
	b.ReportMetric(float64(len(took))/lasted, "accepted/s")
	b.ReportMetric(float64(refused)/lasted, "refused/s")
	b.ReportMetric(float64(other), "other")
	if n := len(took); n > 0 {
		b.ReportMetric(float64(took[n/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(took[n*99/100].Microseconds())/1000, "p99-ms")
	}
}
