package e2e_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// queries are what replicas are kept of.
var queries = map[string]client.Query{
	"Everything": {},
	"Where":      {Scope: client.Scope{Namespace: "default"}, Where: map[string]client.Scalar{"even": "true"}},
	"Filter":     {Scope: client.Scope{Namespace: "default", Service: "payments"}, Filter: "weight > 300 && metadata.even"},
}

// R7: events are lost at random; the next feed makes the follower exact.
func TestAReplicaIsExactAtTheNextFeedAlthoughEventsWereLost(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	for name, q := range queries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prefix := startRegistry(t, srv, "").prefix
			writer := connectClient(t, srv, prefix)
			c, link := badlyLinked(t, srv, prefix)
			r := startReplica(t, c, q)
			link.percent.Store(40)
			for round := range 5 {
				if err := scribble(t.Context(), writer, 150); err != nil {
					t.Fatal(err)
				}
				announceFeed(t, srv, prefix, r.State().Stamp.Epoch, fmt.Sprint("feed ", round))
				r.exact(t, writer, q)
			}
			if link.lost.Load() < 100 {
				t.Errorf("only %d events were lost", link.lost.Load())
			}
		})
	}
}

// R7: nobody tells of the loss; the follower makes sure by itself.
func TestAReplicaMakesSureByItself(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	prefix := startRegistry(t, srv, "").prefix
	writer := connectClient(t, srv, prefix)
	c, link := badlyLinked(t, srv, prefix)
	r := startReplica(t, c, client.Query{}, client.WithRefresh(200*time.Millisecond))
	link.percent.Store(100)
	if err := scribble(t.Context(), writer, 100); err != nil {
		t.Fatal(err)
	}
	r.exact(t, writer, client.Query{})
}

// R7: the follower's connection comes and goes, and events are lost besides.
func TestAReplicaWhoseConnectionFlapsEndsExact(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	for name, q := range queries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prefix := startRegistry(t, srv, "").prefix
			writer := connectClient(t, srv, prefix)
			c, link := badlyLinked(t, srv, prefix)
			r := startReplica(t, c, q)
			var writing sync.WaitGroup
			var err error
			writing.Go(func() { err = scribble(t.Context(), writer, 800) })
			link.percent.Store(10)
			for range 15 {
				link.cut()
				time.Sleep(20 * time.Millisecond) // as links do
			}
			writing.Wait()
			if err != nil {
				t.Fatal(err)
			}
			link.cut() // what was lost before is made up for after it
			r.exact(t, writer, q)
		})
	}
}

// R7: more happens than the follower can keep up with.
func TestAReplicaThatIsTooSlowEndsExact(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	prefix := startRegistry(t, srv, "").prefix
	writer := connectClient(t, srv, prefix)
	c := connectClient(t, srv, prefix)
	slow := client.Matching(func(*client.Registration) bool {
		time.Sleep(time.Millisecond) // a function that takes its time
		return true
	})
	r := startReplica(t, c, client.Query{}, client.WithEventBuffer(4), slow)
	for range 3 {
		operations := make([]client.Operation, 200)
		for i := range operations {
			operations[i] = client.Operation{Kind: client.OpRegister, Registration: payments(fmt.Sprint("i-", i))}
		}
		if _, _, err := writer.Batch(t.Context(), operations, false); err != nil {
			t.Fatal(err)
		}
		if err := scribble(t.Context(), writer, 100); err != nil {
			t.Fatal(err)
		}
	}
	r.exact(t, writer, client.Query{})
}

// R6, R7: while NATS is away the last good state is shown, and it says how old it is.
func TestAReplicaShowsTheLastGoodStateWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	prefix := startRegistry(t, srv, "").prefix
	writer := connectClient(t, srv, prefix)
	if err := scribble(t.Context(), writer, 100); err != nil {
		t.Fatal(err)
	}
	r := startReplica(t, connectClient(t, srv, prefix), client.Query{})
	r.exact(t, writer, client.Query{})
	payments := r.Service("default", "payments")
	there := r.Len()
	for range 2 {
		srv.Stop()
		away := time.Now()
		natstest.Await(t, "word that nothing is heard", func() bool { return !r.State().Following })
		natstest.Await(t, "an age that grows", func() bool { return r.Staleness() > 200*time.Millisecond })
		if s := r.State(); s.Registrations != there || !s.Ready || s.Age < time.Since(away)-100*time.Millisecond {
			t.Errorf("%v after NATS went away: %+v; want %d registrations", time.Since(away), s, there)
		}
		if _, ok := payments.Pick(); !ok {
			t.Error("nothing is picked while NATS is away")
		}
		srv.Restart(t)
		if err := scribble(t.Context(), writer, 50); err != nil {
			t.Fatal(err)
		}
		r.exact(t, writer, client.Query{})
		there = r.Len()
	}
}

// R7: a node is restarted and has forgotten the past.
func TestAReplicaOutlivesTheNodeThatItAsks(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	node := startRegistry(t, srv, "")
	writer := connectClient(t, srv, node.prefix)
	if err := scribble(t.Context(), writer, 200); err != nil {
		t.Fatal(err)
	}
	r := startReplica(t, connectClient(t, srv, node.prefix), client.Query{})
	for round := range 3 {
		there := r.Len()
		node.stop()
		announceFeed(t, srv, node.prefix, r.State().Stamp.Epoch, fmt.Sprint("feed ", round)) // a list is wanted, and cannot be had
		natstest.Await(t, "an age that grows", func() bool { return r.Staleness() > 300*time.Millisecond })
		if r.Len() != there {
			t.Errorf("%d registrations without a node; want %d", r.Len(), there)
		}
		node = startRegistry(t, srv, node.prefix)
		if err := scribble(t.Context(), writer, 100); err != nil {
			t.Fatal(err)
		}
		r.exact(t, writer, client.Query{})
	}
}

// R7: the bucket is deleted and made anew, and has seen more changes than the old one
// before the follower hears of it: revisions alone would not tell.
func TestAReplicaOfABucketMadeAnewShowsNoGhost(t *testing.T) {
	t.Parallel()
	for name, q := range queries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			node := startRegistry(t, srv, "")
			writer := connectClient(t, srv, node.prefix)
			ghost := payments("ghost")
			ghost.Weight, ghost.Metadata = 900, `{"even":true}`
			if _, _, err := writer.Register(t.Context(), ghost, client.Write{}); err != nil {
				t.Fatal(err)
			}
			c, link := badlyLinked(t, srv, node.prefix)
			r := startReplica(t, c, q)
			before := r.State().Stamp

			link.percent.Store(100)
			node.stop()
			js, err := jetstream.New(srv.Connect(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := js.DeleteStream(t.Context(), "KV_"+bucketOf(t, node.prefix)); err != nil {
				t.Fatal(err)
			}
			natstest.Await(t, "a second that no epoch is named after", func() bool { return time.Now().Unix() > int64(before.Epoch) })
			startRegistry(t, srv, node.prefix)
			if err := scribble(t.Context(), writer, 200); err != nil {
				t.Fatal(err)
			}
			if got := selected(t, writer, q); len(got) == 0 {
				t.Fatal("nothing is there")
			}
			link.percent.Store(0)
			if err := scribble(t.Context(), writer, 20); err != nil { // the follower learns by gaps
				t.Fatal(err)
			}
			r.exact(t, writer, q)
			after := r.State().Stamp
			if _, there := r.Lookup(ghost.Key); there || after.Epoch <= before.Epoch || after.Revision <= before.Revision {
				t.Errorf("the ghost is there: %v; from %+v to %+v", there, before, after)
			}
		})
	}
}
