package e2e_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// BenchmarkClientLookup compares the client's Lookup with a bare request to an echo on
// the same NATS server whose reply has the same body. The two are driven in turn, in short
// rounds, because only ratios of one run mean anything on a shared machine. It reports the
// medians over the rounds of both ratios.
func BenchmarkClientLookup(b *testing.B) {
	srv := natstest.Start(b)
	c := connectClient(b, srv, startRegistry(b, srv, "").prefix)
	metadata, err := client.MetadataOf(map[string]any{"version": "2.1.0", "region": "eu-west"})
	if err != nil {
		b.Fatal(err)
	}
	r, _, err := c.Register(b.Context(), client.Registration{
		Key: paymentsKey("i-1"), Metadata: metadata, Weight: client.DefaultWeight,
		Endpoints: client.EndpointsOf(map[string]string{"http": "http://10.0.0.7:8080"}),
	}, client.Write{})
	if err != nil {
		b.Fatal(err)
	}
	body := r.AppendJSON(nil)
	echo := srv.Connect(b)
	if _, err := echo.QueueSubscribe("echo", "q", func(m *nats.Msg) { _ = m.Respond(body) }); err != nil {
		b.Fatal(err)
	}
	if err := echo.Flush(); err != nil {
		b.Fatal(err)
	}
	bare := srv.Connect(b)

	ours := func() error {
		_, _, err := c.Lookup(b.Context(), r.Key, client.Read{})
		return err
	}
	theirs := func() error {
		_, err := bare.Request("echo", nil, 5*time.Second)
		return err
	}
	for _, inFlight := range []int{1, 64} {
		b.Run(fmt.Sprintf("in-flight-%d", inFlight), func(b *testing.B) {
			var rates, medians []float64
			for b.Loop() {
				rate, median := clientRound(b, inFlight, ours)
				bareRate, bareMedian := clientRound(b, inFlight, theirs)
				rates = append(rates, rate/bareRate)
				medians = append(medians, float64(median)/float64(bareMedian))
			}
			slices.Sort(rates)
			slices.Sort(medians)
			b.ReportMetric(rates[len(rates)/2], "rate-ratio")
			b.ReportMetric(medians[len(medians)/2], "p50-ratio")
		})
	}
}

// clientRound keeps inFlight calls of do in flight for a while and returns their rate and
// the median of the time that one takes.
func clientRound(b *testing.B, inFlight int, do func() error) (rate float64, median time.Duration) {
	b.Helper()
	const lasts = 200 * time.Millisecond
	var mu sync.Mutex
	var took []time.Duration
	var callers sync.WaitGroup
	begun := time.Now()
	for range inFlight {
		callers.Go(func() {
			var mine []time.Duration
			for time.Since(begun) < lasts {
				at := time.Now()
				if err := do(); err != nil {
					b.Error(err)
					return
				}
				mine = append(mine, time.Since(at))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	callers.Wait()
	elapsed := time.Since(begun)
	if len(took) == 0 {
		b.Fatal("nothing was answered")
	}
	slices.Sort(took)
	return float64(len(took)) / elapsed.Seconds(), took[len(took)/2]
}
