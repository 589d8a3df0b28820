//go:build scale

package scale

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/roostbus/roost/bus/client"
)

// figure prints what was measured as a row of a table in Markdown.
func figure(t *testing.T, what, format string, args ...any) {
	t.Helper()
	fmt.Printf("| %s | %s |\n", what, fmt.Sprintf(format, args...))
}

func mb(bytes int64) string { return fmt.Sprintf("%.0f MB", float64(bytes)/1e6) }

// quantiles says p50 and p99 of durations.
func quantiles(all []time.Duration) string {
	slices.Sort(all)
	at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))].Round(time.Microsecond) }
	return fmt.Sprintf("p50 %v, p99 %v, most %v (%d)", at(.5), at(.99), all[len(all)-1].Round(time.Microsecond), len(all))
}

// scope is a service by number.
func scope(service int) client.Scope {
	return client.Scope{Namespace: client.DefaultNamespace, Service: fmt.Sprintf("service-%d", service)}
}

// registration is one of about 300 bytes.
func registration(service, instance int) client.Registration {
	s := scope(service)
	return client.Registration{
		Key: client.Key{Namespace: s.Namespace, Service: s.Service, Instance: fmt.Sprintf("i-%d", instance)},
		Endpoints: client.EndpointsOf(map[string]string{
			"http": fmt.Sprintf("http://10.%d.%d.%d:8080", service%200, instance/250, instance%250),
		}),
		Metadata: client.Metadata(fmt.Sprintf(`{"version":"1.%d.0","zone":"z%d","commit":"0123456789abcdef0123456789abcdef01234567"}`,
			service%7, instance%3)),
		Weight: client.DefaultWeight,
		Status: client.Up,
	}
}

// load registers instances of services, in batches of four at a time.
func load(ctx context.Context, t *testing.T, c *client.Client, services, instances int) {
	t.Helper()
	const size = 500
	work := make(chan []client.Operation)
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for operations := range work {
				results, _, err := c.Batch(ctx, operations, false)
				if err != nil {
					t.Error("batch:", err)
					continue
				}
				for i := range results {
					if results[i].Err != nil {
						t.Errorf("register %s: %v", operations[i].Registration.Key, results[i].Err)
					}
				}
			}
		})
	}
	var next []client.Operation
	for s := range services {
		for i := range instances {
			next = append(next, client.Operation{Kind: client.OpRegister, Registration: registration(s, i)})
			if len(next) == size {
				work <- next
				next = nil
			}
		}
	}
	if len(next) > 0 {
		work <- next
	}
	close(work)
	senders.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// timed calls do n times, one after the other, and returns how long each took.
func timed(t *testing.T, n int, do func(i int) error) []time.Duration {
	t.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		begun := time.Now()
		if err := do(i); err != nil {
			t.Fatal(err)
		}
		took[i] = time.Since(begun)
	}
	return took
}

// wantCount fails unless so many are registered.
func wantCount(t *testing.T, c *client.Client, want int) {
	t.Helper()
	n, _, err := c.Count(t.Context(), client.Query{Scope: client.Scope{Namespace: client.DefaultNamespace}})
	if err != nil || n != want {
		t.Fatalf("Count() = %d, %v, want %d", n, err, want)
	}
}
