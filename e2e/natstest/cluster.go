package natstest

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Cluster is a set of servers that replicate.
type Cluster struct {
	Nodes []*Server
}

// StartCluster runs n servers as one cluster and waits until it can make streams.
func StartCluster(tb testing.TB, n int, change ...func(*server.Options)) *Cluster {
	tb.Helper()
	ports := FreePorts(tb, 2*n)
	var routes []*url.URL
	for _, port := range ports[:n] {
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	c := &Cluster{}
	for i := range n {
		c.Nodes = append(c.Nodes, newServer(tb, append([]func(*server.Options){func(o *server.Options) {
			o.ServerName = clusterName(i)
			o.Host, o.Port = "127.0.0.1", ports[n+i]
			o.Cluster = server.ClusterOpts{Name: "natstest", Host: "127.0.0.1", Port: ports[i], NoAdvertise: true}
			o.Routes = slices.Clone(routes)
		}}, change...)...))
	}
	for _, node := range c.Nodes {
		node.launch(tb)
	}
	for _, node := range c.Nodes {
		if !node.Running().ReadyForConnections(patience) {
			tb.Fatalf("NATS server %s is not ready after %v", node.options.ServerName, patience)
		}
	}
	c.AwaitHealthy(tb)
	return c
}

// clusterName is that of a cluster's i-th server.
func clusterName(i int) string { return fmt.Sprintf("natstest-%d", i+1) }

// loopback is the address of a port on this machine.
func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// FreePorts returns ports that nobody listened on a moment ago. The routes of a cluster
// must be known before its servers start.
func FreePorts(tb testing.TB, n int) []int {
	tb.Helper()
	var ports []int
	for range n {
		l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatalf("find a free port: %v", err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// AwaitHealthy waits until every server that runs is current with all that it holds.
func (c *Cluster) AwaitHealthy(tb testing.TB) {
	tb.Helper()
	Await(tb, "a healthy cluster", func() bool {
		for _, node := range c.Nodes {
			if s := node.Running(); s != nil && (s.Healthz(&server.HealthzOptions{}).StatusCode != 200 || len(s.JetStreamClusterPeers()) == 0 && s.JetStreamIsLeader()) {
				return false
			}
		}
		return c.leader() != nil
	})
}

func (c *Cluster) leader() *Server {
	for _, node := range c.Nodes {
		if s := node.Running(); s != nil && s.JetStreamIsLeader() {
			return node
		}
	}
	return nil
}

// StreamLeader waits for a leader of the stream in the global account and returns it.
func (c *Cluster) StreamLeader(tb testing.TB, stream string) *Server {
	tb.Helper()
	var leader *Server
	Await(tb, "a leader of "+stream, func() bool {
		for _, node := range c.Nodes {
			if s := node.Running(); s != nil && s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
				leader = node
				return true
			}
		}
		return false
	})
	return leader
}

// Connect returns a connection to any server that runs, of nodes or of all.
func (c *Cluster) Connect(tb testing.TB, nodes []*Server, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	if nodes == nil {
		nodes = c.Nodes
	}
	var urls []string
	for _, node := range nodes {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", node.options.Port))
	}
	return connect(tb, strings.Join(urls, ","), append([]nats.Option{nats.IgnoreDiscoveredServers()}, opts...)...)
}

// Await polls until is reports true, and fails the test if it does not in time. It is for
// what announces itself by no event.
func Await(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	for !is() {
		if time.Now().After(deadline) {
			tb.Fatalf("no %s after %v", what, patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
