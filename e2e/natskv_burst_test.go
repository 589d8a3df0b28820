package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/e2e/natstest"
	"github.com/roostbus/roost/kvstore"
	"github.com/roostbus/roost/kvstore/natskv"
)

// burst is how often one key is overwritten at once: many times more often than a feed
// shows it, because the bucket keeps one message a key.
const burst = 500

// overwrite overwrites key in a burst, and returns the revision of the last.
func overwrite(t *testing.T, js jetstream.JetStream, key string) (last uint64) {
	t.Helper()
	var acks []jetstream.PubAckFuture
	for i := range burst {
		ack, err := js.PublishAsync("$KV.e2e."+key, fmt.Append(nil, i))
		if err != nil {
			t.Fatal(err)
		}
		acks = append(acks, ack)
	}
	for _, ack := range acks {
		select {
		case a := <-ack.Ok():
			last = max(last, a.Sequence)
		case err := <-ack.Err():
			t.Fatal(err)
		case <-time.After(patience):
			t.Fatalf("no acknowledgement after %v", patience)
		}
	}
	return last
}

// counting counts what a feed shows.
type counting struct{ applied atomic.Int64 }

func (*counting) Begin(kvstore.Generation) {}
func (c *counting) Apply(kvstore.Entry)    { c.applied.Add(1) }
func (*counting) Live(uint64)              {}
func (*counting) Stale(error)              {}
func (*counting) Advance(uint64)           {}

// A feed that leapt over what was overwritten meanwhile makes sure by itself that it has
// shown what replaced it, at once: whoever waits does not have to wait for the next probe,
// which a node sends once a second, and this one never.
func TestAWaitOnAKeyThatIsOverwrittenInABurstEndsSoon(t *testing.T) {
	t.Parallel()
	for name, servers := range map[string]int{"OneServer": 1, "ThreeServers": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if servers > 1 && testing.Short() {
				t.Skip("three servers elect leaders for some seconds; `make e2e` runs it")
			}
			all := []*natstest.Server{natstest.Start(t)}
			if servers > 1 {
				all = natstest.StartCluster(t, servers).Nodes
			}
			replicas := func(c *natskv.Config) { c.Replicas = servers }
			var tails []*kvstore.Tail
			var shows []*counting
			for i, srv := range all { // one node at each server
				s := openStore(t, srv.Connect(t), bucket(replicas, func(c *natskv.Config) { c.Node = fmt.Sprint("n", i) }))
				tail, shown := kvstore.NewTail(s, kvstore.WithProbe(0)), &counting{}
				tail.Subscribe("", shown)
				ended := make(chan struct{})
				ctx, stop := context.WithCancel(t.Context())
				go func() {
					defer close(ended)
					_ = tail.Run(ctx) // until ctx is over
				}()
				t.Cleanup(func() {
					stop()
					<-ended
				})
				if err := tail.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				tails, shows = append(tails, tail), append(shows, shown)
			}
			js := operator(t, all[0])
			times := 20
			var took []time.Duration
			for range times {
				last := overwrite(t, js, "busy")
				acknowledged := time.Now()
				for _, tail := range tails {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					if err := tail.Wait(ctx, last); err != nil {
						t.Fatal(err)
					}
					cancel()
				}
				took = append(took, time.Since(acknowledged))
			}
			leapt := 0
			for _, shown := range shows {
				leapt += times*burst - int(shown.applied.Load())
			}
			if leapt == 0 {
				t.Fatal("the feeds have shown everything: nothing was overwritten before it was shown")
			}
			slices.Sort(took)
			most := took[len(took)*9/10]
			t.Logf("%d of %d were leapt over; nine of ten waits took up to %v, the longest %v",
				leapt, len(tails)*times*burst, most, took[len(took)-1])
			if most > 500*time.Millisecond {
				t.Errorf("one of ten waits took longer than %v", most)
			}
		})
	}
}
