package e2e_test

import (
	"bytes"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

// R7: many Replicas lose their connections together, again and again, while the registry
// changes. Each ends exact, and when they end nothing of them is left: no subscription, no
// consumer, no goroutine.
func TestReplicasThroughAReconnectStormEndExactAndLeaveNothing(t *testing.T) {
	const perConnection = 10
	connections := 100
	if testing.Short() {
		connections = 5
	}
	srv := natstest.Start(t)
	prefix := startRegistry(t, srv, "").prefix
	writer := connectClient(t, srv, prefix)
	if err := scribble(t.Context(), writer, 200); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(srv.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	consumers := func() int {
		t.Helper()
		stream, err := js.Stream(t.Context(), "KV_"+bucketOf(t, prefix))
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Consumers
	}
	subscriptions := func() int { return int(srv.Running().NumSubscriptions()) }
	bareConsumers, bareSubscriptions, bareGoroutines := consumers(), subscriptions(), clientGoroutines()

	var clients []*client.Client
	var links []*badLink
	var replicas []*replica
	for range connections {
		c, link := badlyLinked(t, srv, prefix)
		clients, links = append(clients, c), append(links, link)
		for i := range perConnection {
			q := client.Query{}
			if i%2 == 1 {
				q = queries["Where"]
			}
			replicas = append(replicas, newReplica(t, c, q, client.WithEventBuffer(1024)))
		}
	}
	for _, r := range replicas {
		if err := r.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var writing sync.WaitGroup
	writing.Go(func() { err = scribble(t.Context(), writer, 1500) })
	for range 3 {
		for _, link := range links {
			link.cut()
		}
		time.Sleep(300 * time.Millisecond) // enough to come back and list
	}
	writing.Wait()
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for i, r := range replicas {
		q := client.Query{}
		if i%perConnection%2 == 1 {
			q = queries["Where"]
		}
		r.exact(t, writer, q)
	}
	t.Logf("%d replicas are exact %v after the last write", len(replicas), time.Since(begun).Round(time.Millisecond))

	if got := consumers(); got != bareConsumers {
		t.Errorf("%d consumers; want %d, as without replicas", got, bareConsumers)
	}
	for _, r := range replicas {
		r.stop()
	}
	for _, c := range clients {
		_ = c.Close()
	}
	natstest.Await(t, "the end of their subscriptions", func() bool { return subscriptions() <= bareSubscriptions })
	natstest.Await(t, "the end of their goroutines", func() bool { return clientGoroutines() <= bareGoroutines })
}

// clientGoroutines counts the goroutines in a client or a connection. A registry keeps
// some of its own for a while.
func clientGoroutines() int {
	stacks := make([]byte, 1<<20)
	for {
		n := runtime.Stack(stacks, true)
		if n < len(stacks) {
			stacks = stacks[:n]
			break
		}
		stacks = make([]byte, 2*len(stacks))
	}
	n := 0
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if bytes.Contains(stack, []byte("roost/bus/client.")) || bytes.Contains(stack, []byte("nats.go.(*Conn)")) {
			n++
		}
	}
	return n
}
