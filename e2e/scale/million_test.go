//go:build scale

package scale

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/roostbus/roost/bus/client"
)

// TestAMillionRegistrations has 10,000 services of 100 instances each in one node.
func TestAMillionRegistrations(t *testing.T) {
	const services, instances, all = 10_000, 100, 1_000_000
	n := serve(t, t.TempDir())
	c := n.connect(t)
	begun, empty := time.Now(), n.resident(t)
	load(t.Context(), t, c, services, instances)
	took := time.Since(begun)
	wantCount(t, c, all)
	figure(t, "1M: registered in batches", "%v, %.0f/s", took.Round(time.Millisecond), all/took.Seconds())
	figure(t, "1M: memory of the node, NATS included", "%s (empty %s), %d B each", mb(n.resident(t)), mb(empty), (n.resident(t)-empty)/all)
	figure(t, "1M: store on disk", "%s", mb(n.disk(t)))

	lookup := func(int) error {
		key := registration(rand.IntN(services), rand.IntN(instances)).Key
		_, _, err := c.Lookup(t.Context(), key, client.Read{})
		return err
	}
	list := func(int) error {
		page, _, err := c.List(t.Context(), client.Query{Scope: scope(rand.IntN(services))})
		if err == nil && len(page.Registrations) != instances {
			err = fmt.Errorf("a list of %d", len(page.Registrations))
		}
		return err
	}
	figure(t, "1M: look-up, one at a time", "%s", quantiles(timed(t, 20_000, lookup)))
	figure(t, "1M: list of a service of 100", "%s", quantiles(timed(t, 5_000, list)))
	underChange(t, n, services, func() {
		figure(t, "1M: look-up while 1,000/s are registered", "%s", quantiles(timed(t, 20_000, lookup)))
		figure(t, "1M: list of a service while 1,000/s are registered", "%s", quantiles(timed(t, 5_000, list)))
	})
	wantEverything(t, c, all)
	follow(t, c, all, instances)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		n.stop(t, s)
		n = serve(t, n.dir)
		figure(t, fmt.Sprintf("1M: ready again after %v", s), "%v", n.took.Round(time.Millisecond))
		wantCount(t, n.connect(t), all)
	}
	figure(t, "1M: memory after a restart", "%s", mb(n.resident(t)))
}

// underChange calls during while instances of the services are registered again, 1,000 a
// second.
func underChange(t *testing.T, n *node, services int, during func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	writer := n.connect(t)
	limit := rate.NewLimiter(1000, 50)
	var writers sync.WaitGroup
	var made [4]int
	begun := time.Now()
	for w := range made {
		writers.Go(func() {
			for limit.Wait(ctx) == nil {
				r := registration(rand.IntN(services), 50+w) // its own instance
				r.Weight = uint16(rand.IntN(1000))
				if _, _, err := writer.Register(context.WithoutCancel(ctx), r, client.Write{}); err != nil {
					t.Error("register:", err)
					return
				}
				made[w]++
			}
		})
	}
	during()
	cancel()
	writers.Wait()
	figure(t, "1M: registered meanwhile", "%.0f/s", float64(made[0]+made[1]+made[2]+made[3])/time.Since(begun).Seconds())
}

// wantEverything lists everything, in pages.
func wantEverything(t *testing.T, c *client.Client, want int) {
	t.Helper()
	begun, seen := time.Now(), 0
	for r, err := range c.All(t.Context(), client.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Namespace == client.DefaultNamespace {
			seen++
		}
	}
	took := time.Since(begun)
	if seen != want {
		t.Fatalf("a full list has %d, want %d", seen, want)
	}
	figure(t, "1M: full list, paged", "%v, %.0f/s", took.Round(time.Millisecond), float64(want)/took.Seconds())
}

// follow has a Replica of one service, and one of everything.
func follow(t *testing.T, c *client.Client, all, instances int) {
	t.Helper()
	for _, f := range []struct {
		what string
		of   client.Query
		want int
	}{
		{"a service", client.Query{Scope: scope(7)}, instances},
		{"everything", client.Query{}, all},
	} {
		r, err := client.NewReplica(c, f.of)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = r.Run(ctx) })
		begun := time.Now()
		if err := r.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		figure(t, "1M: a Replica of "+f.what+" is ready after", "%v", time.Since(begun).Round(time.Microsecond))
		if r.Len() < f.want {
			t.Errorf("a Replica of %s has %d, want %d", f.what, r.Len(), f.want)
		}
		cancel()
		running.Wait()
	}
}
