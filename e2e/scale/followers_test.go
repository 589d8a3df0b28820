//go:build scale

package scale

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/roostbus/roost/bus/client"
)

// follower is a Replica of one service.
type follower struct{ *client.Replica }

// startFollowers starts each Replicas on each of connections, and returns them by service.
// All are ready, and end with the test.
func startFollowers(t *testing.T, n *node, services, connections, each int) map[int][]follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	all := map[int][]follower{}
	begun := time.Now()
	for i := range connections {
		c := n.connect(t)
		for k := range each {
			service := (i*each + k) % services
			r, err := client.NewReplica(c, client.Query{Scope: scope(service)})
			if err != nil {
				t.Fatal(err)
			}
			running.Go(func() { _ = r.Run(ctx) })
			all[service] = append(all[service], follower{r})
		}
	}
	for _, of := range all {
		for _, f := range of {
			if err := f.Ready(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	figure(t, "1,000 Replicas: all are ready after", "%v", time.Since(begun).Round(time.Millisecond))
	return all
}

// awaits returns when f shows what was written.
func (f follower) awaits(written client.Registration) error {
	for end := time.Now().Add(10 * time.Second); ; {
		if found, ok := f.Lookup(written.Key); ok && found.Revision >= written.Revision {
			return nil
		}
		if time.Now().After(end) {
			return errLate
		}
		time.Sleep(20 * time.Microsecond)
	}
}

// same compares what f shows with a list.
func (f follower) same(want []*client.Registration) error {
	if f.Len() != len(want) {
		return fmt.Errorf("a Replica has %d, want %d", f.Len(), len(want))
	}
	for _, r := range want {
		if found, ok := f.Lookup(r.Key); !ok || found.Revision != r.Revision {
			return fmt.Errorf("a Replica shows %s as %+v, want revision %d", r.Key, found, r.Revision)
		}
	}
	return nil
}
