package faults

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/roostbus/roost/bus/client"
	"github.com/roostbus/roost/e2e/natstest"
)

const (
	// Short, so that writes are given up whose fate is not known.
	writeTimeout = 1500 * time.Millisecond
	readTimeout  = 1500 * time.Millisecond
)

// guest is a client with links of its own to every NATS server.
type guest struct {
	number int
	prefix string
	nc     *nats.Conn
	c      *client.Client
	links  []*natstest.Proxy
	acked  atomic.Int64 // writes
}

// invite connects a client through links that can be cut.
func invite(tb testing.TB, d Deployment, number int, opts ...client.Option) *guest {
	tb.Helper()
	g := &guest{number: number, prefix: d.Prefix()}
	var through []string
	for _, url := range d.URLs() {
		link := natstest.Through(tb, url)
		g.links, through = append(g.links, link), append(through, link.URL())
	}
	first := number % len(through)
	g.nc = dial(tb, append(through[first:len(through):len(through)], through[:first]...))
	var err error
	g.c, err = client.New(g.nc, append([]client.Option{
		client.WithPrefix(d.Prefix()), client.WithWriteTimeout(writeTimeout), client.WithReadTimeout(readTimeout),
	}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = g.c.Close() })
	return g
}

// dial connects to the first of urls that answers, and finds out within seconds where it
// does not any more.
func dial(tb testing.TB, urls []string) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(strings.Join(urls, ","), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 0), nats.ReconnectBufSize(-1), nats.IgnoreDiscoveredServers(), nats.DontRandomize(),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // they are what is wanted
		nats.RetryOnFailedConnect(true), nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2), nats.Timeout(2*time.Second))
	if err != nil {
		tb.Fatalf("connect: %v", err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

func pauseUpTo(ctx context.Context, d time.Duration, n func(int64) int64) {
	pause(ctx, time.Duration(n(int64(d))))
}
