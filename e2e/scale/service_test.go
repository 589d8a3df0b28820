//go:build scale

package scale

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus/client"
)

// TestAServiceOfTwentyThousandInstances lists it in pages, and what has changed of it.
func TestAServiceOfTwentyThousandInstances(t *testing.T) {
	const instances = 20_000
	n := serve(t, t.TempDir())
	c := n.connect(t)
	load(t.Context(), t, c, 1, instances)
	figure(t, "20k: the whole service, paged", "%s", quantiles(timed(t, 20, func(int) error {
		seen := 0
		for _, err := range c.All(t.Context(), client.Query{Scope: scope(0)}) {
			if err != nil {
				return err
			}
			seen++
		}
		if seen != instances {
			return fmt.Errorf("a list of %d", seen)
		}
		return nil
	})))
	var size int
	heard, err := client.New(mustConnect(t, n), client.WithReplies(func(_ string, body []byte) { size += len(body) }))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = heard.Close() }()
	_, stamp, err := heard.Count(t.Context(), client.Query{Scope: scope(0)})
	if err != nil {
		t.Fatal(err)
	}
	size = 0
	const changes = 1000
	figure(t, "20k: what one change has changed", "%s", quantiles(timed(t, changes, func(int) error {
		r := registration(0, rand.IntN(instances))
		r.Weight = uint16(rand.IntN(1000))
		written, _, err := c.Register(t.Context(), r, client.Write{})
		if err != nil {
			return err
		}
		since := stamp.Revision
		page, now, err := heard.List(t.Context(), client.Query{
			Scope: scope(0), Since: &since, Read: client.Read{MinRevision: written.Revision, Epoch: stamp.Epoch},
		})
		stamp = now
		if err == nil && len(page.Registrations) > 1 {
			err = fmt.Errorf("one change shows %d registrations", len(page.Registrations))
		}
		return err
	})))
	figure(t, "20k: bytes of the answer to one change", "%d", size/changes)
	if size/changes > 2000 {
		t.Error("what has changed is not in proportion to the change")
	}
}

func mustConnect(t *testing.T, n *node) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(n.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// TestAThousandReplicasOfANode are on a hundred connections, and follow 100 changes a second.
func TestAThousandReplicasOfANode(t *testing.T) {
	const services, instances, connections, each = 100, 100, 100, 10
	n := serve(t, t.TempDir())
	c := n.connect(t)
	load(t.Context(), t, c, services, instances)
	before := n.resident(t)
	followers := startFollowers(t, n, services, connections, each)
	figure(t, "1,000 Replicas: memory of the node", "%s (%s before)", mb(n.resident(t)), mb(before))
	cpu, begun := n.cpu(t), time.Now()
	var late []time.Duration
	for i := range 3000 {
		r := registration(i%services, rand.IntN(instances))
		r.Weight = uint16(i % 1000)
		sent := time.Now()
		written, _, err := c.Register(t.Context(), r, client.Write{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range followers[i%services] {
			if err := f.awaits(written); err != nil {
				t.Fatal(err)
			}
		}
		late = append(late, time.Since(sent))
		time.Sleep(time.Until(begun.Add(time.Duration(i+1) * 10 * time.Millisecond)))
	}
	took := time.Since(begun)
	figure(t, "1,000 Replicas: change asked for until all ten of its service show it", "%s", quantiles(late))
	figure(t, "1,000 Replicas: CPU of the node at 100 changes a second", "%.2f cores", (n.cpu(t)-cpu).Seconds()/took.Seconds())
	for s, all := range followers {
		want, _, err := c.List(t.Context(), client.Query{Scope: scope(s)})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			if err := f.same(want.Registrations); err != nil {
				t.Error(err)
			}
		}
	}
}

var errLate = errors.New("a Replica does not show a change for 10 s")
